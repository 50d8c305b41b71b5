import { asFingerprint, asTableName } from '../../src/domain/ids.ts';
import type {
  ClearStep,
  DeleteStep,
  Plan,
  PlanLevel,
  ReferenceCheck,
  TenantPath,
  Way,
} from '../../src/domain/plan.ts';

/** A path of `public.<relation>`; by a foreign key `tenant_id` to the tenant unless other ways are given. */
export const pathOf = (relation: string, ...ways: readonly Way[]): TenantPath => ({
  table: asTableName(relation.includes('.') ? relation : `public.${relation}`),
  partitioned: false,
  ways:
    ways.length > 0
      ? ways
      : [{ kind: 'column', via: 'foreign-key', nullable: false, column: 'tenant_id', when: [] }],
});

export const parentWay = (column: string, parent: TenantPath): Way => ({
  kind: 'parent',
  via: 'foreign-key',
  nullable: false,
  columns: [column],
  when: [],
  relation: parent.table,
  referencedColumns: ['id'],
  parent,
});

export const columnWay = (column: string, via: Way['via']): Way => ({
  kind: 'column',
  via,
  nullable: false,
  column,
  when: [],
});

export const deleteStep = (path: TenantPath, more: Partial<DeleteStep> = {}): DeleteStep => ({
  kind: 'delete',
  table: path.table,
  path,
  also: [],
  partitioned: false,
  actingKeys: [],
  remembers: [],
  unlessReferenced: null,
  mayKeepRows: false,
  primaryKey: ['id'],
  estimatedRows: null,
  ...more,
});

export const clearStep = (
  path: TenantPath,
  more: Pick<ClearStep, 'foreignKey' | 'columns' | 'reason'> & Partial<ClearStep>,
): ClearStep => ({ kind: 'clear', table: path.table, partitioned: false, path, ...more });

/** A key `child(column) → parent(id)`, called `<child>_<column>_fkey`. */
export const reference = (
  child: TenantPath,
  column: string,
  parent: TenantPath,
  more: Partial<ReferenceCheck> = {},
): ReferenceCheck => ({
  foreignKey: `${child.table}_${column}_fkey`,
  action: 'NO ACTION',
  rule: 'refuse',
  isRuled: false,
  child: child.table,
  childRelation: child.table,
  childPartitioned: false,
  childPath: child,
  childDeleted: true,
  childPrimaryKey: ['id'],
  childEstimatedRows: null,
  columns: [column],
  period: false,
  parent,
  parentAlso: [],
  parentRelation: parent.table,
  referencedColumns: ['id'],
  clearColumns: [],
  clearChecks: [],
  ...more,
});

export const planOf = (
  levels: readonly PlanLevel[],
  references: readonly ReferenceCheck[],
  more: Partial<Plan> = {},
): Plan => ({
  fingerprint: asFingerprint('f'.repeat(64)),
  facts: [],
  tenant: {
    table: asTableName('public.tenants'),
    key: 'id',
    keyType: 'uuid',
    label: 'name',
    testColumn: null,
  },
  levels,
  core: [],
  references,
  tree: [],
  partitions: [],
  hazards: [],
  ...more,
});

const tenants = pathOf('tenants', columnWay('id', 'tenant'));
const agents = pathOf('agents');
const notes = pathOf('notes', parentWay('agent_id', agents));
const logs = pathOf('logs', columnWay('tenant_id', 'column'));
const teams = pathOf('teams', parentWay('owner_id', pathOf('members')));
const members = pathOf('members');
const reviews = pathOf('reviews', parentWay('agent_id', agents));
const archive = pathOf('archive');
const files: TenantPath = pathOf('files', {
  kind: 'child',
  via: 'parent',
  nullable: false,
  columns: ['id'],
  columnTypes: ['uuid'],
  foreignKey: 'public.agents_file_id_fkey',
  referencingColumns: ['file_id'],
  child: agents,
});

/** Something of everything: levels, a circle of tables, every kind of clear, rows of others, estimates. */
export const handMadePlan: Plan = planOf(
  [
    {
      name: 'dependents 1',
      stage: 'dependents',
      steps: [
        clearStep(agents, {
          foreignKey: 'public.agents_last_note_id_fkey',
          columns: ['last_note_id'],
          reason: 'cycle',
        }),
        clearStep(notes, {
          foreignKey: 'public.notes_reply_to_id_fkey',
          columns: ['reply_to_id'],
          reason: 'self',
        }),
        clearStep(reviews, {
          foreignKey: 'public.reviews_agent_id_fkey',
          columns: ['agent_id'],
          reason: 'rule',
        }),
        clearStep(archive, {
          foreignKey: 'public.archive',
          columns: ['tenant_id'],
          reason: 'table',
        }),
        clearStep(pathOf('invoices'), {
          foreignKey: 'public.invoices',
          columns: ['state', 'note'],
          values: ['closed', null],
          reason: 'operator',
        }),
      ],
    },
    {
      name: 'dependents 2',
      stage: 'dependents',
      steps: [
        deleteStep(logs, { estimatedRows: 2_528_475 }),
        deleteStep(notes, {
          estimatedRows: 1_200,
          also: [pathOf('notes', parentWay('shared_with_id', agents))],
        }),
        {
          kind: 'component',
          table: members.table,
          way: 'one-statement',
          deletes: [deleteStep(members, { estimatedRows: 0 }), deleteStep(teams)],
          deferredKeys: [],
        },
      ],
    },
    {
      name: 'core 1',
      stage: 'core',
      steps: [
        deleteStep(agents, {
          estimatedRows: 40,
          remembers: [
            {
              foreignKey: 'public.agents_file_id_fkey',
              columns: ['file_id'],
              parent: files.table,
            },
          ],
        }),
      ],
    },
    { name: 'core 2', stage: 'core', steps: [deleteStep(files, { unlessReferenced: [] })] },
    { name: 'tenant', stage: 'tenant', steps: [deleteStep(tenants, { estimatedRows: 7 })] },
  ],
  [
    reference(agents, 'tenant_id', tenants, { action: 'CASCADE' }),
    reference(agents, 'last_note_id', notes, { action: 'SET NULL' }),
    reference(agents, 'file_id', files),
    reference(notes, 'agent_id', agents, { action: 'CASCADE' }),
    reference(notes, 'reply_to_id', notes),
    reference(notes, 'shared_with_id', agents, { rule: 'delete', isRuled: true }),
    reference(members, 'tenant_id', tenants),
    reference(members, 'team_id', teams),
    reference(teams, 'owner_id', members),
    reference(reviews, 'agent_id', agents, { rule: 'set-null', childDeleted: false }),
  ],
  {
    hazards: [
      {
        type: 'CYCLE_IN_ONE_STATEMENT',
        severity: 'allow',
        table: members.table,
        message:
          'public.members and public.teams refer to each other by columns that are NOT NULL.',
        remedy:
          'Make one of the keys DEFERRABLE, or accept it with --allow CYCLE_IN_ONE_STATEMENT.',
      },
    ],
  },
);

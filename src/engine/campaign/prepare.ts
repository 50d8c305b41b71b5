import type { Hazard } from '../../domain/hazard.ts';
import type { TableName, TenantId } from '../../domain/ids.ts';
import { deleteSteps, type Plan } from '../../domain/plan.ts';
import type { CampaignCounts } from '../../domain/records.ts';
import { countedHazards } from '../../planner/hazards/counted-hazards.ts';
import { dataHazards, descendantHazards } from '../../planner/hazards/data-hazards.ts';
import { sortHazards } from '../../planner/make-plan.ts';
import type { PlanRules } from '../../planner/rules.ts';
import type { Database } from '../../postgres/database.ts';
import { inTransaction, READ_ONLY } from '../../postgres/database.ts';
import { findIdsElsewhere } from '../../postgres/ids-elsewhere.ts';
import { heldTenants } from '../../postgres/quiesce-store.ts';
import { readPlan } from '../../postgres/read-plan.ts';
import { readReferences } from '../../postgres/rows/reference-reader.ts';
import type { RowReader } from '../../postgres/rows/row-reader.ts';
import { inSavepoint } from '../../postgres/savepoint.ts';
import { listTenants, type Tenant, tenantsContaining } from '../../postgres/tenant-directory.ts';
import type { SweepKeyspace } from '../sweep.ts';
import { refuseHeld } from './refuse-held.ts';
import {
  explainUnknown,
  type Refusal,
  resolveTargets,
  type TargetRequest,
  type Targets,
  unknownIds,
} from './targets.ts';
import { findDescendants } from './tenant-tree.ts';

/** What preparing needs; it only reads. */
export interface PrepareParts {
  readonly database: Database;
  readonly reader: RowReader;
  readonly rules: PlanRules;
  readonly keep: readonly string[];
  readonly keyspace: SweepKeyspace | null;
  /** Literals that follow the tenant's id in the key templates; see `REDIS_KEY_AMBIGUOUS`. */
  readonly keySeparators: readonly string[];
  /** The tenants with a live purge, of whichever table; none where there is no ledger yet. */
  readonly busyTenants: () => Promise<readonly InTable<{ readonly id: TenantId }>[]>;
  /** Of these ids those that the ledger knows as tenants that were purged before. */
  readonly formerTenants: (ids: readonly string[]) => Promise<readonly InTable<Tenant>[]>;
}

type InTable<Known> = Known & { readonly tenantTable: string };

/** One tenant of a campaign, counted. */
export interface CountedTenant extends Tenant {
  readonly rows: Readonly<Record<string, number>>;
  readonly rowsTotal: number;
  readonly redisKeys: number;
}

/** A campaign as it would be: the dry run prints it, the real run enqueues exactly it. */
export interface PreparedCampaign {
  readonly plan: Plan;
  /** The plan's hazards and those of the data. */
  readonly hazards: readonly Hazard[];
  readonly tenants: readonly CountedTenant[];
  readonly refused: readonly Refusal[];
  readonly counts: CampaignCounts;
  /**
   * False where PostgreSQL refuses to count what a hazard of the plan blocks: then the figures are 0 and
   * say nothing, the hazards are the plan's alone, and perhaps not even the tenants are known.
   */
  readonly isCounted: boolean;
}

/**
 * Plan, targets and counts, all seen at one moment in one READ ONLY transaction; what the ledger knows
 * of tenants is read just before, and made sure of when the campaign is written. Writes nothing,
 * neither to PostgreSQL nor to Redis.
 * @throws PurgeError of the planner (TABLE_MISSING, COLUMN_MISSING) and of the connection
 */
export async function prepareCampaign(
  parts: PrepareParts,
  request: TargetRequest,
): Promise<PreparedCampaign> {
  // Before the transaction, not in it: who holds one connection and waits for a second waits for ever
  // where a pooler has few and others do the same.
  const everFormer = await parts.formerTenants(request.ids);
  const everBusy = await parts.busyTenants();
  return inTransaction(parts.database.pool, READ_ONLY, async (client) => {
    const plan = await readPlan(client, parts.rules);
    const found = await unlessBlocked(client, plan, async () => {
      const everyone = await listTenants(client, plan.tenant, plan.tree);
      const isOfTable = ({ tenantTable }: { readonly tenantTable: string }): boolean =>
        tenantTable === plan.tenant.table;
      const former = everFormer.filter(isOfTable).map(({ id, label }) => ({ id, label }));
      const busy = new Set<string>(everBusy.filter(isOfTable).map(({ id }) => id));
      const named = resolveTargets(request, { tenants: everyone, former, keep: parts.keep, busy });
      const held = await heldTenants(
        client,
        plan,
        named.tenants.map(({ id }) => id),
      );
      return { everyone, targets: refuseHeld(named, held) };
    });
    if (found === null) return uncounted(plan, { tenants: [], refused: [] });
    const { everyone } = found;
    const elsewhere = await findIdsElsewhere(client, plan, unknownIds(found.targets));
    const targets = explainUnknown(found.targets, elsewhere);
    // Tenants spared by name are watched like kept ones.
    const spared = new Set([...parts.keep, ...(request.kind === 'all-except' ? request.ids : [])]);
    const kept = everyone.filter((tenant) => spared.has(tenant.id));
    const counted = await unlessBlocked(client, plan, () =>
      countCampaign(parts, client, plan, { everyone, targets, kept }),
    );
    return counted ?? uncounted(plan, targets);
  });
}

/**
 * What the plan blocks, PostgreSQL may refuse to count: a table closed to the role, types that do not
 * compare. The hazard says more than that refusal, and stands beside all the others.
 * @returns null where it refused
 */
const unlessBlocked = <Result>(
  client: Queryable,
  plan: Plan,
  work: () => Promise<Result>,
): Promise<Result | null> =>
  plan.hazards.some(({ severity }) => severity === 'blocks')
    ? inSavepoint(client, (sqlState) => UNCOUNTABLE.test(sqlState), work)
    : work();

type Queryable = Parameters<typeof readPlan>[0];

/** Missing privileges, names and operators; values that a type cannot have. */
const UNCOUNTABLE = /^(42|22)/;

const uncounted = (plan: Plan, targets: Targets): PreparedCampaign => ({
  plan,
  hazards: plan.hazards,
  tenants: targets.tenants.map((tenant) => ({ ...tenant, rows: {}, rowsTotal: 0, redisKeys: 0 })),
  refused: targets.refused,
  counts: NO_COUNTS,
  isCounted: false,
});

const NO_COUNTS: CampaignCounts = {
  tenants: 0,
  testTenants: null,
  core: {},
  doomedCore: {},
  doomedTestTenants: null,
  redisKeys: 0,
  keptRows: {},
};

async function countCampaign(
  parts: PrepareParts,
  client: Queryable,
  plan: Plan,
  who: {
    readonly everyone: readonly Tenant[];
    readonly targets: Targets;
    readonly kept: readonly Tenant[];
  },
): Promise<PreparedCampaign> {
  const { everyone, targets, kept } = who;
  const ids = targets.tenants.map((tenant) => tenant.id);
  const rows = await parts.reader.countPerTenant(client, plan, ids);
  const keys = (await parts.keyspace?.count(new Set<string>(ids))) ?? new Map<string, number>();
  const tenants = targets.tenants.map((tenant) => {
    const perTable = rows.get(tenant.id) ?? {};
    return {
      ...tenant,
      rows: perTable,
      rowsTotal: Object.values(perTable).reduce((sum, count) => sum + count, 0),
      redisKeys: keys.get(tenant.id) ?? 0,
    };
  });
  return {
    plan,
    hazards: sortHazards([
      ...countedHazards(plan, tenants),
      ...(await keyHazards(parts, client, plan)),
      ...dataHazards(await readReferences(client, plan, ids, { crossings: true })),
      ...descendantHazards(plan, findDescendants(everyone, targets.tenants)),
    ]),
    tenants,
    refused: targets.refused,
    counts: await takeCounts(parts.reader, client, plan, { doomed: tenants, kept }),
    isCounted: true,
  };
}

/** Figures for the expected-results table. */
export async function takeCounts(
  reader: RowReader,
  client: Parameters<RowReader['countTable']>[0],
  plan: Plan,
  who: { readonly doomed: readonly CountedTenant[]; readonly kept: readonly Tenant[] },
): Promise<CampaignCounts> {
  const { testColumn } = plan.tenant;
  const partitioned = new Map(deleteSteps(plan).map((step) => [step.table, step.partitioned]));
  // A table that is not to be deleted from may be partitioned for all the plan knows.
  const tableOf = (table: TableName): { table: TableName; partitioned: boolean } => ({
    table,
    partitioned: partitioned.get(table) ?? true,
  });
  const tenantTable = tableOf(plan.tenant.table);
  const core: Record<string, number> = {};
  const doomedCore: Record<string, number> = {};
  for (const name of plan.core) {
    core[name] = await reader.countTable(client, tableOf(name), null);
    doomedCore[name] = who.doomed.reduce((sum, tenant) => sum + (tenant.rows[name] ?? 0), 0);
  }
  const keptIds = who.kept.map((tenant) => tenant.id);
  const keptRows =
    keptIds.length === 0 ? [] : [...(await reader.countPerTenant(client, plan, keptIds))];
  return {
    tenants: await reader.countTable(client, tenantTable, null),
    testTenants:
      testColumn === null ? null : await reader.countTable(client, tenantTable, testColumn),
    core,
    doomedCore,
    doomedTestTenants:
      testColumn === null
        ? null
        : await reader.countMarkedTenants(
            client,
            plan.tenant,
            who.doomed.map((tenant) => tenant.id),
          ),
    redisKeys: who.doomed.reduce((sum, tenant) => sum + tenant.redisKeys, 0),
    keptRows: Object.fromEntries(
      keptRows.map(([id, perTable]) => [
        id,
        Object.values(perTable).reduce((sum, n) => sum + n, 0),
      ]),
    ),
  };
}

/**
 * With tenants `1` and `1:0` the key `tenant:1:0:x` fits both. Where an id contains what follows the
 * id in a template, nobody can say whose key it is.
 */
async function keyHazards(
  parts: PrepareParts,
  client: Parameters<typeof tenantsContaining>[0],
  plan: Plan,
): Promise<Hazard[]> {
  const separators = parts.keySeparators.filter((separator) => separator !== '');
  if (separators.length === 0 || plan.tenant.keyType === 'uuid') return [];
  const ids = await tenantsContaining(client, plan.tenant, separators);
  if (ids.length === 0) return [];
  return [
    {
      type: 'REDIS_KEY_AMBIGUOUS',
      severity: 'blocks',
      table: plan.tenant.table,
      count: ids.length,
      message: `Ids of tenants contain what follows the id in a key template: ${ids.join(', ')}.`,
      remedy:
        'Choose templates whose text after {tenantId} occurs in no tenant id, or remove redis.keys.',
    },
  ];
}

/** Rows per table of the whole campaign, in the plan's order; tables without rows included. */
export function rowsPerTable(
  prepared: PreparedCampaign,
): { readonly table: string; readonly rows: number }[] {
  return deleteSteps(prepared.plan).map(({ table }) => ({
    table,
    rows: prepared.tenants.reduce((sum, tenant) => sum + (tenant.rows[table] ?? 0), 0),
  }));
}

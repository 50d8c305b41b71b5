import { z } from 'zod';
import { EXIT } from '../../../src/domain/errors.ts';
import { prepareCampaign, rowsPerTable } from '../../../src/engine/campaign/prepare.ts';
import { requireTargets } from '../../../src/engine/campaign/targets.ts';
import { planAsJson } from '../../../src/planner/explain/explain.ts';
import { drawPlan, GRAPH_FORMATS, type GraphFormat } from '../../../src/planner/explain/graph.ts';
import { inTransaction, READ_ONLY } from '../../../src/postgres/database.ts';
import { readPlan } from '../../../src/postgres/read-plan.ts';
import { readFault } from '../../../src/postgres/sqlstate.ts';
import type { Observer } from '../../../src/runtime/observer.ts';
import { type Answer, defineCommand, readOptions } from '../command.ts';
import { withObserver } from '../open.ts';
import { undoSentence } from '../output/enqueue.ts';
import { renderPlan } from '../output/plan.ts';
import { formatNumber, plural } from '../output/text.ts';

const optionsSchema = z
  .object({
    tenant: z.array(z.string()).optional(),
    counts: z.boolean().default(false),
    graph: z
      .union([z.literal(true).transform(() => 'mermaid' as const), z.enum(GRAPH_FORMATS)], {
        error: `It must be ${GRAPH_FORMATS.join(' or ')}.`,
      })
      .optional(),
  })
  .refine(({ tenant, counts, graph }) => graph === undefined || !(counts || tenant), {
    path: ['graph'],
    error: 'It draws tables and keys, not rows: leave out --tenant and --counts.',
  });
type Options = z.output<typeof optionsSchema>;

/** Levels, tables, tenant paths and hazards, from the live catalogue. Writes nothing. */
export const plan = defineCommand<Options>({
  usage: 'plan',
  summary: 'Levels, tables, tenant paths and hazards of a purge; writes nothing',
  examples: ['plan', 'plan --tenant 42 --json', 'plan --counts', 'plan --graph > plan.mmd'],
  describe: (command) =>
    command
      .option('--tenant <id...>', 'count the rows of these tenants')
      .option('--counts', 'count the rows of every tenant that is not kept')
      .option('--graph [format]', 'levels and foreign keys to draw: mermaid (default) or dot'),
  validate: (raw) => readOptions(optionsSchema, raw),
  run: async (session, options) =>
    withObserver(session, async (observer) => {
      if (options.graph !== undefined) return graphAnswer(observer, options.graph);
      const counted = options.counts || options.tenant !== undefined;
      const found = counted
        ? await planWithCounts(observer, options).catch(orPlanOnly(observer))
        : await planOnly(observer);
      const document = { ...planAsJson(found.plan, found.rows), hazards: found.hazards };
      const text = renderPlan(document, {
        hazards: found.hazards,
        redisKeys: observer.config.redis.keys,
        undo: undoSentence({ archive: true }, observer.config),
        colors: session.colors,
        columns: session.columns,
      });
      return {
        exitCode: EXIT.done,
        document: { ...document, ...found.totals },
        text: [
          text,
          ...(found.totals === undefined
            ? counted
              ? ['Nothing was counted: PostgreSQL refuses that for what blocks above.']
              : []
            : [
                `${plural(found.totals.tenants, 'tenant')}: ${formatNumber(found.totals.rows)} rows, ` +
                  `${formatNumber(found.totals.redisKeys)} Redis keys`,
              ]),
          '',
          'Next: tenant-purge enqueue --tenant ID --dry-run',
        ].join('\n'),
      };
    }),
});

async function graphAnswer(observer: Observer, format: GraphFormat): Promise<Answer> {
  const text = drawPlan((await planOnly(observer)).plan, format);
  return { exitCode: EXIT.done, document: { graph: { format, text } }, text };
}

async function planOnly(observer: Observer) {
  const found = await inTransaction(
    observer.database.pool,
    READ_ONLY,
    async (client) => await readPlan(client, observer.rules),
  );
  return { plan: found, hazards: found.hazards, rows: undefined, totals: undefined };
}

/** Where the role may not read the ledger either, the plan itself tells more than that refusal. */
const orPlanOnly =
  (observer: Observer) =>
  async (thrown: unknown): ReturnType<typeof planOnly> => {
    if (readFault(thrown).sqlState !== MISSING_PRIVILEGE) throw thrown;
    const found = await planOnly(observer);
    if (found.hazards.some(({ severity }) => severity === 'blocks')) return found;
    throw thrown;
  };

const MISSING_PRIVILEGE = '42501';

async function planWithCounts(observer: Observer, options: Options) {
  const prepared = await prepareCampaign(
    observer.prepare,
    options.tenant === undefined
      ? { kind: 'all-except', ids: [] }
      : { kind: 'tenants', ids: options.tenant },
  );
  // A tenant with a live purge can be looked at all the same.
  if (options.tenant !== undefined) {
    const refused = prepared.refused.filter(({ code }) => code !== 'TENANT_BUSY');
    if (prepared.isCounted || refused.length > 0) {
      requireTargets({ tenants: prepared.tenants, refused });
    }
  }
  if (!prepared.isCounted) {
    return { plan: prepared.plan, hazards: prepared.hazards, rows: undefined, totals: undefined };
  }
  return {
    plan: prepared.plan,
    hazards: prepared.hazards,
    rows: new Map(rowsPerTable(prepared).map(({ table, rows }) => [table, rows])),
    totals: {
      tenants: prepared.tenants.length,
      rows: prepared.tenants.reduce((sum, tenant) => sum + tenant.rowsTotal, 0),
      redisKeys: prepared.tenants.reduce((sum, tenant) => sum + tenant.redisKeys, 0),
    },
  };
}

import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import type { ConfigInput } from '../../src/config/schema.ts';
import type { Hazard } from '../../src/domain/hazard.ts';
import type { PurgeId } from '../../src/domain/ids.ts';
import type { Outcome } from '../../src/domain/outcome.ts';
import { findObstacles } from '../../src/engine/campaign/guards.ts';
import { type PreparedCampaign, prepareCampaign } from '../../src/engine/campaign/prepare.ts';
import type { Failpoint } from '../../src/engine/failpoints.ts';
import { enqueueCampaign } from '../../src/queue/enqueue.ts';
import { plantRedisIdentity } from '../../src/redis/identity.ts';
import type { Actor } from '../../src/runtime/actor.ts';
import { type CatalogueChecksum, catalogueChecksum } from './catalogue-checksum.ts';
import type { TestDatabase } from './postgres.ts';
import type { LedgerRows, PurgeWorld } from './purge-world.ts';
import { createWorld, makeTemplate } from './test-world.ts';

/** How much of a purge goes in one transaction; a scenario must end the same way in both. */
export const SIZES = [
  ['in one transaction', 5_000],
  ['by batches', 0],
] as const;
export const [[, AT_ONCE], [, BY_BATCHES]] = SIZES;

/** Four of these rows fill a block, the least that a batch over a small table visits. */
export const WIDE = `pad text not null default repeat('x', 1900)`;
/** Keeps `WIDE` from being compressed. */
export const storePlain = (...tables: readonly string[]): string =>
  tables.map((table) => `alter table ${table} alter pad set storage plain;`).join('\n');

/** Five rows `n` of each tenant `t`, from 0 for the doomed one and from 100 for the kept one. */
export const PAIRS =
  "(values ('doomed', 0), ('kept', 100)) as v (t, base), generate_series(base, base + 4) n";
/** `id`s of the rows that `PAIRS` gives the kept tenant. */
export const KEPT = [100, 101, 102, 103, 104];

export interface ScenarioOptions {
  readonly smallPurgeRows?: number;
  readonly config?: Partial<ConfigInput>;
}

/** An application of a scenario's own with the tenants `doomed` and `kept`. */
export interface Scenario {
  readonly world: PurgeWorld;
  readonly prepare: (actor?: Actor) => Promise<PreparedCampaign>;
  /** Hazards of a type in the plan and the data for a purge of `doomed`. */
  readonly hazards: (type: Hazard['type']) => Promise<Hazard[]>;
  /** Enqueues the purge of `doomed` as the command line does. Throws what stands in its way. */
  readonly enqueue: (options?: {
    readonly allow?: readonly Hazard['type'][];
    readonly actor?: Actor;
  }) => Promise<PurgeId>;
  readonly run: (
    id: PurgeId,
    options?: { readonly failpoint?: Failpoint; readonly actor?: Actor },
  ) => Promise<Outcome>;
  /** Every row of the whole catalogue but the tenant's own. */
  readonly others: () => Promise<CatalogueChecksum>;
  readonly everything: () => Promise<CatalogueChecksum>;
  /**
   * Enqueues and runs; expects that it completes, that every row of the catalogue which was not the
   * tenant's is as it was, and that none of the tenant's is left.
   * @returns rows per table in the ledger
   */
  readonly purgeCleanly: (options?: {
    readonly allow?: readonly Hazard['type'][];
  }) => Promise<LedgerRows>;
  /** Values of a column (or expression) over all rows of a table, in order; null where it is empty. */
  readonly ids: (table: string, what?: string) => Promise<unknown>;
}

/** Registers the hooks of a test file that opens scenarios, one at a time. */
export function useScenarios(): (sql: string, options?: ScenarioOptions) => Promise<Scenario> {
  let template: TestDatabase;
  let world: PurgeWorld | null = null;
  beforeAll(async () => {
    template = await makeTemplate(() => Promise.resolve());
  });
  afterEach(async () => {
    await world?.close();
    world = null;
  });
  afterAll(() => template.drop());
  return async (sql, { smallPurgeRows = BY_BATCHES, config = {} } = {}) => {
    await world?.close();
    world = null;
    world = await createWorld({
      template: template.name,
      config: { ...config, redis: { keys: [] }, batch: { smallPurgeRows, maxRows: 4 } },
    });
    await world.pool.query(`create table public.tenants (id text primary key);
      insert into public.tenants values ('doomed'), ('kept');${sql}`);
    return scenarioOf(world);
  };
}

function scenarioOf(world: PurgeWorld): Scenario {
  const prepare = (actor = world.actor): Promise<PreparedCampaign> =>
    prepareCampaign(actor.prepare, { kind: 'tenants', ids: ['doomed'] });
  const scenario: Scenario = {
    world,
    prepare,
    hazards: async (type) => (await prepare()).hazards.filter((hazard) => hazard.type === type),
    enqueue: async ({ allow = [], actor = world.actor } = {}) => {
      const prepared = await prepare(actor);
      const [obstacle] = findObstacles(prepared, allow);
      if (obstacle !== undefined) throw obstacle;
      const { purges } = await enqueueCampaign(
        { ...actor, plantRedisIdentity: (id) => plantRedisIdentity(actor.redis, id) },
        prepared,
        { operator: 'test', allowed: allow, kept: [], delayMs: 0, archive: false },
      );
      const [purge] = purges;
      if (purge === undefined) throw new Error('nothing was enqueued');
      return purge.purgeId;
    },
    run: (id, { failpoint, actor } = {}) =>
      world.run(id, { parts: world.engine(failpoint, actor) }),
    others: () => catalogueChecksum(world.pool, { except: ['doomed'] }),
    everything: () => catalogueChecksum(world.pool, { except: [] }),
    purgeCleanly: async (options) => {
      const before = await scenario.others();
      const id = await scenario.enqueue(options);
      const outcome = await scenario.run(id);
      expect(outcome).toMatchObject({ kind: 'completed', report: { residue: [] } });
      expect(await scenario.everything()).toEqual(before);
      return await world.ledgerRows(id);
    },
    ids: (table, what = 'id') =>
      world.value(`select array_agg(${what} order by ${what}) from ${table}`),
  };
  return scenario;
}

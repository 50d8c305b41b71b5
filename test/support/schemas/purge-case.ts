import { Pool } from 'pg';
import { parseConfig } from '../../../src/config/load.ts';
import type { ConfigInput } from '../../../src/config/schema.ts';
import { type Hazard, hazardsInTheWay } from '../../../src/domain/hazard.ts';
import type { PurgeId } from '../../../src/domain/ids.ts';
import type { Outcome } from '../../../src/domain/outcome.ts';
import { prepareCampaign } from '../../../src/engine/campaign/prepare.ts';
import { noFailpoint } from '../../../src/engine/failpoints.ts';
import { composeObserver } from '../../../src/runtime/observer.ts';
import { rulesOf } from '../../../src/runtime/plan-rules.ts';
import { createDatabase, type TestDatabase } from '../postgres.ts';
import { openWorld, type PurgeWorld, type WorldEnqueueOptions } from '../purge-world.ts';
import { claimRedisDatabase } from '../redis.ts';
import { type Application, readFacts, type SchemaFacts, type TableFacts } from './facts.ts';
import { type FilledSchema, type FillOptions, fillSchema } from './fill.ts';
import { readGraph, type SchemaGraph } from './graph.ts';
import { loadSchema } from './load.ts';
import { type Survey, surveyOwners } from './oracle.ts';
import { answerHazards, bareSettings, type PurgeSettings } from './purge-settings.ts';
import { quoteTable, runScript } from './script.ts';

/** Rounds of answers before hazards that keep coming are taken for endless. */
const roundsMax = 20;
/** The least that a batch can be: one block. */
const batch = { smallPurgeRows: 0, maxRows: 2 };

/** An application's empty schema, to copy. */
export type SchemaTemplate = AsyncDisposable & {
  readonly facts: SchemaFacts;
  readonly graph: SchemaGraph;
  /** Its tenants own rows over columns without a foreign key. */
  readonly virtual: boolean;
  readonly name: string;
};

export async function makeSchemaTemplate(application: Application): Promise<SchemaTemplate> {
  const facts = readFacts(application);
  const virtual = (facts.tenantColumns ?? []).length > 0;
  const database = await createDatabase({ name: `template_${application}` });
  const pool = new Pool({ connectionString: database.url, max: 1 });
  try {
    await loadSchema(pool, facts);
    await runScript(pool, facts.tables.flatMap(spreadRows));
  } catch (error) {
    await database.drop();
    throw error;
  } finally {
    await pool.end();
  }
  return {
    facts,
    virtual,
    graph: readGraph(facts, virtual),
    name: database.name,
    [Symbol.asyncDispose]: () => database.drop(),
  };
}

/** A few rows to a block: a batch is never less than a block, and a tenant's rows should need many. */
function spreadRows({ schema, name, partitionKey }: TableFacts): string[] {
  if (partitionKey !== undefined) return [];
  return [`alter table ${quoteTable(schema, name)} set (fillfactor = 10)`];
}

/** A filled copy of the schema, and the program over it once its settings are found. */
export class PurgeCase {
  readonly filled: FilledSchema;
  readonly #template: SchemaTemplate;
  readonly #database: TestDatabase;
  readonly #redis: { readonly url: string; release(): Promise<void> };
  readonly #pool: Pool;
  #world: PurgeWorld | null = null;

  constructor(
    made: {
      readonly template: SchemaTemplate;
      readonly database: TestDatabase;
      readonly redis: { readonly url: string; release(): Promise<void> };
      readonly pool: Pool;
    },
    filled: FilledSchema,
  ) {
    this.filled = filled;
    this.#template = made.template;
    this.#database = made.database;
    this.#redis = made.redis;
    this.#pool = made.pool;
  }

  /** Five tenants with three rows in each table. */
  static async open(
    template: SchemaTemplate,
    options: Pick<FillOptions, 'edges' | 'cross'>,
  ): Promise<PurgeCase> {
    const [database, redis] = await Promise.all([
      createDatabase({ name: template.facts.name, template: template.name }),
      claimRedisDatabase(),
    ]);
    const pool = new Pool({ connectionString: database.url, max: 1 });
    // The database is dropped while the last connection still says good-bye.
    pool.on('error', () => undefined);
    pool.on('connect', (client) => client.on('error', () => undefined));
    const fill = { tenants: 5, rows: 3, virtual: template.virtual, ...options };
    try {
      const filled = await fillSchema(pool, template.facts, fill);
      return new PurgeCase({ template, database, redis, pool }, filled);
    } catch (error) {
      await Promise.all([pool.end(), redis.release()]);
      await database.drop();
      throw error;
    }
  }

  tenantId(tenant: number): string {
    const id = this.filled.tenants[tenant];
    if (id === undefined) throw new Error(`There is no tenant ${tenant}.`);
    return id;
  }

  get bareSettings(): PurgeSettings {
    return bareSettings(this.#template.facts);
  }

  survey(): Promise<Survey> {
    return surveyOwners(this.#pool, this.#template.facts, this.filled);
  }

  /** Of the schema, and of these tenants' data. */
  async hazards(settings: PurgeSettings, tenants: readonly number[]): Promise<readonly Hazard[]> {
    await using looking = await this.#look(settings);
    return await looking.hazards(settings, tenants);
  }

  /** Answers the hazards until none is in the way of these tenants' purge; of none: the schema's. */
  async settle(start: PurgeSettings, tenants: readonly number[]): Promise<PurgeSettings> {
    await using looking = await this.#look(start);
    let settings = start;
    for (let round = 0; round < roundsMax; round += 1) {
      const hazards = await looking.hazards(settings, tenants);
      const { blocking, notAllowed } = hazardsInTheWay(hazards, settings.allow);
      if (blocking.length + notAllowed.length === 0) return settings;
      settings = answerHazards(settings, [...blocking, ...notAllowed]);
    }
    throw new Error(`Hazards are in the way after ${roundsMax} rounds of answers.`);
  }

  /** The program with these settings, purging by the smallest batches; ends with the case. */
  async start(
    settings: PurgeSettings,
    options: { readonly archiveDir?: string } = {},
  ): Promise<PurgeWorld> {
    const place = { databaseUrl: this.#database.url, redisUrl: this.#redis.url, drop: leave };
    const { archiveDir } = options;
    const archive = archiveDir === undefined ? {} : { archive: { dir: archiveDir } };
    const config = { ...settings, ...archive, batch, redis: { keys: [] } };
    this.#world = await openWorld(place, { config });
    return this.#world;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#world?.close();
    await Promise.all([this.#pool.end(), this.#redis.release()]);
    await this.#database.drop();
  }

  get environment(): Readonly<Record<string, string>> {
    return {
      DATABASE_URL: this.#database.url,
      REDIS_URL: this.#redis.url,
      ENVIRONMENT: 'test',
      LOG_LEVEL: 'silent',
    };
  }

  async #look(settings: PurgeSettings) {
    const parse = (input: ConfigInput) => parseConfig(input, this.environment, null);
    const observer = await composeObserver(parse(settings), { role: 'test' });
    return {
      hazards: async (now: PurgeSettings, tenants: readonly number[]) => {
        const parts = { ...observer.prepare, rules: rulesOf(parse(now)) };
        const ids = tenants.map((tenant) => this.tenantId(tenant));
        const request = { kind: 'tenants' as const, ids };
        return (await prepareCampaign(parts, request)).hazards;
      },
      [Symbol.asyncDispose]: () => observer.close(),
    };
  }
}

/** Both databases are the case's to remove, not the world's. */
async function leave(): Promise<void> {}

/** Purges the tenant by batches. */
export async function purgeByBatches(
  world: PurgeWorld,
  tenantId: string,
  options: WorldEnqueueOptions = {},
): Promise<PurgeId> {
  const { id } = await world.enqueueOne(tenantId, options);
  throwUnlessCompleted(await world.run(id));
  return id;
}

/** Purges the tenant in a single transaction. */
export async function purgeAtOnce(
  world: PurgeWorld,
  tenantId: string,
  options: WorldEnqueueOptions = {},
): Promise<PurgeId> {
  const other = await world.composeOther({ config: { batch: { smallPurgeRows: 100_000 } } });
  const { id } = await world.enqueueOne(tenantId, options);
  throwUnlessCompleted(await world.run(id, { parts: world.engine(noFailpoint, other) }));
  return id;
}

function throwUnlessCompleted(outcome: Outcome): void {
  if (outcome.kind !== 'completed') throw new Error(JSON.stringify(outcome));
}

/** Rows of each table that the ledger says were deleted; names without quotation marks. */
export async function rowsInLedger(
  world: PurgeWorld,
  purgeId: PurgeId,
): Promise<Record<string, number>> {
  const rows = Object.entries(await world.ledgerRows(purgeId));
  return Object.fromEntries(rows.map(([table, count]) => [plain(table), count]));
}

/** In how many transactions the purge deleted, by the ledger's rows. */
export async function transactionsOf(world: PurgeWorld, purgeId: PurgeId): Promise<unknown> {
  return world.value(
    'select count(distinct xmin::text)::int from tenant_purge.batch where purge_id = $1',
    [purgeId],
  );
}

/** Rows of each table that the owner has. */
export function rowsOf({ totals }: Survey, owner: number): Record<string, number> {
  return Object.fromEntries(
    [...totals].flatMap(([table, owners]) => {
      const total = owners.get(owner);
      return total === undefined ? [] : [[table, total.count]];
    }),
  );
}

/** A name without the quotation marks that PostgreSQL puts around some. */
export function plain(name: string): string {
  return name.replaceAll('"', '');
}

import { join } from 'node:path';
import { Client } from 'pg';
import type { Config } from '../../../src/config/config.ts';
import { parseConfig } from '../../../src/config/load.ts';
import type { ConfigInput } from '../../../src/config/schema.ts';
import { HAZARD_TYPES, type Hazard } from '../../../src/domain/hazard.ts';
import type { PurgeId } from '../../../src/domain/ids.ts';
import type { Outcome } from '../../../src/domain/outcome.ts';
import type { Plan } from '../../../src/domain/plan.ts';
import type { RestoreReport } from '../../../src/domain/restore.ts';
import { findObstacles } from '../../../src/engine/campaign/guards.ts';
import { prepareCampaign } from '../../../src/engine/campaign/prepare.ts';
import { noFailpoint } from '../../../src/engine/failpoints.ts';
import { runPurge } from '../../../src/engine/run-purge.ts';
import { migrateLedger } from '../../../src/postgres/migrate.ts';
import { enqueueCampaign } from '../../../src/queue/enqueue.ts';
import { type Actor, composeActor, enqueueParts } from '../../../src/runtime/actor.ts';
import { engineParts } from '../../../src/runtime/engine-parts.ts';
import { rulesOf } from '../../../src/runtime/plan-rules.ts';
import { restorePurge } from '../../../src/runtime/restore.ts';
import { makeControl } from '../purge-world.ts';
import { loadCase, readLines, type TableLines } from './database-rows.ts';
import type { RandomCase } from './model.ts';
import { type Change, forgetWatch, readChanges, watchChanges } from './watch-changes.ts';

/** What the product did with a case. */
export type CaseResult = RefusedCase | RunCase;

/** It was refused while it was prepared: nothing was enqueued, nothing changed. */
export interface RefusedCase {
  readonly kind: 'refused';
  readonly plan: Plan;
  readonly hazards: readonly Hazard[];
  readonly obstacles: readonly string[];
}

export interface RunCase {
  readonly kind: 'ran';
  readonly purge: PurgeId;
  readonly plan: Plan;
  readonly outcome: Outcome;
  readonly rows: TableLines;
  /** Batches as the ledger has them. */
  readonly batches: readonly LedgerBatch[];
  readonly watched: boolean;
  /** Empty unless they were watched. */
  readonly changes: readonly Change[];
}

export interface LedgerBatch {
  readonly kind: 'delete' | 'clear';
  /** Without its schema. */
  readonly table: string;
  readonly rows: number;
}

/**
 * One database, one ledger and one set of connections, in which one case after the other is planned,
 * enqueued and run by the product: a world for each case would take longer than the case.
 */
export class CaseWorld {
  readonly client: Client;
  /** PostgreSQL's `server_version_num`. */
  readonly version: number;
  readonly #actor: Actor;
  readonly #environment: Readonly<Record<string, string>>;

  readonly #archives: boolean;

  private constructor(
    client: Client,
    actor: Actor,
    environment: Readonly<Record<string, string>>,
    archives: boolean,
  ) {
    this.#archives = archives;
    this.client = client;
    this.version = actor.database.version;
    this.#actor = actor;
    this.#environment = environment;
  }

  static async open(place: {
    readonly databaseUrl: string;
    readonly redisUrl: string;
    /** Where purges are archived; left out: they are not. */
    readonly archiveDir?: string;
  }): Promise<CaseWorld> {
    const environment = {
      DATABASE_URL: place.databaseUrl,
      REDIS_URL: place.redisUrl,
      ENVIRONMENT: 'test',
      LOG_LEVEL: 'silent',
    };
    const archive = place.archiveDir === undefined ? {} : { archive: { dir: place.archiveDir } };
    const config = parseConfig({ ...BASE, ...archive }, environment, null);
    const actor = await composeActor(config, { role: 'property' });
    const client = new Client({ connectionString: place.databaseUrl });
    await client.connect();
    return new CaseWorld(client, actor, environment, place.archiveDir !== undefined);
  }

  /** Loads the case and purges its tenant, every hazard that can be allowed being so. */
  async purge(found: RandomCase, options: { readonly watched: boolean }): Promise<CaseResult> {
    await forgetWatch(this.client);
    await loadCase(this.client, found);
    return this.purgeAgain(found, options);
  }

  /** Purges the tenant of the case that is loaded. */
  async purgeAgain(found: RandomCase, options: { readonly watched: boolean }): Promise<CaseResult> {
    if (options.watched) await watchChanges(this.client, found.model);
    try {
      const result = await this.#purgeLoaded(found, options);
      if (result.kind === 'ran' && result.outcome.kind !== 'completed') await this.#renewLedger();
      return result;
    } catch (error) {
      await this.#renewLedger();
      throw error;
    }
  }

  async #purgeLoaded(
    found: RandomCase,
    options: { readonly watched: boolean },
  ): Promise<CaseResult> {
    const config = parseConfig(inputOf(found), this.#environment, null);
    const rules = rulesOf(config);
    const prepared = await prepareCampaign(
      { ...this.#actor.prepare, rules },
      { kind: 'tenants', ids: [found.tenant] },
    );
    const obstacles = findObstacles(prepared, HAZARD_TYPES);
    const { plan, hazards } = prepared;
    if (obstacles.length > 0) {
      return { kind: 'refused', plan, hazards, obstacles: obstacles.map(({ message }) => message) };
    }
    const campaign = await enqueueCampaign(enqueueParts(this.#actor), prepared, {
      operator: 'property',
      allowed: HAZARD_TYPES,
      kept: [],
      delayMs: 0,
      archive: this.#archives,
    });
    const [purge] = campaign.purges;
    if (purge === undefined) throw new Error('nothing was enqueued');
    const outcome = await this.#run(purge.purgeId, { ...this.#actor, config, rules });
    return {
      kind: 'ran',
      purge: purge.purgeId,
      plan,
      outcome,
      rows: await readLines(this.client, found.model),
      batches: await this.#batches(purge.purgeId),
      watched: options.watched,
      changes: options.watched ? await readChanges(this.client) : [],
    };
  }

  /** Puts back what the purge has archived, into the same database. */
  async restore(purgeId: PurgeId): Promise<RestoreReport> {
    const purge = await this.#actor.purges.find(purgeId);
    if (purge === null) throw new Error(`no purge ${purgeId}`);
    return restorePurge(this.#actor.config, this.#actor.database, {
      purge,
      into: null,
      rules: null,
      dryRun: false,
      operator: 'property',
      holder: 'property:1',
      failpoint: noFailpoint,
      onWarning: () => undefined,
      confirm: () => Promise.resolve(),
      signal: new AbortController().signal,
      onState: () => undefined,
    });
  }

  /** Folder of the purge's archive. */
  async archiveFolder(purgeId: PurgeId): Promise<string> {
    const record = await this.#actor.archive.ledger.find(purgeId);
    return join(this.#actor.config.archive.dir, record?.folder ?? '');
  }

  async close(): Promise<void> {
    await this.client.end();
    await this.#actor.close();
  }

  /** A purge that has not ended would keep the tenant of the next case from being purged. */
  async #renewLedger(): Promise<void> {
    await this.client.query('drop schema tenant_purge cascade');
    await migrateLedger(this.#actor.database);
  }

  #run(purgeId: PurgeId, actor: Actor & { readonly config: Config }): Promise<Outcome> {
    return runPurge(
      engineParts(actor, () => Promise.resolve()),
      purgeId,
      makeControl(),
    );
  }

  async #batches(purgeId: PurgeId): Promise<LedgerBatch[]> {
    const { rows } = await this.client.query(
      `select kind, split_part(table_name, '.', 2) as table, rows::int as rows
       from tenant_purge.batch where purge_id = $1 order by id`,
      [purgeId],
    );
    return rows;
  }
}

const BASE = { tenant: { table: 'public.tenants', key: 'id' } } as const;

/** The case's settings as the configuration file has them. */
const inputOf = ({ settings, batching }: RandomCase): ConfigInput => ({
  tenant: { ...BASE.tenant, columns: [...settings.tenantColumns] },
  tables: Object.fromEntries(
    Object.entries(settings.tables).map(([table, { ownedBy }]) => [
      table,
      { ownedBy: [...ownedBy] },
    ]),
  ),
  foreignKeys: { ...settings.foreignKeys },
  batch: { ...batching },
});

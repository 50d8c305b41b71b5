import type { Config } from '../../../src/config/config.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import { findTarget, notFound } from '../../../src/engine/campaign/find-target.ts';
import { LivePlan } from '../../../src/engine/live-plan.ts';
import { createLogger, type Logger } from '../../../src/observability/logger.ts';
import {
  type Database,
  inTransaction,
  openDatabase,
  READ_ONLY,
} from '../../../src/postgres/database.ts';
import { CampaignStore } from '../../../src/postgres/ledger/campaigns.ts';
import { CommandStore } from '../../../src/postgres/ledger/commands.ts';
import { LedgerHistory } from '../../../src/postgres/ledger/history.ts';
import { PurgeStore } from '../../../src/postgres/ledger/purges.ts';
import { ledgerVersion, migrateLedger } from '../../../src/postgres/migrate.ts';
import { readPlan } from '../../../src/postgres/read-plan.ts';
import { RowReader } from '../../../src/postgres/rows/row-reader.ts';
import { statementFailure } from '../../../src/postgres/statement-failure.ts';
import type { CommandParts } from '../../../src/queue/commands.ts';
import { PurgeQueue, type Ring } from '../../../src/queue/purge-queue.ts';
import type { CommandQueue } from '../../../src/queue/tell-queue.ts';
import { connectRedis } from '../../../src/redis/connect.ts';
import { queueAddress } from '../../../src/runtime/actor.ts';
import { rulesOf } from '../../../src/runtime/plan-rules.ts';
import type { Session } from '../command.ts';
import type { LedgerView } from '../open.ts';

/** The ledger without Redis: what stops deletes must work while Redis is away. */
export interface LedgerDesk {
  readonly config: Config;
  readonly database: Database;
  readonly log: Logger;
  readonly reader: RowReader;
  /** Null where nothing was ever enqueued. */
  readonly ledger: LedgerView | null;
  /** Everything a command needs; migrates the ledger, or makes one. The queue opens when it is told. */
  commandParts(): Promise<CommandParts>;
}

const CONNECTIONS_MAX = 4;
const CLOSE_MAX_MS = 1_000;

/** @throws PurgeError DATABASE_UNREACHABLE, DATABASE_REFUSED, LEDGER_NEWER, PRIVILEGE_MISSING */
export async function withLedgerDesk<Result>(
  session: Session,
  work: (desk: LedgerDesk) => Promise<Result>,
): Promise<Result> {
  const config = await session.config();
  const log = createLogger({ level: config.logLevel, name: 'cli', destination: 'stderr' });
  const database = await openDatabase({
    url: config.databaseUrl,
    connectionsMax: CONNECTIONS_MAX,
    applicationName: 'tenant-purge cli',
    onIdleError: (error) => log.warn({ err: error }, 'an idle connection to PostgreSQL was lost'),
  });
  const queue = new QueueWhenAsked(config);
  try {
    const ledger = (await ledgerVersion(database)) === null ? null : viewOf(database);
    const reader = new RowReader(database);
    return await work({
      config,
      database,
      log,
      reader,
      ledger,
      commandParts: async () => {
        await migrateLedger(database);
        const { commands, purges } = viewOf(database);
        const livePlan = new LivePlan(() =>
          inTransaction(database.pool, READ_ONLY, (client) => readPlan(client, rulesOf(config))),
        );
        return {
          commands,
          purges,
          queue,
          residueOf: async (tenantId) => reader.residue(await livePlan.current(), tenantId),
          lockMs: config.worker.lockMs,
          log,
        };
      },
    });
  } catch (error) {
    throw statementFailure(error);
  } finally {
    await queue.close();
    await database.close();
  }
}

/**
 * What a word means as purges: a purge, a tenant's newest one, or all of a campaign.
 * @throws PurgeError NOT_FOUND
 */
export async function purgesOf({ ledger }: LedgerDesk, word: string): Promise<PurgeRecord[]> {
  if (ledger === null) throw notFound(word);
  const target = await findTarget(ledger, word);
  return target.kind === 'purge'
    ? [target.purge]
    : ledger.purges.select({ kind: 'campaign', id: target.campaign.id });
}

const viewOf = (database: Database): LedgerView => ({
  purges: new PurgeStore(database),
  campaigns: new CampaignStore(database),
  commands: new CommandStore(database),
  history: new LedgerHistory(database),
});

/** Looks for Redis the first time it is told something, and says within seconds that it is away. */
class QueueWhenAsked implements CommandQueue {
  readonly #config: Config;
  #opening: Promise<PurgeQueue> | null = null;
  #open: PurgeQueue | null = null;
  #closed = false;

  constructor(config: Config) {
    this.#config = config;
  }

  async add(...purges: Parameters<PurgeQueue['add']>): Promise<void> {
    return (await this.#queue()).add(...purges);
  }

  async promote(...purge: Parameters<PurgeQueue['promote']>): Promise<Ring> {
    return (await this.#queue()).promote(...purge);
  }

  async pause(): Promise<void> {
    return (await this.#queue()).pause();
  }

  async resume(): Promise<void> {
    return (await this.#queue()).resume();
  }

  async close(): Promise<void> {
    this.#closed = true;
    const queue = this.#open;
    if (queue === null) return;
    // A Redis that went away in between would keep the process.
    const timer = setTimeout(() => void queue.bull.disconnect(), CLOSE_MAX_MS);
    await queue.close().catch(() => undefined);
    clearTimeout(timer);
  }

  async #queue(): Promise<PurgeQueue> {
    return (this.#opening ??= this.#openQueue());
  }

  /** The queue itself would wait for ever. */
  async #openQueue(): Promise<PurgeQueue> {
    const probe = await connectRedis(this.#config.queueRedisUrl, { name: 'tenant-purge-cli' });
    probe.disconnect();
    if (this.#closed) throw new Error('Redis answered too late');
    this.#open = new PurgeQueue(queueAddress(this.#config), () => undefined);
    return this.#open;
  }
}

import type { Config } from '../config/config.ts';
import type { ArchiveParts } from '../engine/archive/archive-parts.ts';
import { CampaignStore } from '../postgres/ledger/campaigns.ts';
import { CommandStore } from '../postgres/ledger/commands.ts';
import { withReconcilerLock } from '../postgres/ledger/locks.ts';
import { PurgeStore } from '../postgres/ledger/purges.ts';
import { migrateLedger } from '../postgres/migrate.ts';
import type { EnqueueParts } from '../queue/enqueue.ts';
import { PurgeQueue } from '../queue/purge-queue.ts';
import type { ReconcileParts } from '../queue/reconcile.ts';
import { connectRedis } from '../redis/connect.ts';
import { plantRedisIdentity } from '../redis/identity.ts';
import { archiveParts } from './archive-parts.ts';
import { livePlanOf } from './live-plan.ts';
import { type ComposeOptions, composeObserver, type Observer } from './observer.ts';

/** Everything that acts: ledger migrated, queue open. */
export interface Actor extends Observer {
  readonly purges: PurgeStore;
  readonly campaigns: CampaignStore;
  readonly commands: CommandStore;
  readonly queue: PurgeQueue;
  readonly archive: ArchiveParts;
  readonly reconcile: ReconcileParts;
}

/** An observer, and an actor of it. @throws as `composeObserver` and `actOn` */
export async function composeActor(config: Config, options: ComposeOptions): Promise<Actor> {
  return actOn(await composeObserver(config, options), options);
}

/**
 * Adds ledger and queue to an observer, which from then on belongs to the actor: closing the actor
 * closes it, and so does a failure. The first write of the process: what has to be refused is
 * refused before.
 * @throws PurgeError LEDGER_NEWER, PRIVILEGE_MISSING, REDIS_UNREACHABLE (the queue's)
 */
export async function actOn(observer: Observer, options: ComposeOptions): Promise<Actor> {
  const { config } = observer;
  try {
    // Finds out within seconds whether the queue's Redis answers; the queue itself waits for ever.
    // Before anything is written: a process that cannot work leaves no ledger behind.
    const probe = await connectRedis(config.queueRedisUrl, {
      name: `tenant-purge-${options.role}`,
    });
    probe.disconnect();
    await migrateLedger(observer.database);
    const queue = new PurgeQueue(queueAddress(config), (error) =>
      observer.log.warn({ err: error }, 'the connection to the queue was lost'),
    );
    const purges = new PurgeStore(observer.database);
    const commands = new CommandStore(observer.database);
    const livePlan = livePlanOf(observer.database, observer.rules);
    return {
      ...observer,
      purges,
      campaigns: new CampaignStore(observer.database),
      commands,
      queue,
      archive: archiveParts(config, observer.database),
      reconcile: {
        purges,
        commands,
        queue,
        residueOf: async (tenantId) => observer.reader.residue(await livePlan.current(), tenantId),
        lockMs: config.worker.lockMs,
        log: observer.log,
        exclusively: (work) => withReconcilerLock(observer.database, work),
      },
      async close() {
        await queue.close().catch(() => undefined);
        await observer.close();
      },
    };
  } catch (error) {
    await observer.close();
    throw error;
  }
}

/** What enqueueing a campaign needs. */
export const enqueueParts = (actor: Actor): EnqueueParts => ({
  campaigns: actor.campaigns,
  queue: actor.queue,
  whereabouts: actor.whereabouts,
  plantRedisIdentity: (id) => plantRedisIdentity(actor.redis, id),
  log: actor.log,
});

/** Where the queue is, and what it is called there. */
export const queueAddress = (config: Config): { url: string; name: string; prefix: string } => ({
  url: config.queueRedisUrl,
  name: config.queue.name,
  prefix: config.queue.prefix,
});

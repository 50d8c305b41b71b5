import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { PurgeError } from '../domain/errors.ts';
import { isUuid } from '../domain/ids.ts';
import { KeepList } from '../domain/keep-list.ts';
import type { OrphanDeletion, OrphanFindings, OrphanRestore } from '../domain/orphans.ts';
import type { Failpoint } from '../engine/failpoints.ts';
import {
  type DeleteParts,
  deleteOrphans,
  fleetIsStopped,
} from '../engine/orphans/delete-orphans.ts';
import { type FindParts, findOrphans } from '../engine/orphans/find-orphans.ts';
import { restoreOrphans } from '../engine/orphans/restore-orphans.ts';
import { inTransaction, READ_ONLY } from '../postgres/database.ts';
import { CampaignStore } from '../postgres/ledger/campaigns.ts';
import { type OrphanClaim, OrphanRunStore } from '../postgres/ledger/orphan-runs.ts';
import { ledgerVersion, migrateLedger } from '../postgres/migrate.ts';
import { readPlan } from '../postgres/read-plan.ts';
import { TenantPresence } from '../postgres/tenant-presence.ts';
import { archiveAndUnlink } from '../redis/archive-keys.ts';
import { plantRedisIdentity, readRedisIdentity } from '../redis/identity.ts';
import { createKeyReader } from '../redis/key-reading.ts';
import { parseKeyTemplate } from '../redis/key-template.ts';
import { passOverKeyspace } from '../redis/keyspace-pass.ts';
import { lookAtKeys, putKeysBack } from '../redis/restore-keys.ts';
import { scanPattern } from '../redis/scan-pattern.ts';
import { archiveParts } from './archive-parts.ts';
import type { Observer } from './observer.ts';
import { processIdentity } from './process-identity.ts';

/** The version of the ledger from which on it knows archives. */
const ARCHIVE_VERSION = 7;
/** A process silent for longer has lost its run. */
const LEASE_MS = 15_000;
const LOOK_AGAIN_MS = 500;
/** Runs that an error names. */
const RUNS_NAMED = 5;

/** What was found, and what it takes to delete it. */
export interface OrphanLook {
  readonly findings: OrphanFindings;
  readonly tenantIds: readonly string[];
  delete(options: {
    readonly operator: string;
    readonly failpoint: Failpoint;
    readonly signal?: AbortSignal | undefined;
    readonly note: (line: string) => void;
  }): Promise<{ readonly deletion: OrphanDeletion; readonly findings: OrphanFindings }>;
}

/**
 * Finds the keys of tenants that are in no row of the tenant table. Reads only, also where there is no
 * ledger yet.
 * @throws PurgeError CONFIG_INVALID without key templates; PRIVILEGE_MISSING; STOP_ASKED
 */
export async function lookForOrphans(
  observer: Observer,
  signal?: AbortSignal,
): Promise<OrphanLook> {
  const { config, database, redis } = observer;
  if (config.redis.keys.length === 0) {
    throw new PurgeError('CONFIG_INVALID', 'redis.keys has no key template.', {
      remedy:
        'Name in redis.keys how keys have the id of their tenant, e.g. "tenant:{tenantId}:*".',
    });
  }
  const { tenant } = await inTransaction(database.pool, READ_ONLY, (client) =>
    readPlan(client, observer.rules),
  );
  const presence = await TenantPresence.open(database.pool, tenant);
  const runs = new OrphanRunStore(database);
  let version = await ledgerVersion(database);
  const templates = config.redis.keys.map(parseKeyTemplate);
  const parts: FindParts = {
    pages: () => passOverKeyspace(redis, scanPattern(templates)),
    read: createKeyReader({
      templates,
      excludePrefixes: [`${config.queue.prefix}:`],
      form: presence.form,
    }),
    presence: (ids) => presence.look(ids),
    busy: async (ids) =>
      version === null
        ? new Map()
        : runs.busy(tenant.table, ids, { archives: version >= ARCHIVE_VERSION }),
    keep: new KeepList(config.keep),
  };
  const tally = await findOrphans(parts, signal);
  const tenantIds = tally.tenantIds();

  return {
    findings: tally.findings(),
    tenantIds,
    async delete(options) {
      await migrateLedger(database);
      version = await ledgerVersion(database);
      if (await runs.isFleetStopped()) throw fleetIsStopped();
      const { store } = archiveParts(config, database);
      const place = { id: await store.identity(), location: store.location() };
      const claim = await claimRun(runs, options, {
        holder: processIdentity(),
        operator: options.operator,
        tenantTable: tenant.table,
        databaseIdentity: observer.whereabouts.databaseIdentity,
        redisIdentity: await plantRedisIdentity(redis, await lostIdentity(observer)),
        redisEndpoint: observer.whereabouts.redisEndpoint,
        templates: config.redis.keys,
        place,
        leaseMs: LEASE_MS,
      });
      const deleting: DeleteParts = {
        ...parts,
        runs,
        store,
        settleWriters: (waitMsMax) => presence.settleWriters(waitMsMax),
        archiveAndUnlink: (owned, keep) => archiveAndUnlink(redis, owned, keep),
        look: (keys) => lookAtKeys(redis, keys),
        putBack: (keys) => putKeysBack(redis, keys, 'skip'),
        failpoint: options.failpoint,
      };
      const done = await deleteOrphans(deleting, {
        run: claim.run,
        isResumed: claim.kind === 'resumed',
        confirmed: new Set(tenantIds),
        operator: options.operator,
        signal: options.signal,
      });
      return { deletion: done.deletion, findings: done.tally.findings() };
    },
  };
}

/** Puts the keys of a run back. @throws PurgeError as `restoreOrphans`; NOT_FOUND */
export async function restoreOrphanRun(
  observer: Observer,
  runId: string,
  options: { readonly operator: string; readonly signal?: AbortSignal | undefined },
): Promise<OrphanRestore> {
  const { config, database, redis } = observer;
  const runs = new OrphanRunStore(database);
  if ((await ledgerVersion(database)) === null) throw unknownRun(runId, []);
  await migrateLedger(database);
  const run = isUuid(runId) ? await runs.find(runId) : null;
  if (run === null) {
    const latest = await runs.list(RUNS_NAMED);
    throw unknownRun(
      runId,
      latest.map(({ id }) => id),
    );
  }
  return restoreOrphans(
    {
      runs,
      store: archiveParts(config, database).store,
      redisIdentity: await readRedisIdentity(redis),
      look: (keys) => lookAtKeys(redis, keys),
      putBack: (keys) => putKeysBack(redis, keys, 'skip'),
    },
    run,
    { ...options, leaseMs: LEASE_MS },
  );
}

/** A flushed Redis gets the identity back by which campaigns know it. */
async function lostIdentity({ database, whereabouts }: Observer): Promise<string> {
  const latest = await new CampaignStore(database).latest();
  return latest?.redisEndpoint === whereabouts.redisEndpoint ? latest.redisIdentity : randomUUID();
}

/** A process that was killed is only silent: its run is waited for as long as it may be alive. */
async function claimRun(
  runs: OrphanRunStore,
  options: { readonly signal?: AbortSignal | undefined; readonly note: (line: string) => void },
  request: Parameters<OrphanRunStore['claim']>[0],
): Promise<Extract<OrphanClaim, { kind: 'begun' | 'resumed' }>> {
  const giveUpAt = performance.now() + LEASE_MS + 2 * LOOK_AGAIN_MS;
  let isNoted = false;
  for (;;) {
    const claim = await runs.claim(request);
    switch (claim.kind) {
      case 'begun':
      case 'resumed':
        return claim;
      case 'elsewhere':
        throw new PurgeError(
          'ARCHIVE_PLACE',
          `Run ${claim.run.id} was begun with the archive at ${claim.run.location}; this process sees ${request.place.location}.`,
          { details: { archive: claim.run.location, here: request.place.location } },
        );
      case 'held':
        break;
      default:
        return claim satisfies never;
    }
    if (performance.now() > giveUpAt || options.signal?.aborted === true) {
      throw new PurgeError(
        'STATUS_CONFLICT',
        `Run ${claim.run.id} is under way, held by ${claim.run.holder}.`,
        { remedy: 'Wait for its end, or stop it with Ctrl-C there; then run the command again.' },
      );
    }
    if (!isNoted) options.note(`Waiting for ${claim.run.holder}, which holds an unfinished run.`);
    isNoted = true;
    await sleep(LOOK_AGAIN_MS);
  }
}

const unknownRun = (runId: string, latest: readonly string[]): PurgeError =>
  new PurgeError('NOT_FOUND', `The ledger has no run ${runId} of redis orphans.`, {
    details: { runs: latest },
    remedy:
      latest.length === 0
        ? 'No keys of orphans were ever deleted with this ledger.'
        : `The latest runs: ${latest.join(', ')}.`,
  });

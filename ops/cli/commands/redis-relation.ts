import { PurgeError } from '../../../src/domain/errors.ts';
import { findStrangeness } from '../../../src/engine/orphans/relation.ts';
import { CampaignStore } from '../../../src/postgres/ledger/campaigns.ts';
import { OrphanArchives } from '../../../src/postgres/ledger/orphan-archives.ts';
import { ledgerVersion } from '../../../src/postgres/migrate.ts';
import { readRedisIdentity } from '../../../src/redis/identity.ts';
import type { Observer } from '../../../src/runtime/observer.ts';

/** Why this database and this Redis may not belong together; null where nothing speaks against it. Only looks. */
export async function whyUnrelated({
  database,
  redis,
  whereabouts,
}: Observer): Promise<PurgeError | null> {
  const isLedger = (await ledgerVersion(database)) !== null;
  const differences = findStrangeness({
    here: whereabouts,
    marker: await readRedisIdentity(redis),
    campaign: isLedger ? await new CampaignStore(database).latest() : null,
    runs: (await new OrphanArchives(database).all()).toReversed(),
  });
  if (differences.length === 0) return null;
  return new PurgeError(
    'IDENTITY_MISMATCH',
    `This database and this Redis may not belong together: ${differences.join('; ')}.`,
    {
      details: { differences },
      remedy:
        'Check ENVIRONMENT, DATABASE_URL and REDIS_URL: beside the Redis of another environment its tenants look like orphans. If they do belong together, add --allow-unrelated.',
    },
  );
}

/** The run over this Redis that was stopped, or whose process died; null where there is none. Only looks. */
export async function findUnfinishedRun({ database, redis }: Observer): Promise<string | null> {
  const marker = await readRedisIdentity(redis);
  const runs = await new OrphanArchives(database).all();
  return runs.find((run) => run.endedAt === null && run.redisIdentity === marker)?.id ?? null;
}

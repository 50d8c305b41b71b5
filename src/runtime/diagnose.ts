import { disposableEmailBlocklist } from 'disposable-email-domains-js';
import type { Config } from '../config/config.ts';
import { type DiagnoseParts, type DiagnosisSink, diagnose } from '../diagnosis/diagnose.ts';
import { countOrphanKeys } from '../diagnosis/orphan-keys.ts';
import { PurgeError } from '../domain/errors.ts';
import { KeepList } from '../domain/keep-list.ts';
import { openDatabase } from '../postgres/database.ts';
import { connectRedis, type Redis } from '../redis/connect.ts';
import { parseKeyTemplate } from '../redis/key-template.ts';
import { rulesOf } from './plan-rules.ts';

const NAME = 'tenant-purge diagnose';
/** One for the transaction, one to cancel it. */
const CONNECTIONS = 2;

interface DiagnoseOptions {
  readonly asOf: Date | null;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Diagnosis as the configuration says. A Redis that is not there only leaves its keys uncounted: what is
 * in PostgreSQL can be told all the same. Reads only.
 * @throws PurgeError as `diagnose` does, and as `openDatabase` does
 */
export async function diagnoseTenants(
  config: Config,
  sink: DiagnosisSink,
  options: DiagnoseOptions,
): ReturnType<typeof diagnose> {
  const database = await openDatabase({
    url: config.databaseUrl,
    connectionsMax: CONNECTIONS,
    applicationName: NAME,
  });
  try {
    return await diagnose(
      {
        database,
        rules: rulesOf(config),
        settings: config.diagnosis,
        keep: new KeepList(config.keep),
        disposableDomains: disposableEmailBlocklist(),
        orphanKeys: config.redis.keys.length === 0 ? null : orphanCounter(config, options),
        ...options,
      },
      sink,
    );
  } finally {
    await database.close();
  }
}

function orphanCounter(
  config: Config,
  { signal }: DiagnoseOptions,
): NonNullable<DiagnoseParts['orphanKeys']> {
  return async ({ ids, keyType, existing }) => {
    let redis: Redis | null = null;
    try {
      redis = await connectRedis(config.redisUrl, { name: 'tenant-purge-diagnose' });
      return await countOrphanKeys({
        redis,
        templates: config.redis.keys.map(parseKeyTemplate),
        excludePrefixes: [`${config.queue.prefix}:`],
        keyType,
        tenantIds: ids,
        existing,
        signal,
      });
    } catch (thrown) {
      if (thrown instanceof PurgeError && thrown.code === 'REDIS_UNREACHABLE') {
        return { unknown: thrown.message };
      }
      throw thrown;
    } finally {
      redis?.disconnect();
    }
  };
}

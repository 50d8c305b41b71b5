import type { SweepKeyspace } from '../engine/sweep.ts';
import type { Redis } from '../redis/connect.ts';
import { countTenantKeys } from '../redis/count-keys.ts';
import type { KeyTemplate } from '../redis/key-template.ts';
import { sweepKeys } from '../redis/sweep.ts';

/** The application's keyspace as the engine sees it. `excludePrefixes`: the queue's own keys. */
export function makeKeyspace(options: {
  readonly redis: Redis;
  readonly templates: readonly KeyTemplate[];
  readonly excludePrefixes: readonly string[];
  readonly waitMs: number;
}): SweepKeyspace {
  const { redis, templates, excludePrefixes, waitMs } = options;
  return {
    waitMs,
    sweep: async (pass) => {
      await sweepKeys({ ...pass, redis, templates, excludePrefixes });
    },
    count: (tenantIds) => countTenantKeys(redis, templates, tenantIds, { excludePrefixes }),
  };
}

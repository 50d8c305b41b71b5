import { defineGroup } from '../command-group.ts';
import { redisOrphans } from './redis-orphans.ts';

/** Around the application's keys, besides what a purge does with them. */
export const redis = defineGroup({
  name: 'redis',
  summary: 'Find, delete and bring back keys of tenants that no longer exist',
  examples: ['redis orphans', 'redis orphans --delete'],
  commands: [redisOrphans],
});

import { expect, test } from 'vitest';
import { createDatabase } from '../support/postgres.ts';
import { claimRedisDatabase } from '../support/redis.ts';
import { runRandomKills } from './random-kills.ts';

const KILLS = Number(process.env['RANDOM_KILLS'] ?? 10);

test(`16. ${KILLS} kills at random moments leave what an undisturbed run leaves`, async () => {
  const [database, redis] = await Promise.all([createDatabase(), claimRedisDatabase()]);
  const place = {
    databaseUrl: database.url,
    redisUrl: redis.url,
    drop: async () => {
      await Promise.all([database.drop(), redis.release()]);
    },
  };
  const seed = Number(process.env['RANDOM_KILLS_SEED'] ?? 1848);
  const report = await runRandomKills(place, { kills: KILLS, scale: 0.05, seed });
  expect(report.takeovers).toBeGreaterThan(0);
}, 240_000);

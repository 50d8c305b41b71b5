import { createDatabase, runSql, type TestDatabase } from './postgres.ts';
import { openWorld, type PurgeWorld, type WorldOptions } from './purge-world.ts';
import { claimRedisDatabase } from './redis.ts';

/**
 * A database that tests copy, so that an application is built once a file.
 * @param build SQL for an empty database, or what builds the application in it
 */
export async function makeTemplate(
  build: string | ((url: string) => Promise<void>),
): Promise<TestDatabase> {
  const database = await createDatabase({ name: 'template' });
  if (typeof build === 'string') await runSql(database.url, build);
  else await build(database.url);
  return database;
}

/** A world in a copy of the template, which nobody else sees; end it with `close()`. */
export async function createWorld(
  options: WorldOptions & { readonly template: string },
): Promise<PurgeWorld> {
  const [database, redis] = await Promise.all([
    createDatabase({ name: 'world', template: options.template }),
    claimRedisDatabase(),
  ]);
  const place = {
    databaseUrl: database.url,
    redisUrl: redis.url,
    drop: async () => {
      await Promise.all([database.drop(), redis.release()]);
    },
  };
  try {
    return await openWorld(place, options);
  } catch (error) {
    await place.drop();
    throw error;
  }
}

import { setTimeout as pause } from 'node:timers/promises';
import { writeKeys } from '../application.ts';
import type { Draw } from '../draw.ts';
import type { Stage } from '../stage.ts';
import type { TcpProxy } from '../tcp-proxy.ts';

export async function crashPostgres(stage: Stage, draw: Draw): Promise<void> {
  const downMs = draw.whole(0, 2_500);
  stage.note(`PostgreSQL stopped immediately, for ${downMs} ms`);
  await stage.servers.crashPostgres(downMs);
  stage.note('PostgreSQL is back');
}

export async function endSessions(stage: Stage, draw: Draw): Promise<void> {
  for (let times = draw.whole(1, 6); times > 0; times -= 1) {
    stage.note('every session of the program is ended');
    await stage.pool
      .query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name like 'tenant-purge%'`,
      )
      .catch(() => undefined); // PostgreSQL itself may be away
    await pause(draw.whole(20, 500));
  }
}

const proxyOf = (stage: Stage, draw: Draw): TcpProxy => {
  const [first, ...rest] = stage.postgresProxies;
  if (first === undefined) throw new Error('the round has no proxy');
  return draw.pick([first, ...rest]);
};

export async function cutPostgres(stage: Stage, draw: Draw): Promise<void> {
  for (let times = draw.whole(1, 8); times > 0; times -= 1) {
    const cut = proxyOf(stage, draw).cut(() => draw.chance(0.7));
    stage.note(`${cut} connections to PostgreSQL reset`);
    await pause(draw.whole(5, 400));
  }
}

export async function swallowPostgres(stage: Stage, draw: Draw): Promise<void> {
  const proxies = draw.chance(0.5) ? [proxyOf(stage, draw)] : stage.postgresProxies;
  const how = draw.pick(['late', 'reset'] as const);
  const silentMs = draw.whole(500, 5_000);
  stage.note(
    `nothing passes to PostgreSQL by ${proxies.length} ways for ${silentMs} ms, then ${how}`,
  );
  for (const proxy of proxies) proxy.swallow();
  await pause(silentMs);
  for (const proxy of proxies) proxy.restore(how);
}

export async function strandPostgres(stage: Stage, draw: Draw): Promise<void> {
  const stranded = proxyOf(stage, draw).strand();
  stage.note(`${stranded} connections to PostgreSQL are dead from now on`);
}

/** The application fills its caches again; nobody writes keys of tenants that are to go. */
const refill = async (stage: Stage): Promise<void> =>
  writeKeys(
    stage.redis,
    stage.plan.tenants.filter(({ kept }) => kept),
  );

export async function flushRedis(stage: Stage, draw: Draw): Promise<void> {
  for (let times = draw.whole(1, 2); times > 0; times -= 1) {
    stage.note('FLUSHALL');
    await stage.redis.flushall();
    await refill(stage);
    await pause(draw.whole(0, 800));
  }
}

export async function crashRedis(stage: Stage, draw: Draw): Promise<void> {
  const downMs = draw.whole(0, 4_000);
  stage.note(`Redis killed, for ${downMs} ms`);
  await stage.servers.crashRedis(downMs);
  await refill(stage);
  stage.note('Redis is back, empty');
}

export async function hangRedis(stage: Stage, draw: Draw): Promise<void> {
  const hangMs = draw.whole(500, 4_000);
  stage.note(`Redis hangs for ${hangMs} ms`);
  await stage.servers.hangRedis(hangMs);
}

export async function refuseRedis(stage: Stage, draw: Draw): Promise<void> {
  const awayMs = draw.whole(1_000, 5_000);
  stage.note(`Redis refuses connections for ${awayMs} ms`);
  stage.redisProxy.refuse();
  await pause(awayMs);
  stage.redisProxy.restore('reset');
}

export async function cutRedis(stage: Stage, draw: Draw): Promise<void> {
  for (let times = draw.whole(1, 8); times > 0; times -= 1) {
    const cut = stage.redisProxy.cut(() => draw.chance(0.5));
    stage.note(`${cut} connections to Redis reset`);
    await pause(draw.whole(5, 400));
  }
}

export async function swallowRedis(stage: Stage, draw: Draw): Promise<void> {
  const silentMs = draw.whole(500, 4_000);
  const how = draw.pick(['late', 'reset'] as const);
  stage.note(`nothing passes to Redis for ${silentMs} ms, then ${how}`);
  stage.redisProxy.swallow();
  await pause(silentMs);
  stage.redisProxy.restore(how);
}

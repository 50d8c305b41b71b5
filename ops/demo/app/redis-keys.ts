import { type ChainableCommander, Redis } from 'ioredis';
import { DEMO, type DemoSize, listTestTenantIds, readSeed } from './identities.ts';

/** Keys and commands sent before their replies are awaited. */
const PIPELINE_KEYS = 2_000;

/** Long enough that no key expires while the demo is looked at. */
const TTL_S = 30 * 24 * 3600;

/** Keys per tenant: `tenant:{tenantId}:…` of five kinds, and one `ratelimit:{tenantId}`. */
const PER_TENANT = { sessions: 16, caches: 34, channels: 3, rankings: 2 } as const;

export interface RedisSeedReport {
  readonly tenantKeys: number;
  readonly strayKeys: number;
  readonly durationMs: number;
}

/**
 * Writes the application's keys: 56 per tenant (kept ones too), and keys of nobody, some of which
 * look like a tenant's. Idempotent; deletes nothing that is there.
 * @throws ReplyError of the first command that Redis refuses, the connection error if it is unreachable.
 */
export async function seedRedis(redisUrl: string, size: DemoSize = {}): Promise<RedisSeedReport> {
  const startedAt = performance.now();
  const tenantIds = [...DEMO.kept.map((tenant) => tenant.id), ...listTestTenantIds(size)];
  const strayKeys = Math.round(DEMO.strayKeys * (size.scale ?? 1));
  const redis = new Redis(redisUrl, { lazyConnect: true, retryStrategy: () => null });
  // connect() itself only says that the connection was closed; the cause comes as an event.
  let cause: unknown;
  redis.on('error', (error) => {
    cause = error;
  });
  try {
    await redis.connect().catch((error: unknown) => {
      throw cause ?? error;
    });
    const writer = new PipelineWriter(redis);
    for (const tenantId of tenantIds) {
      writeTenantKeys(writer, tenantId, readSeed(size));
      await writer.flushIfFull();
    }
    for (let n = 1; n <= strayKeys; n += 1) {
      writeStrayKey(writer, n, tenantIds[n % tenantIds.length] ?? '');
      await writer.flushIfFull();
    }
    await writer.flush();
  } finally {
    redis.disconnect();
  }
  const perTenant = Object.values(PER_TENANT).reduce((sum, count) => sum + count, 1);
  return {
    tenantKeys: tenantIds.length * perTenant,
    strayKeys,
    durationMs: Math.round(performance.now() - startedAt),
  };
}

function writeTenantKeys(writer: PipelineWriter, tenantId: string, seed: number): void {
  const { commands } = writer;
  const prefix = `tenant:${tenantId}`;
  for (let n = 1; n <= PER_TENANT.sessions; n += 1) {
    commands.hset(
      `${prefix}:session:${n}`,
      'member',
      `m${n}`,
      'role',
      n % 3 === 0 ? 'owner' : 'editor',
    );
    if (n % 2 === 0) commands.expire(`${prefix}:session:${n}`, TTL_S);
  }
  for (let n = 1; n <= PER_TENANT.caches; n += 1) {
    if (n % 8 === 0) commands.set(`${prefix}:cache:${n}`, `${seed}/${n}`, 'EX', TTL_S);
    else writer.addPlain(`${prefix}:cache:${n}`, `${seed}/${n}`);
  }
  for (let n = 1; n <= PER_TENANT.channels; n += 1) {
    commands.sadd(`${prefix}:channel:${n}`, 'mail', 'chat', `web-${n}`);
  }
  for (let n = 1; n <= PER_TENANT.rankings; n += 1) {
    commands.zadd(`${prefix}:ranking:${n}`, n, 'scout', n + 1, 'clerk');
  }
  commands.set(`ratelimit:${tenantId}`, '60', 'EX', TTL_S);
}

/** Keys that no purge may take: plain ones, and look-alikes that differ from a template by a little. */
function writeStrayKey(writer: PipelineWriter, n: number, tenantId: string): void {
  const { commands } = writer;
  switch (n % 20) {
    case 0:
      writer.addPlain(`tenant:${tenantId.slice(0, 8)}:cache:${n}`, 'prefix of an id');
      break;
    case 1:
      writer.addPlain(`tenants:${tenantId}:cache:${n}`, 'another first word');
      break;
    case 2:
      writer.addPlain(`tenant:${tenantId}0:cache:${n}`, 'longer id');
      break;
    case 3:
      writer.addPlain(`ratelimit:${tenantId}:${n}`, 'longer than the template');
      break;
    case 4:
      writer.addPlain(`archive:tenant:${tenantId}:${n}`, 'the template in the middle');
      break;
    case 5:
    case 6:
      commands.hset(`session:${n}`, 'visitor', `v${n}`);
      commands.expire(`session:${n}`, TTL_S);
      break;
    case 7:
      commands.sadd(`feature:${n}`, 'beta', 'internal');
      break;
    case 8:
      commands.zadd(`feature:${n}`, n, 'rollout');
      break;
    default:
      writer.addPlain(n % 2 === 0 ? `session:${n}` : `feature:${n}`, `${n}`);
  }
}

/** Collects commands and sends them in pipelines of bounded size; plain strings go as one MSET. */
class PipelineWriter {
  readonly #redis: Redis;
  #plain: string[] = [];
  commands: ChainableCommander;

  constructor(redis: Redis) {
    this.#redis = redis;
    this.commands = redis.pipeline();
  }

  addPlain(key: string, value: string): void {
    this.#plain.push(key, value);
  }

  async flushIfFull(): Promise<void> {
    if (this.commands.length + this.#plain.length / 2 >= PIPELINE_KEYS) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#plain.length > 0) this.commands.mset(this.#plain);
    const replies = await this.commands.exec();
    for (const [error] of replies ?? []) if (error) throw error;
    this.#plain = [];
    this.commands = this.#redis.pipeline();
  }
}

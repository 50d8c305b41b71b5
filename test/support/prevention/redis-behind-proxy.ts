import { Redis } from 'ioredis';
import { TcpProxy } from '../../chaos/tcp-proxy.ts';
import { claimRedisDatabase } from '../redis.ts';

/** A Redis that a test can take away. */
export interface RedisBehindProxy {
  /** As an application has it: ioredis with its defaults, through the proxy. */
  readonly redis: Redis;
  /** Past the proxy. */
  readonly direct: Redis;
  readonly proxy: TcpProxy;
  close(): Promise<void>;
}

export async function openRedisBehindProxy(): Promise<RedisBehindProxy> {
  const database = await claimRedisDatabase();
  const url = new URL(database.url);
  const proxy = await TcpProxy.open(Number(url.port));
  const direct = new Redis(database.url);
  url.port = String(proxy.port);
  const redis = new Redis(url.href);
  redis.on('error', () => undefined);
  await redis.ping();
  return {
    redis,
    direct,
    proxy,
    async close() {
      redis.disconnect();
      await proxy.close();
      direct.disconnect();
      await database.release();
    },
  };
}

import { Redis } from 'ioredis';
import { inject } from 'vitest';

/** A numbered Redis database of a test's own, empty when claimed. */
export type TestRedisDatabase = {
  readonly url: string;
  /** Empties it and lets the next test have it; idempotent. */
  release(): Promise<void>;
};

// Database 0 is the register: who has which number, across all of vitest's processes.
const nextNumberKey = 'test:next-database';
const freeNumbersKey = 'test:free-databases';
const lastNumber = 511;

/** Claims a database number that no other test has, and empties it. */
export async function claimRedisDatabase(): Promise<TestRedisDatabase> {
  const number = await withRegister(async (register) => {
    const freed = await register.lpop(freeNumbersKey);
    return freed === null ? register.incr(nextNumberKey) : Number(freed);
  });
  if (number > lastNumber) {
    throw new Error(`All ${lastNumber} Redis databases of the test run are claimed; release some.`);
  }
  const url = `${inject('redisUrl')}/${number}`;
  await empty(url);
  let released: Promise<void> | undefined;
  const release = async (): Promise<void> => {
    await empty(url);
    await withRegister((register) => register.rpush(freeNumbersKey, number));
  };
  return { url, release: () => (released ??= release()) };
}

async function empty(url: string): Promise<void> {
  await withClient(url, (client) => client.flushdb());
}

function withRegister<T>(use: (register: Redis) => Promise<T>): Promise<T> {
  return withClient(inject('redisUrl'), use);
}

async function withClient<T>(url: string, use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url);
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}

import type { Redis } from 'ioredis';
import { awaitReply } from './redis-error.ts';

/** Larger pages gained nothing over 700,000 keys; smaller ones block the server less. */
const SCAN_COUNT = 2_000;
/** SCAN begins and ends with it. */
export const FIRST_CURSOR = '0';

interface ScanOptions {
  /** MATCH pattern; null looks at every key. */
  readonly pattern: string | null;
  /** Buckets per page; default SCAN_COUNT. */
  readonly count?: number;
  /** Where an earlier scan of the same server process stood. */
  readonly cursor?: string;
}

export interface KeyPage {
  /** From here the next page begins; `0` behind the last. */
  readonly cursor: string;
  /** Byte text. */
  readonly keys: string[];
}

/**
 * One pass over the keyspace, page by page; the next page is on its way while the caller handles
 * this one. Every key that exists throughout the pass is seen, some of them perhaps twice (SCAN
 * promises no more). Read-only.
 */
export async function* scanKeyspace(redis: Redis, options: ScanOptions): AsyncGenerator<KeyPage> {
  let reply = requestPage(redis, options, options.cursor ?? FIRST_CURSOR);
  try {
    // Ends when the server gives the first cursor again.
    for (;;) {
      const page = await awaitReply(reply);
      if (page.cursor === FIRST_CURSOR) {
        yield page;
        return;
      }
      reply = requestPage(redis, options, page.cursor);
      yield page;
    }
  } finally {
    // A caller that stops early leaves a page behind, which may fail unseen.
    reply.catch(() => undefined);
  }
}

async function requestPage(redis: Redis, options: ScanOptions, cursor: string): Promise<KeyPage> {
  const count = options.count ?? SCAN_COUNT;
  const [next, keys] =
    options.pattern === null
      ? await redis.scanBuffer(cursor, 'COUNT', count)
      : await redis.scanBuffer(cursor, 'MATCH', options.pattern, 'COUNT', count);
  return { cursor: next.toString('latin1'), keys: keys.map((key) => key.toString('latin1')) };
}

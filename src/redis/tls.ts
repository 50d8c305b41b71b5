import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { PurgeError } from '../domain/errors.ts';
import { redisCaFile } from '../domain/redis-tls.ts';

/**
 * What ioredis, and BullMQ through it, need besides a `rediss://` URL; nothing for `redis://`. The
 * certificate must be signed by the CA of the URL's `ssl_ca_certs`, or by one that Node.js knows
 * (NODE_EXTRA_CA_CERTS adds to these), and be made for the host name.
 * @throws PurgeError CONFIG_INVALID where the CA's file cannot be read
 */
export function redisTls(url: string): { readonly tls?: ConnectionOptions } {
  const { protocol, hostname } = new URL(url);
  if (protocol !== 'rediss:') return {};
  const caFile = redisCaFile(url);
  return {
    tls: {
      // ioredis does not say by itself which name it wants; servers behind a proxy need to know.
      ...(isIP(hostname.replace(/^\[|\]$/g, '')) === 0 ? { servername: hostname } : {}),
      ...(caFile === null ? {} : { ca: readCa(caFile) }),
    },
  };
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (thrown) {
    const code = (thrown as { code?: unknown }).code;
    throw new PurgeError(
      'CONFIG_INVALID',
      `REDIS_TLS_CA_FILE: ${file} cannot be read (${String(code)}).`,
      {
        details: { file },
        remedy: 'Name in REDIS_TLS_CA_FILE a PEM file that this user may read.',
        cause: thrown,
      },
    );
  }
}

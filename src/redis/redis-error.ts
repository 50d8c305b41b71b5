import { PurgeError } from '../domain/errors.ts';

const PRIVILEGE_REPLIES = ['NOPERM', 'NOAUTH'];
const CONNECTION_ERRORS = ['MaxRetriesPerRequestError', 'AbortError'];
const CLOSED = 'Connection is closed';

/**
 * What a Redis command threw, as an error an operator can act on: lost connections and missing
 * privileges become PurgeErrors, everything else is returned as it is.
 */
export function toRedisError(thrown: unknown): Error {
  if (!(thrown instanceof Error)) return new Error(String(thrown));
  if (CONNECTION_ERRORS.includes(thrown.name) || thrown.message.includes(CLOSED)) {
    return new PurgeError('REDIS_UNREACHABLE', 'The connection to Redis was lost in mid-work.', {
      cause: thrown,
    });
  }
  if (PRIVILEGE_REPLIES.some((reply) => thrown.message.startsWith(reply))) {
    return new PurgeError('PRIVILEGE_MISSING', `Redis refuses a command: ${thrown.message}`, {
      cause: thrown,
      remedy:
        'Allow the user of REDIS_URL the commands SCAN, UNLINK, SET, GET and INFO on all keys.',
    });
  }
  return thrown;
}

/** Awaits a Redis reply; rejects with what `toRedisError` makes of the error. */
export async function awaitReply<Reply>(reply: Promise<Reply>): Promise<Reply> {
  try {
    return await reply;
  } catch (thrown) {
    throw toRedisError(thrown);
  }
}

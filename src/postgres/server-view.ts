import pg from 'pg';
import type { ServerView } from './answer-watch.ts';

const ASK_MS = 5_000;

/**
 * Asks the server about statements by their tags. A new connection for each question: that it can be
 * made at all is half of the answer, and questions are rare. A role sees its own sessions, whatever
 * its privileges.
 */
export function makeServerView(config: pg.ClientConfig): ServerView {
  /** Rows of the answer; null where a connection could be made but gave none. */
  const ask = async (
    text: string,
    tags: readonly string[],
  ): Promise<Record<string, unknown>[] | null> => {
    const client = new pg.Client({
      ...config,
      connectionTimeoutMillis: ASK_MS,
      query_timeout: ASK_MS,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      // Behind a pooler all of whose connections are busy the question waits, and nobody is dead.
      const answer = await client.query(text, [[...tags]]).catch(() => null);
      return answer?.rows ?? null;
    } finally {
      leave(client);
    }
  };
  return {
    async working(tags) {
      const rows = await ask(
        // One that has ended and cannot hand over its answer waits for its client.
        `select current_setting('track_activities')::bool as tells, array(
           select ${TAG} from pg_stat_activity a
           where ${TAG} = any($1) and a.state = 'active' and a.wait_event is distinct from 'ClientWrite'
         ) as working`,
        tags,
      );
      const { tells, working } = rows?.[0] ?? {};
      return tells === true ? new Set(working as string[]) : null;
    },
    async cancel(tags) {
      await ask(
        `select pg_cancel_backend(a.pid) from pg_stat_activity a
         where ${TAG} = any($1) and a.state = 'active' and a.pid <> pg_backend_pid()`,
        tags,
      );
    },
  };
}

/** The comment that a statement begins with. */
const TAG = `split_part(a.query, '*/', 1) || '*/'`;

/** In order where that goes quickly, at once otherwise. */
function leave(client: pg.Client): void {
  const { connection } = client as unknown as {
    readonly connection?: { readonly stream?: { destroy(): void } };
  };
  const timer = setTimeout(() => connection?.stream?.destroy(), 1_000).unref();
  client.end().then(
    () => clearTimeout(timer),
    () => undefined,
  );
}

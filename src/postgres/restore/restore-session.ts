import type pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { COPY_SETTINGS } from '../../domain/archive.ts';
import type { RestoreHold } from '../../domain/restore.ts';
import { type Database, READ_COMMITTED, withConnection } from '../database.ts';
import type { BatchLimits } from '../rows/batch-bookkeeping.ts';
import { literal } from '../rows/row-predicate.ts';

/** A transaction of a restore, as those who fill it see it. */
export interface RestoreSession {
  run(sql: string): Promise<pg.QueryResult>;
  /** Rows as the driver gives them. */
  ask<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]>;
  /** COPY … FROM STDIN of this text. @returns rows */
  copyIn(sql: string, blocks: AsyncIterable<Uint8Array>): Promise<number>;
  /** COPY … TO STDOUT, handed on block by block. */
  copyOut(sql: string, take: (block: Buffer) => void): Promise<void>;
  /** Runs `work`; what it did is undone where it throws, and the transaction goes on. */
  attempt<Result>(work: () => Promise<Result>): Promise<Result>;
}

/** A worker that freezes inside a transaction keeps its locks: the server ends its session after this long. */
const IDLE_IN_TRANSACTION_MS = 10_000;
/** A look may take long: it counts, joins and sorts all that is archived. */
const LOOK_TIMEOUT_MS = 3_600_000;
const LOOK_IDLE_MS = 60_000;
/** For the joins of a look and of a read-back. */
const LOOK_MEMORY = '128MB';

/** Opens the transactions of one restore. All that it sets ends with them: a pooler will do. */
export class RestoreSessions {
  readonly #pool: pg.Pool;
  readonly #limits: BatchLimits;
  readonly #settings: Readonly<Record<string, string>>;

  /** @param searchPath as it was when the rows were archived: names in their text were written under it */
  constructor(database: Database, limits: BatchLimits, searchPath: string) {
    this.#pool = database.pool;
    this.#limits = limits;
    this.#settings = {
      ...COPY_SETTINGS,
      search_path: searchPath,
      // What a policy would hide is an error instead.
      row_security: 'off',
      // An archived xml may be a fragment.
      xmloption: 'content',
      // A test tenant that comes back is meant: the trigger of the prevention lets it in.
      'tenant_purge.allow_signup': '*',
    };
  }

  /**
   * One batch: all of `work` or nothing, and only while the hold is ours and nobody asked for a stop.
   * @throws driver errors; TP001 the hold is another's, TP002 a stop was asked for
   */
  async batch<Result>(
    hold: RestoreHold,
    work: (session: RestoreSession) => Promise<Result>,
    beforeCommit: () => Promise<void> = () => Promise.resolve(),
  ): Promise<Result> {
    const { lockTimeoutMs, statementTimeoutMs } = this.#limits;
    // A process that was frozen while rows stream to it holds no lock for longer than an idle one.
    const settings = { ...this.#settings, tcp_user_timeout: String(IDLE_IN_TRANSACTION_MS) };
    const enter = `select tenant_purge.enter_restore(${literal(hold.purgeId)}, ${hold.epoch},
      ${lockTimeoutMs}, ${statementTimeoutMs}, ${IDLE_IN_TRANSACTION_MS},
      ${literal(JSON.stringify(settings))})`;
    return withConnection(this.#pool, async (client) => {
      await client.query(`${READ_COMMITTED};\n${enter}`);
      const result = await work(new Session(client));
      await beforeCommit();
      await client.query('commit');
      return result;
    });
  }

  /** A look: whatever `work` writes, into temporary tables only, is rolled back. */
  async look<Result>(work: (session: RestoreSession) => Promise<Result>): Promise<Result> {
    const settings = {
      ...this.#settings,
      lock_timeout: String(this.#limits.lockTimeoutMs),
      statement_timeout: String(LOOK_TIMEOUT_MS),
      idle_in_transaction_session_timeout: String(LOOK_IDLE_MS),
      work_mem: LOOK_MEMORY,
    };
    const set = Object.entries(settings).map(
      ([name, value]) => `set_config(${literal(name)}, ${literal(value)}, true)`,
    );
    return withConnection(this.#pool, async (client) => {
      await client.query(`begin isolation level repeatable read;\nselect ${set.join(', ')}`);
      const result = await work(new Session(client));
      await client.query('rollback');
      return result;
    });
  }
}

class Session implements RestoreSession {
  readonly #client: pg.ClientBase;
  #savepoints = 0;

  constructor(client: pg.ClientBase) {
    this.#client = client;
  }

  run(sql: string): Promise<pg.QueryResult> {
    return this.#client.query(sql);
  }

  async ask<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]> {
    return (await this.#client.query<Row>(sql)).rows;
  }

  /**
   * Not by `pipeline`: it would destroy the stream once more behind an error of the server's, when the
   * connection is another statement's already. Where the source fails, CopyFail ends the COPY, and the
   * connection stays usable.
   */
  async copyIn(sql: string, blocks: AsyncIterable<Uint8Array>): Promise<number> {
    const stream = this.#client.query(copyFrom(sql));
    let failure: unknown = null;
    const ended = new Promise<void>((resolve) => {
      stream.once('finish', resolve);
      stream.on('error', (error) => {
        failure ??= error;
        resolve();
      });
    });
    try {
      for await (const block of blocks) {
        if (failure !== null) break;
        if (block.length > 0 && !stream.write(block)) {
          await Promise.race([once(stream, 'drain'), ended]);
        }
      }
    } catch (error) {
      if (failure === null) {
        stream.destroy(error as Error);
        await ended;
      }
      throw error;
    }
    if (failure === null) stream.end();
    await ended;
    if (failure !== null) throw failure;
    return stream.rowCount;
  }

  async copyOut(sql: string, take: (block: Buffer) => void): Promise<void> {
    const stream = this.#client.query(copyTo(sql));
    for await (const block of stream) take(block as Buffer);
  }

  async attempt<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#savepoints += 1;
    const name = `restore_${this.#savepoints}`;
    await this.run(`savepoint ${name}`);
    try {
      const result = await work();
      await this.run(`release savepoint ${name}`);
      return result;
    } catch (error) {
      await this.run(`rollback to savepoint ${name}; release savepoint ${name}`);
      throw error;
    }
  }
}

const once = (
  stream: { once(event: string, listener: () => void): unknown },
  event: string,
): Promise<void> => new Promise((resolve) => void stream.once(event, resolve));

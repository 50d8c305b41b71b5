import { randomBytes } from 'node:crypto';
import { readFault } from './sqlstate.ts';

/** A connection as the watch sees it. */
export interface WatchedConnection {
  /** Bytes that have arrived on it so far. */
  bytesRead(): number;
  /** Whether nothing is read from it for now: who takes the data of a COPY is not that fast. */
  isHeld(): boolean;
  /** Ends it at once; what is asked on it fails with this error. */
  cut(error: Error): void;
}

/** A statement that has been sent and has no answer yet. */
interface Asked {
  readonly tag: string;
  readonly connection: WatchedConnection;
  readonly askedAt: number;
  /** It has a deadline of its own: a batch, or a statement of the ledger. */
  readonly hasDeadline: boolean;
  bytesRead: number;
  /** Looks in a row at which the server was not working on it. */
  misses: number;
}

/** What the server says about statements, asked on a connection of the question's own. */
export interface ServerView {
  /** Tags of the statements that it works on; null where it does not tell. Throws where it is away. */
  working(tags: readonly string[]): Promise<ReadonlySet<string> | null>;
  /** Ends statements whose connections are gone. */
  cancel(tags: readonly string[]): Promise<void>;
}

/** How soon a statement is looked for, and how often. */
interface Pace {
  readonly slowMs: number;
  readonly everyMs: number;
}

const PACE: Pace = { slowMs: 5_000, everyMs: 2_000 };
/** While the process ends nobody waits for long. */
const HURRIED: Pace = { slowMs: 1_500, everyMs: 500 };
/** An answer may be on its way while the server is asked. */
const MISSES_MAX = 2;
/** Nobody can be asked for so long: the server is gone, and the connection with it. */
const UNREACHABLE_MS = 60_000;
/** Where the server does not tell (`track_activities` is off), the age of a statement decides. */
const UNTOLD_MS = 900_000;
/** The server works on it, but whom would it still serve? */
const WORKING_MS = 6 * 3_600_000;
/** A read under way when the process is to end has this long to do so by itself. */
const LAST_READ_MS = 2_000;

/**
 * Tells a slow statement from a dead connection. A count over a large table may take an hour, and a
 * connection that died in silence (a pulled cable, a firewall that forgot it) never answers: a deadline
 * fit for the first would hold a worker for an hour at the second. So each statement carries a tag, and
 * one that takes long is looked for in `pg_stat_activity` from a fresh connection: as long as the server
 * works on it, or bytes of its answer arrive, it may take its time; where neither is so, its connection
 * is cut and the statement fails as on any lost connection. A tag, since a pooler has the server's
 * process number to itself.
 */
export class AnswerWatch {
  readonly #view: ServerView;
  readonly #prefix = randomBytes(4).toString('hex');
  readonly #asked = new Map<string, Asked>();
  readonly #idle = new Set<WatchedConnection>();
  #count = 0;
  #hurries = 0;
  #unreachableSince: number | null = null;
  #looking = false;
  #timer: NodeJS.Timeout;

  constructor(view: ServerView) {
    this.#view = view;
    this.#timer = this.#tickIn(PACE);
  }

  /** Notes a statement; its text has to begin with the tag. Call `answered` when it has ended. */
  ask(connection: WatchedConnection, options: { readonly hasDeadline: boolean }): string {
    this.#count += 1;
    const tag = `/*tp ${this.#prefix}:${this.#count}*/`;
    this.#asked.set(tag, {
      tag,
      connection,
      askedAt: performance.now(),
      hasDeadline: options.hasDeadline,
      bytesRead: connection.bytesRead(),
      misses: 0,
    });
    return tag;
  }

  answered(tag: string): void {
    this.#asked.delete(tag);
  }

  /** The connection waits in the pool for its next borrower, or does so no more. */
  setIdle(connection: WatchedConnection, isIdle: boolean): void {
    if (isIdle) this.#idle.add(connection);
    else this.#idle.delete(connection);
  }

  /** What befell one connection befell its neighbours too: the pool makes new ones. */
  cutIdle(error: Error): void {
    for (const connection of this.#idle) connection.cut(error);
    this.#idle.clear();
  }

  /**
   * From now on, until the function that it returns is called, statements are looked for sooner, and
   * reads are given up after two seconds; the server is told to stop working on them.
   */
  hurry(): () => void {
    this.#hurries += 1;
    clearTimeout(this.#timer);
    this.#timer = this.#tickIn(HURRIED);
    let over = false;
    return () => {
      if (!over) this.#hurries -= 1;
      over = true;
    };
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #tickIn({ everyMs }: Pace): NodeJS.Timeout {
    // A process with nothing left to do but wait for this has nothing left to do.
    return setTimeout(() => {
      this.#look().catch(() => undefined);
      this.#timer = this.#tickIn(this.#pace());
    }, everyMs).unref();
  }

  #pace(): Pace {
    return this.#hurries > 0 ? HURRIED : PACE;
  }

  async #look(): Promise<void> {
    if (this.#hurries > 0) this.#giveUpReads();
    const slow = this.#slow();
    if (slow.length === 0) this.#unreachableSince = null;
    if (slow.length === 0 || this.#looking) return;
    this.#looking = true;
    try {
      const working = await this.#view.working(slow.map(({ tag }) => tag));
      this.#unreachableSince = null;
      for (const one of slow) this.#judge(one, working);
    } catch (error) {
      this.#judgeUnreachable(slow, error);
    } finally {
      this.#looking = false;
    }
  }

  /** Statements that take long and of whose answer nothing has arrived since the last look. */
  #slow(): Asked[] {
    const before = performance.now() - this.#pace().slowMs;
    return [...this.#asked.values()].filter((one) => {
      if (one.askedAt > before) return false;
      const bytesRead = one.connection.bytesRead();
      const isArriving = bytesRead !== one.bytesRead || one.connection.isHeld();
      one.bytesRead = bytesRead;
      if (isArriving) one.misses = 0;
      return !isArriving;
    });
  }

  #judge(one: Asked, working: ReadonlySet<string> | null): void {
    if (!this.#asked.has(one.tag)) return;
    const ageMs = performance.now() - one.askedAt;
    if (working === null || working.has(one.tag)) {
      one.misses = 0;
      const limitMs = working === null ? UNTOLD_MS : WORKING_MS;
      if (ageMs > limitMs) this.#giveUp(one, `no answer came for ${limitMs / 1_000} s`);
      return;
    }
    if (one.connection.bytesRead() !== one.bytesRead || one.connection.isHeld()) return;
    one.misses += 1;
    if (one.misses < MISSES_MAX) return;
    this.#giveUp(one, 'the server does not work on the statement any more, and no answer came');
  }

  /** A server that refuses the question, as one without a free connection, is there. */
  #judgeUnreachable(slow: readonly Asked[], error: unknown): void {
    const isThere = readFault(error).sqlState !== null;
    const now = performance.now();
    this.#unreachableSince = isThere ? null : (this.#unreachableSince ?? now);
    const isGone = this.#unreachableSince !== null && now - this.#unreachableSince > UNREACHABLE_MS;
    for (const one of slow) {
      if (isGone)
        this.#giveUp(one, `the server could not be reached for ${UNREACHABLE_MS / 1_000} s`);
      else this.#judge(one, null);
    }
  }

  #giveUp(one: Asked, why: string): void {
    if (!this.#asked.delete(one.tag)) return;
    const error = deadConnection(why);
    one.connection.cut(error);
    this.cutIdle(error);
  }

  /** Only reads: a batch is short, and cutting it would undo its work. */
  #giveUpReads(): void {
    const before = performance.now() - LAST_READ_MS;
    const late = [...this.#asked.values()].filter(
      ({ askedAt, hasDeadline }) => !hasDeadline && askedAt <= before,
    );
    if (late.length === 0) return;
    for (const { tag, connection } of late) {
      this.#asked.delete(tag);
      connection.cut(new ReadGivenUp());
    }
    this.#view.cancel(late.map(({ tag }) => tag)).catch(() => undefined);
  }
}

/** A read that was under way when its process was to end. It has changed nothing. */
export class ReadGivenUp extends Error {
  override readonly name = 'ReadGivenUp';
  /** Classed as any connection that is lost. */
  readonly code = 'ECONNABORTED';

  constructor() {
    super('the process ends: the read was given up');
  }
}

/** Classed as any connection that is lost. */
const deadConnection = (why: string): Error =>
  Object.assign(new Error(`the connection to PostgreSQL is dead: ${why}`), { code: 'ETIMEDOUT' });

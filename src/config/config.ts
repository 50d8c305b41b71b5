import type { FileConfig } from './schema.ts';

/** Configuration of one process: the file, and what the environment says. */
export interface Config extends FileConfig {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly queueRedisUrl: string;
  /** Form of `environmentName()`; unset is `production`. */
  readonly environment: string;
  /** `keep` of the file and KEEP_TENANT_ID together, no duplicates. */
  readonly keep: string[];
  /** CONFIRM_CLEANUP, the phrase instead of the prompt. */
  readonly confirmation: string | null;
  readonly logLevel: string;
  /** TENANT_PURGE_FAILPOINT, `name:count`: a worker kills itself there. For tests of crashes only. */
  readonly failpoint: string | null;
  readonly board: {
    readonly host: string;
    readonly port: number;
    /** Whoever signs in with `password`; may change things. */
    readonly user: string;
    readonly password: string | null;
    /** Signs in as `viewer`, who sees everything and changes nothing. */
    readonly viewerPassword: string | null;
    /** A proxy that signs people in before the board; null where there is none. */
    readonly proxy: BoardProxy | null;
  };
  /** Absolute path of the file; null where the configuration was handed in by a program. */
  readonly file: string | null;
}

export interface BoardProxy {
  /** The header in which it names who is signed in; lower case. */
  readonly header: string;
  /** Addresses and networks (`10.1.2.0/24`) from which the header is believed. */
  readonly addresses: readonly string[];
  /** Who of them may change things; null: everyone whom it lets in. */
  readonly operators: readonly string[] | null;
  /** Where people open the board, e.g. `https://purge.example.com`; only from there it is changed. */
  readonly origin: string;
}

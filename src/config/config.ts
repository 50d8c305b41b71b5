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
    readonly user: string;
    readonly password: string | null;
  };
  /** Absolute path of the file; null where the configuration was handed in by a program. */
  readonly file: string | null;
}

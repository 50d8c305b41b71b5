/** What the services are asked for, and what they answer. Shared by the caller and the guardian. */

/** Settings of `postgresql.conf` by name, given to the server on its command line. */
export type PostgresSettings = Readonly<Record<string, string | number | boolean>>;

/** PEM files of a server's certificate and key. */
export type TlsFiles = { readonly certificateFile: string; readonly keyFile: string };

export type ServiceOptions = {
  /** Folder of everything the services write; created when missing. */
  readonly dataDir: string;
  /** Major version, '14' to '18'; the installed one when left out. */
  readonly postgresVersion?: string;
  /** Empties the folder's PostgreSQL first. */
  readonly fresh?: boolean;
  /** Removes the whole folder when the services end, however they end. */
  readonly ephemeral?: boolean;
  /**
   * False: no PostgreSQL. `port`: a fixed one instead of a free one. `tls`: it offers TLS, and with
   * `tlsOnly` lets nobody in without.
   */
  readonly postgres?:
    | false
    | {
        readonly settings?: PostgresSettings;
        readonly port?: number;
        readonly tls?: TlsFiles;
        readonly tlsOnly?: boolean;
      };
  /** False: no Redis. `databases`: how many numbered databases (16). `tls`: it speaks TLS only. */
  readonly redis?:
    | false
    | { readonly databases?: number; readonly port?: number; readonly tls?: TlsFiles };
};

export type ServiceUrls = { readonly databaseUrl: string; readonly redisUrl: string };

/** One line of JSON: the guardian's only word on its standard output. */
export type GuardianAnswer =
  | { readonly kind: 'ready'; readonly databaseUrl?: string; readonly redisUrl?: string }
  | { readonly kind: 'failed'; readonly message: string };

export const postgresUser = 'postgres';
export const postgresPassword = 'password';

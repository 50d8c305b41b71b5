import { z } from 'zod';
import { parseMaintenanceWindow } from '../domain/maintenance-window.ts';
import { isWord } from '../domain/test-data/suspicious-words.ts';

const tableName = z
  .string()
  .regex(/^[^.\s]+\.[^.\s]+$/, 'must be "schema.table", e.g. "public.agents"');

const foreignKeyName = z
  .string()
  .regex(
    /^[^.]+\.[^.]+\.[^.]+$/,
    'must be "schema.table.constraint", e.g. "public.reviews.reviews_author_id_fkey"',
  );

const ownerRule = z.strictObject({
  column: z.string().min(1),
  /** Values that other columns must hold for `column` to be the owner. */
  when: z.record(z.string().min(1), z.string()),
  /** Table whose primary key the column holds; default: the tenant table. */
  to: tableName.optional(),
});

/** null: found out from the catalogue; false: not looked at. */
const columnChoice = z
  .union([z.string().min(1), z.literal(false)], {
    error: 'must be a name, or false for "do not look"',
  })
  .nullable()
  .default(null);

const word = z.string().refine(isWord, { error: 'must be one word of letters and digits' });

const emailDomain = z
  .string()
  .regex(/^[^\s@.]+(\.[^\s@.]+)*$/, 'must be a domain, e.g. "example.com"');

const forTenant = z.string().includes('{tenantId}', { error: 'must contain {tenantId}' });

interface Fence {
  readonly column?: string | undefined;
  readonly value?: string | undefined;
  readonly sql?: string | undefined;
  readonly undo?: string | undefined;
}

/** Both of one pair, none of the other. */
function isOneFence({ column, value, sql, undo }: Fence): boolean {
  const [byColumn, bySql] = [
    [column, value],
    [sql, undo],
  ].map(countGiven);
  return (byColumn === 2 && bySql === 0) || (byColumn === 0 && bySql === 2);
}

const countGiven = (texts: readonly (string | undefined)[]): number =>
  texts.filter((text) => text !== undefined).length;

/**
 * The configuration file, `purge.config.{ts,mjs,json}`. Only `tenant.table` is required: everything
 * else is read from the catalogue or has the default given here.
 */
export const configSchema = z.strictObject({
  tenant: z.strictObject({
    table: tableName,
    /** Column that identifies a tenant; default: the primary key. */
    key: z.string().min(1).optional(),
    /** Column shown to people; default: `name` where the table has one. */
    label: z.string().min(1).optional(),
    /** Boolean column that marks test tenants; for the report. */
    testColumn: z.string().min(1).optional(),
    /** Tenant columns that have no foreign key. */
    columns: z.array(z.string().min(1)).default([]),
  }),
  keep: z.array(z.string()).default([]),
  levels: z.strictObject({ core: z.array(tableName).default([]) }).prefault({}),
  tables: z
    .record(
      tableName,
      z.strictObject({
        /** Owner columns; the first that has a value decides. Those of one composite key go together. */
        ownedBy: z
          .array(z.union([z.string().min(1), ownerRule]))
          .min(1)
          .optional(),
        /** SQL that is true for the tenant's rows; `{tenantId}` stands for its key. */
        where: z.string().min(1).optional(),
        onPurge: z.enum(['delete', 'keep', 'set-null', 'update']).optional(),
        /** New values of the rows that stay, for `"onPurge": "update"`. */
        set: z.record(z.string().min(1), z.union([z.string(), z.null()])).optional(),
      }),
    )
    .default({}),
  foreignKeys: z
    .record(foreignKeyName, z.enum(['own', 'set-null', 'delete', 'refuse']))
    .default({}),
  /** `schema.table.column` of references to one-to-one parents that go with their only row. */
  follow: z
    .array(
      z
        .string()
        .regex(
          /^[^.]+\.[^.]+\.[^.]+$/,
          'must be "schema.table.column", e.g. "public.users.profile_id"',
        ),
    )
    .default([]),
  /** Marks the tenant for the application before its rows go; null: not at all. */
  quiesce: z
    .strictObject({
      column: z.string().min(1).optional(),
      value: z.string().optional(),
      /** Two statements of the operator's own: an UPDATE of the tenant's row, and what undoes it. */
      sql: forTenant.optional(),
      undo: forTenant.optional(),
    })
    .refine(isOneFence, {
      error: 'must be {"column", "value"}, or {"sql", "undo"}: both of one pair, none of the other',
    })
    .nullable()
    .default(null),
  /** Boolean column of the tenant table that forbids a purge where it is true. */
  hold: z
    .strictObject({ column: z.string().min(1) })
    .nullable()
    .default(null),
  allow: z.array(z.string()).default([]),
  /** Where the rows go before they are gone. */
  archive: z
    .strictObject({
      /** Relative to the folder of the configuration file. */
      dir: z.string().min(1).default('./archive'),
      /** So long after its end a purge can be undone, as far as nobody expires its archive sooner. */
      keepDays: z.int().min(1).max(36_500).default(30),
    })
    .prefault({}),
  redis: z
    .strictObject({
      keys: z
        .array(z.string().includes('{tenantId}', { error: 'must contain {tenantId}' }))
        .default([]),
      /** How long a purge waits for company before its sweep starts. */
      waitMs: z.int().min(0).max(60_000).default(5_000),
    })
    .prefault({}),
  batch: z
    .strictObject({
      targetMs: z.int().min(10).max(10_000).default(250),
      maxRows: z.int().min(1).max(10_000_000).default(200_000),
      /** A tenant of at most this many rows goes in one transaction. */
      smallPurgeRows: z.int().min(0).max(100_000).default(5_000),
      /** Connections one purge may use inside a level. */
      connections: z.int().min(1).max(8).default(2),
      lockTimeoutMs: z.int().min(1).max(600_000).default(2_000),
      statementTimeoutMs: z.int().min(10).max(3_600_000).default(30_000),
      /** Passes over one table before rows that keep arriving are reported as residue. */
      maxPasses: z.int().min(1).max(100).default(5),
    })
    .prefault({}),
  /** When a purge holds before a batch; null: not for this reason. */
  throttle: z
    .strictObject({
      replicaLagMsMax: z.int().min(0).max(86_400_000).nullable().default(10_000),
      /** WAL that one replication slot keeps, in MiB. */
      slotWalMbMax: z.int().min(1).max(100_000_000).nullable().default(10_240),
      lockWaitersMax: z.int().min(0).max(10_000).nullable().default(0),
      /** Age of the oldest transaction that keeps dead rows from being removed. */
      transactionAgeMsMax: z.int().min(100).max(604_800_000).nullable().default(3_600_000),
      /** Dead rows of a table, as a multiple of where autovacuum is due. */
      vacuumFactorMax: z.number().min(1).max(1_000).nullable().default(null),
      /** Rows of one purge per second. */
      rowsPerSecMax: z.int().min(1).max(100_000_000).nullable().default(null),
      /** Times of day in which purges delete; none: always. */
      windows: z
        .array(
          z.string().refine((text) => parseMaintenanceWindow(text) !== null, {
            error: 'must be times of day and a time zone, e.g. "22:00-06:00 Europe/Berlin"',
          }),
        )
        .default([]),
    })
    .prefault({}),
  worker: z
    .strictObject({
      /** BullMQ workers per process, each with concurrency 1. */
      slots: z.int().min(1).max(64).default(2),
      lockMs: z.int().min(1_000).max(600_000).default(30_000),
      reconcileMs: z.int().min(200).max(600_000).default(15_000),
    })
    .prefault({}),
  /** Which tenants are test data; see `docs/diagnosis.md`. */
  diagnosis: z
    .strictObject({
      /** Of the tenant table. */
      nameColumns: z.array(z.string().min(1)).nullable().default(null),
      /** Of the tenant table, or `schema.table.column` of a table with the tenant's people. */
      emailColumns: z.array(z.string().min(1)).nullable().default(null),
      subdomainColumn: columnChoice,
      createdAtColumn: columnChoice,
      /** Where the sign-up came from. */
      addressColumn: columnChoice,
      /** A column of the tenant table, or `schema.table` of the tenant's people. */
      owner: columnChoice,
      agentsTable: columnChoice,
      /** Tables whose rows are signs of use, with the column that says when. */
      activity: z
        .array(
          z.strictObject({
            table: tableName,
            column: z.string().min(1),
            tenantColumn: z.string().min(1).optional(),
          }),
        )
        .nullable()
        .default(null),
      /** Requests of tenants; null: not looked at. */
      usage: z
        .strictObject({
          table: tableName,
          tenantColumn: z.string().min(1).optional(),
          /** Requests of one row; default: each row is one. */
          requestsColumn: z.string().min(1).optional(),
          atColumn: z.string().min(1).optional(),
          days: z.int().min(1).max(3_650).default(30),
          /** Out of line: so many times what nine tenths of all tenants stay below … */
          factor: z.number().min(1).max(1_000_000).default(10),
          /** … and no fewer than this. */
          requestsMin: z.int().min(0).max(1_000_000_000_000).default(1_000),
        })
        .nullable()
        .default(null),
      /** Besides the built-in ones. */
      words: z.array(word).default([]),
      emailDomains: z.array(emailDomain).default([]),
      allowedEmailDomains: z.array(emailDomain).default([]),
      inactiveDays: z.int().min(1).max(36_500).default(90),
      bulk: z
        .strictObject({
          /** Tenants from one address within an hour. */
          perHour: z.int().min(2).max(10_000).default(3),
          burstTenants: z.int().min(2).max(100_000).default(20),
          burstMinutes: z.int().min(1).max(1_440).default(10),
          /** Tenants whose names differ by a number that goes up. */
          sequence: z.int().min(2).max(10_000).default(3),
        })
        .prefault({}),
      purgeScore: z.int().min(1).max(100).default(75),
      reviewScore: z.int().min(0).max(100).default(20),
      statementTimeoutMs: z.int().min(1_000).max(3_600_000).default(120_000),
    })
    .prefault({}),
  /** What `tenant-purge prevention install --trigger` watches; the guard has options of its own. */
  prevention: z
    .strictObject({
      /** Of the tenant table; null: there is none. */
      columns: z
        .strictObject({
          /** Null: the label, or else `name`. */
          name: z.string().min(1).nullable().default(null),
          subdomain: z.string().min(1).nullable().default(null),
          email: z.string().min(1).nullable().default(null),
        })
        .prefault({}),
    })
    .prefault({}),
  queue: z
    .strictObject({
      name: z
        .string()
        .regex(/^[\w-]+$/, 'letters, digits, _ and - only')
        .default('tenant-purge'),
      prefix: z.string().min(1).default('bull'),
    })
    .prefault({}),
});

/** The configuration as the operator may write it. */
export type ConfigInput = z.input<typeof configSchema>;
/** The configuration with every default filled in. */
export type FileConfig = z.output<typeof configSchema>;

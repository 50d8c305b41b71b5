import { z } from 'zod';
import { HAZARD_TYPES } from '../../../src/domain/hazard.ts';

const text = z.string().min(1);
const rows = z.int().min(0);
const tableName = text.describe('schema.table, each part quoted only where PostgreSQL needs it');

const tenant = z
  .strictObject({
    table: tableName,
    key: text,
    keyType: text.describe('as format_type prints it, e.g. uuid'),
    label: text.nullable(),
    testColumn: text.nullable(),
  })
  .describe('the tenant table and the columns of it that are read');

const clear = z.strictObject({
  table: tableName,
  foreignKey: z
    .exactOptional(text)
    .describe('schema.table.constraint; absent where the reason is table or operator'),
  columns: z.array(text).min(1),
  values: z
    .exactOptional(z.array(z.string().nullable()))
    .describe('new values, one a column; absent where each is set to NULL'),
  reason: z
    .enum(['cycle', 'self', 'rule', 'table', 'operator'])
    .describe(
      'cycle, self: own references that keep an order from existing; rule: references of others; ' +
        'table, operator: rows that stay, by onPurge set-null or update',
    ),
  path: text.describe('by which the rows to change are found'),
});

const together = z.strictObject({
  way: z.enum(['deferred', 'one-statement']),
  tables: z.array(tableName).min(1),
  deferredKeys: z.exactOptional(z.array(text).min(1)),
});

const table = z.strictObject({
  table: tableName,
  path: text.describe('how the rows reach the tenant'),
  also: z
    .exactOptional(z.array(text).min(1))
    .describe('rows of others that go as well by a delete rule, each as a path'),
  estimatedRows: z
    .number()
    .min(0)
    .nullable()
    .describe('rows of all tenants together by the last ANALYZE; null when there was none'),
  rows: z.exactOptional(rows).describe('rows to delete, with --counts or --tenant'),
});

const level = z.strictObject({
  name: text,
  clears: z
    .exactOptional(z.array(clear).min(1))
    .describe('columns set in this level, in rows that stay or that go later'),
  together: z
    .exactOptional(z.array(together).min(1))
    .describe('circles of tables whose rows all go in one transaction'),
  tables: z.array(table).describe('tables to delete from'),
});

const hazard = z.strictObject({
  type: z.enum(HAZARD_TYPES),
  severity: z
    .enum(['blocks', 'allow', 'info'])
    .describe('blocks: nothing accepts it; allow: needs --allow TYPE; info: good to know'),
  table: tableName.nullable(),
  foreignKey: z.exactOptional(text),
  count: z.exactOptional(rows).describe('rows concerned, where the hazard is one of data'),
  message: text,
  remedy: text,
  settledBy: z
    .exactOptional(
      z.strictObject({
        tables: z.exactOptional(
          z.record(tableName, z.strictObject({ ownedBy: z.array(text).min(1) })),
        ),
        follow: z.exactOptional(z.array(text).min(1)),
      }),
    )
    .describe('a part of purge.config that would settle it; read it before you take it over'),
});

/**
 * The document of `plan --json`, as a contract: docs/plan.schema.json is made from it, and no key
 * leaves the program that does not stand here.
 */
export const planDocumentSchema = z
  .strictObject({
    fingerprint: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .describe('SHA-256 of what the plan was made from'),
    tenant,
    levels: z.array(level).describe('in the order in which they are worked off'),
    hazards: z.array(hazard).describe('the worst first'),
    tenants: z.exactOptional(rows).describe('tenants counted, with --counts or --tenant'),
    rows: z.exactOptional(rows).describe('their rows in all tables'),
    redisKeys: z.exactOptional(rows).describe('their Redis keys'),
  })
  .meta({
    title: 'tenant-purge plan --json',
    description: 'What a purge deletes, in which order, and what stands in its way',
  });

/** The same as JSON Schema (draft 2020-12). */
export const planJsonSchema = (): object => z.toJSONSchema(planDocumentSchema);

import { quoteIdentifier } from '../domain/identifier.ts';
import { asTableName, type TableName } from '../domain/ids.ts';

/**
 * The one form of a table's name, `schema.relation` with each part quoted only where PostgreSQL
 * needs it: the key of every map of ours, and ready to stand in SQL. Pure.
 */
export const tableName = (schema: string, relation: string): TableName =>
  asTableName(`${quoteIdentifier(schema)}.${quoteIdentifier(relation)}`);

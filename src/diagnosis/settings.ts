import type { DiagnosisBounds } from '../domain/diagnosis.ts';

/** A column or a table by name; false: do not look; null: find out from the catalogue. */
export type Choice = string | false | null;

/** Section `diagnosis` of the configuration; null lists are found out, empty ones look at nothing. */
export interface DiagnosisSettings {
  readonly nameColumns: readonly string[] | null;
  /** Columns of the tenant table, or `schema.table.column` of a table with the tenant's people. */
  readonly emailColumns: readonly string[] | null;
  readonly subdomainColumn: Choice;
  readonly createdAtColumn: Choice;
  readonly addressColumn: Choice;
  /** A column of the tenant table, or `schema.table` of the tenant's people. */
  readonly owner: Choice;
  readonly agentsTable: Choice;
  readonly activity:
    | readonly {
        readonly table: string;
        readonly column: string;
        readonly tenantColumn?: string | undefined;
      }[]
    | null;
  readonly usage:
    | ({
        readonly table: string;
        readonly tenantColumn?: string | undefined;
        readonly requestsColumn?: string | undefined;
        readonly atColumn?: string | undefined;
      } & DiagnosisBounds['usage'])
    | null;
  /** Besides the built-in words. */
  readonly words: readonly string[];
  /** Besides the built-in domains. */
  readonly emailDomains: readonly string[];
  readonly allowedEmailDomains: readonly string[];
  /** A tenant without activity for longer is inactive; one with later activity is in use. */
  readonly inactiveDays: number;
  readonly bulk: DiagnosisBounds['bulk'];
  readonly purgeScore: number;
  readonly reviewScore: number;
  readonly statementTimeoutMs: number;
}

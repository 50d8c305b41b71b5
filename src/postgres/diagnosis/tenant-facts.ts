import type pg from 'pg';
import type { ColumnText, DiagnosisSources, TenantFacts } from '../../domain/diagnosis.ts';
import { asTenantId } from '../../domain/ids.ts';
import { type FactsQuestion, tenantFactsQuery } from './tenant-facts-query.ts';

/** Tenants in memory at a time. */
export const PAGE_TENANTS = 500;

/**
 * The facts of every tenant, by id, page by page: a cursor of the transaction that the connection is in.
 * What the database says, unjudged. Reads only.
 */
export async function* readTenantFacts(
  client: pg.ClientBase,
  question: FactsQuestion,
): AsyncGenerator<readonly TenantFacts[]> {
  await client.query(`declare tenant_facts no scroll cursor for ${tenantFactsQuery(question)}`);
  // Ends when the cursor has no more rows.
  for (;;) {
    const { rows } = await client.query<FactsRow>(`fetch ${PAGE_TENANTS} from tenant_facts`);
    if (rows.length > 0) yield rows.map((row) => toFacts(row, question.sources));
    if (rows.length < PAGE_TENANTS) break;
  }
  await client.query('close tenant_facts');
}

/** As the query names its columns; those with a number at their end stand under it. */
interface FactsRow {
  readonly id: string;
  readonly label: string;
  readonly is_test: boolean | null;
  readonly is_held: boolean;
  readonly has_descendants: boolean;
  readonly created_at: Date | null;
  readonly address: string | null;
  readonly subdomain: string | null;
  readonly owner_missing: boolean | null;
  readonly near_address: number;
  readonly in_address_run: boolean;
  readonly near_burst: number;
  readonly in_burst: boolean;
  readonly subdomain_tenants: number;
  readonly agents?: number;
  readonly members?: number;
  readonly last_activity_at?: Date | null;
  readonly requests?: number | null;
  readonly requests_limit?: number;
  readonly [numbered: `name_${number}` | `email_${number}`]: string | null;
  readonly [numbered: `stem_tenants_${number}` | `domains_total_${number}`]: number;
  readonly [numbered: `in_sequence_${number}`]: boolean;
  readonly [numbered: `domains_${number}`]: string[] | null;
}

function toFacts(row: FactsRow, sources: DiagnosisSources): TenantFacts {
  const { owner } = sources;
  return {
    id: asTenantId(row.id),
    label: row.label,
    isTest: row.is_test,
    isHeld: row.is_held,
    hasDescendants: row.has_descendants,
    createdAt: row.created_at,
    names: textsOf(sources.nameColumns, (at) => row[`name_${at}`]),
    emails: textsOf(sources.emailColumns, (at) => row[`email_${at}`]),
    memberDomains: sources.memberEmails.map(({ table, column }, at) => ({
      source: `${table}.${column}`,
      domains: row[`domains_${at}`] ?? [],
      total: row[`domains_total_${at}`] ?? 0,
    })),
    fromAddress:
      row.in_address_run && row.address !== null
        ? { address: row.address, tenants: row.near_address }
        : null,
    inBurst: row.in_burst ? row.near_burst : null,
    sequences: sources.nameColumns.flatMap((column, at) => {
      const text = row[`name_${at}`] ?? null;
      const tenants = row[`stem_tenants_${at}`] ?? 0;
      return row[`in_sequence_${at}`] === true && text !== null ? [{ column, text, tenants }] : [];
    }),
    agents: row.agents ?? null,
    lastActivityAt: row.last_activity_at ?? null,
    usage:
      row.requests === undefined || row.requests === null || row.requests_limit === undefined
        ? null
        : { requests: row.requests, limit: row.requests_limit },
    isOwnerMissing: owner?.kind === 'table' ? row.members === 0 : row.owner_missing,
    sharedSubdomain:
      row.subdomain !== null && row.subdomain_tenants > 1
        ? { subdomain: row.subdomain, tenants: row.subdomain_tenants }
        : null,
  };
}

function textsOf(
  columns: readonly string[],
  read: (at: number) => string | null | undefined,
): ColumnText[] {
  return columns.flatMap((column, at) => {
    const text = read(at) ?? null;
    return text === null || text === '' ? [] : [{ column, text }];
  });
}

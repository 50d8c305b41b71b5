import type { TableName, TenantId } from './ids.ts';

/** A table with tenants' rows, and how they say whose they are. */
export interface TenantRows {
  readonly table: TableName;
  /** Rows that they refer to, one after the other; empty where they hold the tenant's key themselves. */
  readonly over: readonly RowReference[];
  /** Column with the tenant's key: of the last row referred to, or their own. */
  readonly tenantColumn: string;
  /** As PostgreSQL prints it. */
  readonly tenantColumnType: string;
}

interface RowReference {
  readonly columns: readonly string[];
  readonly parent: TableName;
  readonly referencedColumns: readonly string[];
}

/** A column that says when. */
export interface MomentColumn {
  readonly column: string;
  /** False for `date` and `timestamp without time zone`, which are taken for UTC and need not be. */
  readonly isZoned: boolean;
}

/** Where diagnosis reads what, settled against the catalogue; null or empty: it is not looked at. */
export interface DiagnosisSources {
  readonly tenant: {
    readonly table: TableName;
    readonly key: string;
    readonly keyType: string;
    readonly label: string | null;
  };
  /** Boolean column of the tenant table that marks test tenants. */
  readonly testColumn: string | null;
  /** Boolean column that forbids a purge. */
  readonly holdColumn: string | null;
  readonly nameColumns: readonly string[];
  /** Columns of the tenant table. */
  readonly emailColumns: readonly string[];
  /** Columns of tables with a row for each of a tenant's people. */
  readonly memberEmails: readonly (TenantRows & { readonly column: string })[];
  readonly subdomainColumn: string | null;
  /** `isDay`: it tells no time of day. */
  readonly createdAtColumn: { readonly name: string; readonly isDay: boolean } | null;
  /** The address that the tenant was created from; `isNetwork`: of type inet or cidr. */
  readonly addressColumn: { readonly name: string; readonly isNetwork: boolean } | null;
  /** What names a tenant's owner: a column of the tenant table, or the table of its people. */
  readonly owner:
    | { readonly kind: 'column'; readonly column: string }
    | ({ readonly kind: 'table' } & TenantRows)
    | null;
  readonly agents: TenantRows | null;
  readonly activity: readonly (TenantRows & MomentColumn)[];
  readonly usage: (TenantRows & UsageColumns) | null;
  /** Keys of the tenant table to itself. */
  readonly tree: readonly {
    readonly columns: readonly string[];
    readonly referencedColumns: readonly string[];
  }[];
  /** Tenant columns that no foreign key keeps from pointing nowhere. */
  readonly looseTenantColumns: readonly TenantRows[];
  /** Foreign keys that PostgreSQL does not vouch for: NOT VALID, or NOT ENFORCED. */
  readonly looseKeys: readonly LooseKey[];
}

interface UsageColumns {
  /** Requests of one row; null: each row is one request. */
  readonly requestsColumn: string | null;
  /** When; null: every row counts. */
  readonly at: MomentColumn | null;
}

export interface LooseKey {
  readonly name: string;
  readonly child: TableName;
  readonly columns: readonly string[];
  readonly parent: TableName;
  readonly referencedColumns: readonly string[];
}

/** What counts as many; numbers are whole. */
export interface DiagnosisBounds {
  readonly bulk: {
    /** Tenants from one address within an hour. */
    readonly perHour: number;
    /** Tenants, wherever from, within `burstMinutes`. */
    readonly burstTenants: number;
    readonly burstMinutes: number;
    /** Tenants whose names differ by a number that goes up. */
    readonly sequence: number;
  };
  readonly usage: {
    readonly days: number;
    /** A tenant is out of line above so many times what nine tenths of those with requests stay below … */
    readonly factor: number;
    /** … and never below so many requests. */
    readonly requestsMin: number;
  };
}

/** A text of a tenant, with the column it stands in. */
export interface ColumnText {
  readonly column: string;
  readonly text: string;
}

/** What the database says of one tenant; null where the source is not looked at, or says nothing. */
export interface TenantFacts {
  readonly id: TenantId;
  readonly label: string;
  readonly isTest: boolean | null;
  readonly isHeld: boolean;
  readonly hasDescendants: boolean;
  readonly createdAt: Date | null;
  readonly names: readonly ColumnText[];
  readonly emails: readonly ColumnText[];
  /** E-mail domains of its people, of one table; `domains` has at most `MEMBER_DOMAINS_MAX`. */
  readonly memberDomains: readonly {
    readonly source: string;
    readonly domains: readonly string[];
    readonly total: number;
  }[];
  /** Tenants from the same address within an hour of this one, where they were too many. */
  readonly fromAddress: { readonly address: string; readonly tenants: number } | null;
  /** Tenants within `burstMinutes` of this one, where they were too many. */
  readonly inBurst: number | null;
  /** Tenants of the same name but for its last number, where enough of them follow each other. */
  readonly sequences: readonly (ColumnText & { readonly tenants: number })[];
  readonly agents: number | null;
  readonly lastActivityAt: Date | null;
  readonly usage: { readonly requests: number; readonly limit: number } | null;
  readonly isOwnerMissing: boolean | null;
  /** Tenants of the same subdomain, itself included, where they are several. */
  readonly sharedSubdomain: { readonly subdomain: string; readonly tenants: number } | null;
}

/** More domains than this are the people of a real tenant: no use in looking at each. */
export const MEMBER_DOMAINS_MAX = 20;

/** Rows that refer to something that is not there. */
export interface DanglingRows {
  /** `schema.table.column`, or the foreign key's name. */
  readonly source: string;
  readonly kind: 'tenant-column' | 'foreign-key';
  readonly rows: number;
  /** Different values of a tenant column; null for a foreign key. */
  readonly values: number | null;
  /** A few of them, those with most rows first. */
  readonly samples: readonly string[];
}

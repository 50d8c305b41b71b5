/**
 * How the application is told that a tenant goes: a value of one of the tenant's columns, or a
 * statement of the operator's own with `{tenantId}` in it, and the one that undoes it.
 */
export type QuiesceRule =
  | { readonly kind: 'column'; readonly column: string; readonly value: string }
  | { readonly kind: 'sql'; readonly sql: string; readonly undo: string };

/** Sessions of one role and application that write to tables in which rows were left. */
export interface Writer {
  readonly role: string;
  /** `application_name`; empty where the application sets none. */
  readonly application: string;
  /** Address; null over a local socket, or where the role may not see it. */
  readonly client: string | null;
  readonly sessions: number;
  /** `open`: a transaction that has written there is open; `last`: its last statement names the table. */
  readonly evidence: 'open' | 'last';
  readonly tables: readonly string[];
}

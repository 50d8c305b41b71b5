/** What the operator's configuration settles about the plan; plain data, already validated. */
export interface PlanRules {
  readonly tenant: {
    /** `schema.table` as written by the operator. */
    readonly table: string;
    readonly key: string | null;
    readonly label: string | null;
    readonly testColumn: string | null;
    /** Names of tenant columns that have no foreign key. */
    readonly columns: readonly string[];
  };
  /** Tables whose rows scope others and go after them, e.g. agents, workspaces. */
  readonly core: readonly string[];
  readonly tables: Readonly<
    Record<string, { readonly ownedBy?: readonly string[]; readonly onPurge?: 'delete' | 'keep' }>
  >;
}

/** What makes a tenant's own details look like test data; one name each for diagnosis, prevention and their logs. */
export const DETAIL_RULES = [
  'suspicious-word',
  'reserved-email-domain',
  'listed-email-domain',
  'disposable-email-domain',
] as const;

export type DetailRule = (typeof DETAIL_RULES)[number];

/** One rule that one value hit. Machine-readable; people get their words from whoever shows it. */
export interface Finding {
  readonly rule: DetailRule;
  readonly evidence: {
    /** The value that was looked at: the text itself, or the e-mail's domain. Never a mailbox. */
    readonly value: string;
    /** The entry of the rule's list that it hit, e.g. `test` or `mailinator.com`. */
    readonly match: string;
  };
}

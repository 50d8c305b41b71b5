/** The most of a value that is kept. */
const VALUE_LENGTH_MAX = 120;
/** The most fields of a payload that are kept; a name says what there was. */
const FIELDS_MAX = 50;

const REDACTED = '[redacted]';

/** Fields whose values the log shows: without them nobody can judge a refusal. */
const SHOWN = new Set(['name', 'subdomain']);

/**
 * Names as forms have them. JSON that is sent with a form's content type, as curl does unasked, arrives
 * as one field whose name is the whole text, password included.
 */
const PLAIN_FIELD = /^[\p{L}_$][\p{L}\p{N}_.$[\]-]{0,59}$/u;

/**
 * A payload as it may be logged: the values of `name` and `subdomain`, cut and without addresses and
 * long numbers; of everything else that there was one, by its name where that is one. Bounded whatever
 * comes in. Pure.
 */
export function redactPayload(payload: unknown): Record<string, string> {
  if (typeof payload !== 'object' || payload === null) return {};
  const redacted: [string, string][] = [];
  for (const [field, value] of Object.entries(payload).slice(0, FIELDS_MAX)) {
    redacted.push([
      PLAIN_FIELD.test(field) ? field : REDACTED,
      SHOWN.has(field) && typeof value === 'string' ? redactText(value) : REDACTED,
    ]);
  }
  // No assignment: a field may be called __proto__.
  return Object.fromEntries(redacted);
}

/** A text that somebody typed, without mailboxes and long numbers (cards, telephones). Linear. Pure. */
export function redactText(text: string): string {
  return withoutNul(text.slice(0, VALUE_LENGTH_MAX))
    .split(/(\s+)/)
    .map((word) => (word.includes('@') ? REDACTED : word))
    .join('')
    .replace(/\d(?:[ -]?\d){7,}/g, REDACTED);
}

/** PostgreSQL takes no NUL in text, and none of half a surrogate pair in jsonb. */
const withoutNul = (text: string): string => Buffer.from(text.replaceAll('\0', '')).toString();

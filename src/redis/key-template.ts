import { PurgeError } from '../domain/errors.ts';

const PLACEHOLDER = '{tenantId}';
const WILDCARD = '*';
/** Longer ids are not looked for; PostgreSQL cannot index a key of more than 2,704 bytes. */
const ID_LENGTH_MAX = 2_704;
/** A key of a million separators must not hold the pass up. */
const POSITIONS_MAX = 1_000;

/**
 * A Redis key template such as `tenant:{tenantId}:*`: literal text around one `{tenantId}`, and
 * `*` for any text, none included. Everything else, `?` and `[` too, is literal.
 */
export interface KeyTemplate {
  /** As written in the configuration. */
  readonly text: string;
  /** Literal texts before the placeholder, with a wildcard between neighbours. */
  readonly before: readonly string[];
  /** Literal texts after the placeholder, with a wildcard between neighbours. */
  readonly after: readonly string[];
}

/** Reads a template. Throws CONFIG_INVALID with what is wrong and what to write instead. Pure. */
export function parseKeyTemplate(text: string): KeyTemplate {
  const sides = text.split(PLACEHOLDER);
  const [left, right] = sides;
  if (left === undefined || right === undefined || sides.length !== 2) {
    throw invalid(text, `must contain ${PLACEHOLDER} exactly once, e.g. "tenant:${PLACEHOLDER}:*"`);
  }
  if (right.startsWith(WILDCARD)) {
    const separated = `${left}${PLACEHOLDER}:${right}`;
    throw invalid(
      text,
      `has "*" right after ${PLACEHOLDER}: it would take tenant 10's keys for tenant 1; put the text that follows the id between them, e.g. "${separated}"`,
    );
  }
  if (left.endsWith(WILDCARD)) {
    const separated = `${left}:${PLACEHOLDER}${right}`;
    throw invalid(
      text,
      `has "*" right before ${PLACEHOLDER}: it would take tenant 21's keys for tenant 1; put the text that precedes the id between them, e.g. "${separated}"`,
    );
  }
  return { text, before: left.split(WILDCARD), after: right.split(WILDCARD) };
}

/**
 * The waiting tenant a key belongs to, or null. A key belongs to an id when it is exactly what a
 * template gives for that id; the id is compared as a whole and never becomes part of a pattern.
 * A key that fits several waiting tenants (ids `1` and `1:0`, key `tenant:1:0:x`) belongs to the
 * longest id; see `separatorOf` for how to find such ids beforehand. Pure.
 */
export function matchTenant(
  templates: readonly KeyTemplate[],
  key: string,
  isWaiting: (id: string) => boolean,
): string | null {
  let longest: string | null = null;
  for (const template of templates) {
    for (const start of idStarts(template.before, key)) {
      for (const end of idEnds(template.after, key, start)) {
        if (longest !== null && end - start <= longest.length) continue;
        const id = key.slice(start, end);
        if (isWaiting(id) && fitsRest(template.after, key, end)) longest = id;
      }
    }
  }
  return longest;
}

/**
 * Every text that may stand for the id in this key, by whichever template: where the templates leave
 * room for several there are several. Null beyond so many positions that nobody can tell. Pure.
 */
export function possibleIds(templates: readonly KeyTemplate[], key: string): Set<string> | null {
  const ids = new Set<string>();
  let looks = 0;
  for (const template of templates) {
    for (const start of idStarts(template.before, key)) {
      for (const end of idEnds(template.after, key, start)) {
        looks += 1;
        if (looks > POSITIONS_MAX) return null;
        if (fitsRest(template.after, key, end)) ids.add(key.slice(start, end));
      }
    }
  }
  return ids;
}

/**
 * The literal that ends the id: `:` for `tenant:{tenantId}:*`, '' where the id ends the key. Ids
 * of tenants that contain it are ambiguous: with ids `1` and `1:0` one key may fit both. Pure.
 */
export const separatorOf = (template: KeyTemplate): string => template.after[0] ?? '';

/** Positions at which an id may start: behind each occurrence of the literal that precedes it. */
function* idStarts(before: readonly string[], key: string): Generator<number> {
  const [head = '', ...rest] = before;
  if (!key.startsWith(head)) return;
  const last = rest.pop();
  if (last === undefined) {
    yield head.length;
    return;
  }
  const from = skipLiterals(rest, key, head.length);
  if (from === null) return;
  let found = key.indexOf(last, from);
  while (found !== -1) {
    yield found + last.length;
    found = key.indexOf(last, found + 1);
  }
}

/** Positions at which an id that starts at `start` may end. Empty ids are none. */
function* idEnds(after: readonly string[], key: string, start: number): Generator<number> {
  const [literal = '', ...rest] = after;
  if (rest.length === 0) {
    const end = key.length - literal.length;
    if (end > start) yield end;
    return;
  }
  let found = key.indexOf(literal, start + 1);
  while (found !== -1 && found - start <= ID_LENGTH_MAX) {
    yield found;
    found = key.indexOf(literal, found + 1);
  }
}

/** True where the key from `start` on is what the literals give, any text between neighbours. */
function fitsRest(literals: readonly string[], key: string, start: number): boolean {
  const [head = '', ...rest] = literals;
  if (!key.startsWith(head, start)) return false;
  const last = rest.pop();
  if (last === undefined) return start + head.length === key.length;
  const from = skipLiterals(rest, key, start + head.length);
  return from !== null && key.length - last.length >= from && key.endsWith(last);
}

/** Position behind the earliest occurrences of the literals in turn; the earliest leave most room. */
function skipLiterals(literals: readonly string[], key: string, start: number): number | null {
  let position = start;
  for (const literal of literals) {
    const found = key.indexOf(literal, position);
    if (found === -1) return null;
    position = found + literal.length;
  }
  return position;
}

function invalid(text: string, why: string): PurgeError {
  return new PurgeError('CONFIG_INVALID', `The Redis key template "${text}" ${why}.`, {
    details: { template: text },
  });
}

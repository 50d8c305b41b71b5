/** Which texts can be ids of tenants, as PostgreSQL prints the tenant key. */
export type IdForm =
  | { readonly kind: 'uuid' }
  | { readonly kind: 'integer'; readonly type: 'smallint' | 'integer' | 'bigint' }
  /** `charactersMax` null: no limit of its own. `padded`: character(n), printed without its blanks. */
  | { readonly kind: 'text'; readonly charactersMax: number | null; readonly padded: boolean }
  /** A type whose spellings we do not know. */
  | { readonly kind: 'unknown'; readonly type: string };

/**
 * `exact`: as PostgreSQL prints ids of this form. `other`: means such an id, but spelled otherwise, e.g. a
 * uuid in capitals. `none`: cannot be one.
 */
type IdSpelling = 'exact' | 'other' | 'none';

/** @param type as `format_type` prints it, of the base type where it is a domain. Pure. */
export function idFormOf(type: string): IdForm {
  if (type === 'uuid') return { kind: 'uuid' };
  if (type === 'smallint' || type === 'integer' || type === 'bigint') {
    return { kind: 'integer', type };
  }
  if (type === 'text' || type === 'character varying') {
    return { kind: 'text', charactersMax: null, padded: false };
  }
  const [, name, length] = /^(character varying|character)\((\d+)\)$/.exec(type) ?? [];
  if (name === undefined) return { kind: 'unknown', type };
  return { kind: 'text', charactersMax: Number(length), padded: name === 'character' };
}

/** Pure. */
export function spellingOf(form: IdForm, text: string): IdSpelling {
  switch (form.kind) {
    case 'uuid':
      if (UUID.test(text)) return 'exact';
      return UUID_OTHERWISE.test(text) ? 'other' : 'none';
    case 'integer':
      return integerSpelling(form.type, text);
    case 'text':
      return textSpelling(form, text);
    case 'unknown':
      return 'other';
    default:
      return form satisfies never;
  }
}

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;
/** PostgreSQL reads a uuid in capitals, in braces and with hyphens after any four digits. */
const UUID_OTHERWISE = /^\{?([\da-f]{4}-?){7}[\da-f]{4}\}?$/i;

const INTEGER_MAX = {
  smallint: 32_767n,
  integer: 2_147_483_647n,
  bigint: 9_223_372_036_854_775_807n,
} as const;
const INTEGER = /^(0|-?[1-9]\d{0,18})$/;
const INTEGER_OTHERWISE = /^\s*[+-]?\d[\d_]*\s*$/;

function integerSpelling(type: keyof typeof INTEGER_MAX, text: string): IdSpelling {
  if (!INTEGER.test(text)) return INTEGER_OTHERWISE.test(text) ? 'other' : 'none';
  const value = BigInt(text);
  return value <= INTEGER_MAX[type] && value >= -INTEGER_MAX[type] - 1n ? 'exact' : 'none';
}

/** PostgreSQL cannot index a key of more than 2,704 bytes. */
const TEXT_BYTES_MAX = 2_704;

function textSpelling(
  { charactersMax, padded }: { charactersMax: number | null; padded: boolean },
  text: string,
): IdSpelling {
  // PostgreSQL has no character 0 in its texts.
  if (text === '' || text.includes('\0')) return 'none';
  if (Buffer.byteLength(text) > TEXT_BYTES_MAX) return 'none';
  if (padded && text.endsWith(' ')) return 'other';
  return charactersMax === null || Array.from(text).length <= charactersMax ? 'exact' : 'none';
}

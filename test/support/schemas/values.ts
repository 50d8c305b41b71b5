import { createHash } from 'node:crypto';
import type { ColumnFacts } from './facts.ts';

/** What makes a value one row's. */
export type ValueSeed = {
  /** From 1, one per row of the table: values of wide types differ between rows. */
  readonly serial: number;
  /** The table's own, so that texts differ between tables. */
  readonly prefix: string;
  /** Picks among the few values of a narrow type. */
  readonly variant: number;
  /** Of the column's enumeration, in order. */
  readonly labels?: readonly string[] | undefined;
};

/** A value of the column's type as PostgreSQL's text. Throws for a type that it does not know. */
export function columnValue(column: ColumnFacts, seed: ValueSeed): string {
  const { serial, variant, labels } = seed;
  if (labels !== undefined) return pick(labels, variant);
  const type = /^(.*?)(?:\((\d+)(?:,(-?\d+))?\))?( with(?:out)? time zone)?$/.exec(column.type);
  const base = type?.[1] ?? column.type;
  if (base.endsWith('[]')) return '{}';
  if (base.endsWith('range')) return 'empty';
  const width = type?.[2] === undefined ? undefined : Number(type[2]);
  switch (base) {
    case 'boolean':
      return variant % 2 === 0 ? 'f' : 't';
    case 'smallint':
      return String(1 + (serial % 32_000));
    case 'integer':
    case 'bigint':
    case 'oid':
      return String(1000 + serial);
    case 'double precision':
      return String(serial);
    case 'numeric':
      return String(width === undefined ? serial : serial % wholeNumbers(width, type?.[3]));
    case 'text':
      return seed.prefix + serial.toString(36);
    case 'character varying':
    case 'character':
      return fittingText(seed, { width, padded: base === 'character' });
    case 'uuid':
      return uuidOf(`${seed.prefix}${column.name}.${serial}`);
    case 'date':
      return new Date(Date.UTC(2020, 0, 1) + serial * 86_400_000).toISOString().slice(0, 10);
    case 'timestamp': {
      const time = new Date(Date.UTC(2026, 0, 1) + serial * 1000).toISOString();
      return (
        time.slice(0, 19).replace('T', ' ') + (column.type.endsWith('with time zone') ? '+00' : '')
      );
    }
    case 'interval':
      return `${serial} seconds`;
    case 'json':
    case 'jsonb':
      return JSON.stringify({ serial });
    case 'bytea':
      return `\\x${serial.toString(16).padStart(8, '0')}`;
    default:
      throw new Error(`No value is known for the type ${column.type} of ${column.name}.`);
  }
}

/** Texts that carry what text formats must escape; for columns that nothing compares. */
export function decorate(column: ColumnFacts, value: string, variant: number): string {
  return column.type === 'text' ? value + pick(decorations, variant) : value;
}

/** So few values, or values so alike, that two rows may well have the same. */
export function isNarrow(column: ColumnFacts, labels: readonly string[] | undefined): boolean {
  const width = /^character(?: varying)?\((\d+)\)$/.exec(column.type)?.[1];
  return (
    labels !== undefined ||
    column.type === 'boolean' ||
    /(?:range|\[\])$/.test(column.type) ||
    (width !== undefined && Number(width) <= 3)
  );
}

/** The same number for the same text, spread over 32 bits. */
export function hash(text: string): number {
  return createHash('md5').update(text).digest().readUInt32BE();
}

const decorations = [
  '',
  ' "quoted" \'text\'',
  ' back\\slash \\N',
  '\ttab\nline\r\n',
  ' ümläut ☃ 🐘',
];

function pick(values: readonly string[], variant: number): string {
  return values[variant % values.length] ?? '';
}

function wholeNumbers(precision: number, scale = '0'): number {
  return 10 ** Math.max(0, Math.min(9, precision - Number(scale)));
}

function fittingText(
  { prefix, serial, variant }: ValueSeed,
  { width, padded }: { readonly width: number | undefined; readonly padded: boolean },
): string {
  const text = prefix + serial.toString(36);
  if (width === undefined || text.length <= width)
    return padded ? text.padStart(width ?? 1, 'x') : text;
  const number = width <= 3 ? hash(prefix) + variant * 7 : serial;
  return (number % 36 ** width).toString(36).padStart(width, '0');
}

function uuidOf(text: string): string {
  const digest = createHash('md5').update(text).digest('hex');
  return digest.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, '$1-$2-4$3-a$4-$5');
}

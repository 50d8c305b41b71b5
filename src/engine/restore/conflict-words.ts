import type { TableName } from '../../domain/ids.ts';
import type { ConflictKind, RestoreRules } from '../../domain/restore.ts';
import { SETTLEMENTS } from '../../domain/restore.ts';

interface About {
  readonly table: TableName | null;
  readonly object: string | null;
  readonly count: number;
}

/** The operator's rule for this kind as it was given, or null. */
export function ruleOf(kind: ConflictKind, { settle }: RestoreRules): string | null {
  if (!isSettled(kind)) return null;
  const action = settle[kind];
  return action === undefined ? null : `--settle ${kind}=${action}`;
}

const isSettled = (kind: ConflictKind): kind is keyof typeof SETTLEMENTS => kind in SETTLEMENTS;

/** What stands in the way and what can be done about it, in words. */
export function wordsOf(
  kind: ConflictKind,
  about: About,
): { readonly message: string; readonly remedy: string } {
  const { object } = about;
  const table = about.table ?? 'the database';
  const isOne = about.count === 1;
  const rows = `${about.count} ${isOne ? 'row' : 'rows'}`;
  switch (kind) {
    case 'TABLE_GONE':
      return {
        message: `${table} is not there; the archive has ${rows} of it.`,
        remedy:
          'Create the table as it was, or leave its rows in the archive: --settle TABLE_GONE=skip.',
      };
    case 'COLUMN_DROPPED':
      return {
        message: `${table} has no column ${object} any more that takes a value.`,
        remedy:
          'Add the column again, or restore the rows without it: --settle COLUMN_DROPPED=ignore.',
      };
    case 'COLUMN_ADDED':
      return {
        message: `${table} has a new column ${object} that takes no NULL and has no default.`,
        remedy: `Give it a default while the rows come back: ALTER TABLE ${table} ALTER COLUMN ${object} SET DEFAULT …`,
      };
    case 'COLUMN_RETYPED':
      return {
        message: `${table}${object === null ? '' : `.${object}`}: ${rows} ${isOne ? 'does' : 'do'} not fit the type that the column has now.`,
        remedy: 'Change the column back, or restore into another database with --into URL.',
      };
    case 'VALUE_REFUSED':
      return {
        message: `${table}: ${object ?? 'the database'} refuses ${rows}.`,
        remedy:
          'Drop the rule while the rows come back, or restore into another database with --into URL.',
      };
    case 'PARTITION_MISSING':
      return {
        message: `${table} has no partition for ${rows}.`,
        remedy: 'Create the partitions, then restore again.',
      };
    case 'ROW_PRESENT':
      return {
        message: `${table}: ${rows} ${isOne ? 'is there already, just as it was' : 'are there already, just as they were'} archived.`,
        remedy: 'Leave them as they are: --settle ROW_PRESENT=skip.',
      };
    case 'ROW_TAKEN':
      return {
        message: `${table}: another row holds what ${rows} ${isOne ? 'needs' : 'need'} to have alone (${object}).`,
        remedy:
          'Move the other row, or leave these out with all that refers to them: --settle ROW_TAKEN=skip.',
      };
    case 'PARENT_GONE':
      return {
        message: `${table}: what ${rows} ${isOne ? 'refers' : 'refer'} to by ${object} is neither in the database nor among the rows that come back.`,
        remedy:
          'Restore or create the parents first; or --settle PARENT_GONE=skip leaves the rows out, =null clears the reference.',
      };
    case 'ROW_GONE':
      return {
        message: `${table}: ${rows} whose ${object} the purge changed ${isOne ? 'is' : 'are'} not there any more.`,
        remedy: 'Leave them: --settle ROW_GONE=skip.',
      };
    case 'CHANGED_SINCE':
      return {
        message: `${table}: ${object} of ${rows} was changed again since the purge changed it.`,
        remedy: 'Keep what is there now: --settle CHANGED_SINCE=skip.',
      };
    case 'KEY_TAKEN':
      return {
        message: `Redis has ${about.count} of the keys, with other values.`,
        remedy: 'Keep what is there now: --settle KEY_TAKEN=skip; or --settle KEY_TAKEN=replace.',
      };
    case 'TRIGGER':
      return {
        message: `${table} has the trigger ${object}, which the restored rows would fire.`,
        remedy: `Say what it shall do: --trigger ${asWord(`${object}=fire`)} or --trigger ${asWord(`${object}=disable`)}.`,
      };
    case 'ROW_SECURITY':
      return {
        message: `${table}: row security applies to this role and would hide or refuse rows.`,
        remedy: `Restore as the table's owner or a role with BYPASSRLS.`,
      };
    case 'PRIVILEGE':
      return {
        message: `${table}: the role lacks ${object}.`,
        remedy: 'Grant it, or restore as another role with --into URL.',
      };
    default:
      return kind satisfies never;
  }
}

/** As a shell takes it for one word: names may be in quotes, which belong to them. */
const asWord = (text: string): string =>
  /^[\w.=]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

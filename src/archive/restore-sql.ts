import type { Manifest } from '../domain/archive.ts';
import type { TableName } from '../domain/ids.ts';
import { RESTORE_FILE } from './file-name.ts';
import { renderChange } from './restore-sql-changes.ts';
import { renderInserts } from './restore-sql-inserts.ts';
import { renderSequences } from './restore-sql-sequences.ts';
import { commandFor, type Stage, stagesOf } from './restore-sql-stages.ts';
import { comment, doBlock, literal, literals, quoted } from './sql-text.ts';

/** How the script finds the rows: in segments, or in the files of `archive export`. */
export interface RestoreForm {
  /** Programs besides psql, in words. */
  readonly programs: string;
  /** What each `\copy` of a stage reads, as psql wants it: `from '…'` or `from program '…'`. */
  readonly copies: (
    stage: Stage,
  ) => readonly { readonly seq: number | null; readonly source: string }[];
  /** A shell's command that prints what is damaged. */
  readonly check: string;
  /** Lines at the script's end, for that command. */
  readonly digests: (manifest: Manifest) => string;
}

const SEGMENTS: RestoreForm = {
  programs: 'gzip, head and tail',
  copies: ({ ranges }) =>
    ranges.map((range) => ({ seq: range.seq, source: `program '${commandFor(range)}'` })),
  check: `sed -n 's/^--# //p' ${RESTORE_FILE} | sh`,
  digests,
};

/**
 * A script that puts an archive's rows back with nothing but psql, tail, head and gzip, run in the archive's
 * folder. One transaction: all of it or nothing. Pure.
 */
export function renderRestoreSql(manifest: Manifest, form: RestoreForm = SEGMENTS): string {
  const layouts = new Map(manifest.layouts.map((layout) => [layout.id, layout]));
  const stages = stagesOf(manifest.chunks, layouts);
  const deleted = stages.filter(({ kind }) => kind === 'deleted');
  const changed = stages.filter(({ kind }) => kind === 'changed');
  return [
    head(manifest, stages, form),
    beginning(manifest),
    ...stages.map((stage) => renderStage(stage, form)),
    ...(stages.length === 0 ? [] : [tellTriggers(stages)]),
    ...renderInserts(groupsOf(manifest, deleted), deleted),
    ...changed
      .toSorted((left, right) => lastSeq(right) - lastSeq(left))
      .map((stage) => renderChange(stage)),
    ...(deleted.length === 0 ? [] : [renderSequences(deleted)]),
    'commit;',
    form.digests(manifest),
  ].join('\n\n');
}

function head(
  { tenant, purgeId, writtenAt, status, keys }: Manifest,
  stages: readonly Stage[],
  form: RestoreForm,
): string {
  const tables = new Set(stages.map(({ layout }) => layout.table));
  const rows = stages
    .filter(({ kind }) => kind === 'deleted')
    .reduce((sum, stage) => sum + stage.rows, 0);
  return comment(`Puts back what a purge took, without the program that took it.

tenant   ${tenant.table} ${tenant.key} = ${JSON.stringify(tenant.id)} (${JSON.stringify(tenant.label)})
purge    ${purgeId ?? 'none: the tenant was kept'}, ${status} when this was written at ${writtenAt}
holds    ${rows} deleted rows of ${tables.size} tables

Run it in this folder, in the database that the rows came from or in one with the same tables:

  psql -X -v ON_ERROR_STOP=1 -f ${RESTORE_FILE} "$DATABASE_URL"

It needs psql, ${form.programs}, and the role needs INSERT, UPDATE and SELECT on the tables. Under row
level security the role must own the tables or have BYPASSRLS; it is refused otherwise.

- All in one transaction: a row that is there already, a parent that is gone or a column that was dropped ends
  it with an error, and nothing is changed. A second run ends so, too.
- Parents first; tables that refer to each other in a circle in one statement.
- Rows that the purge only changed (references it cleared, its mark on the tenant) get back the values they had,
  where they still have what the purge left. Where they were changed since, they stay, and a notice counts them.
- Generated columns are computed anew. Sequences move forward only, behind the ids that came back.
- The tables' own triggers fire, and may change rows that come back: each is named by a warning. To keep one from
  firing, ALTER TABLE … DISABLE TRIGGER before and ENABLE after.
- Redis keys are not put back: the archive holds ${keys.count} of them, for \`tenant-purge restore\`.

To look for damage first, without a database; it prints what is damaged and nothing else:

  ${form.check}`);
}

function beginning({ settings, database }: Manifest): string {
  const local = Object.entries(settings).map(
    ([name, value]) => `set local ${quoted(name)} = ${literal(value)};`,
  );
  return `\\set ON_ERROR_STOP on
\\encoding UTF8
begin;
set local standard_conforming_strings = on;
-- What the text of the rows depends on, as it was when they were written.
${local.join('\n')}
set local row_security = off;
set local statement_timeout = 0;
set local idle_in_transaction_session_timeout = 0;
-- A tenant that comes back is no sign-up: \`prevention install --trigger\` lets it in.
set local tenant_purge.allow_signup = '*';
-- Names of types below are as they were seen from here.
${doBlock(`begin perform set_config('search_path', ${literal(database.searchPath)}, true); end`)}`;
}

/** A temporary table, and what goes into it; the number of rows is checked. */
function renderStage(stage: Stage, form: RestoreForm): string {
  const { layout, kind, rows, name, columns } = stage;
  const fields = columns.map(({ name: column, type }) => `${column} ${type}`);
  const counted = columns.map(({ name: column }) => column).join(', ');
  const copies = form
    .copies(stage)
    .flatMap(({ seq, source }) => [
      ...(seq === null ? [] : [`alter table pg_temp.${name} alter column seq set default ${seq};`]),
      `\\copy pg_temp.${name} (${counted}) from ${source}`,
    ]);
  return `${comment(`${layout.relation}: ${rows} rows, ${kind === 'deleted' ? 'deleted' : 'changed; b: before, a: after'}`)}
create temporary table ${name} (
  ${[...fields, ...(kind === 'changed' ? ['seq bigint'] : [])].join(',\n  ')}
) on commit drop;
${copies.join('\n')}
${doBlock(`declare staged bigint;
begin
  select count(*) into staged from pg_temp.${name};
  if staged <> ${rows} then
    raise exception '%: % rows were read from the archive, it should hold ${rows}',
      ${literal(layout.relation)}, staged;
  end if;
end`)}`;
}

function tellTriggers(stages: readonly Stage[]): string {
  const tables = [...new Set(stages.flatMap(({ layout }) => [layout.table, layout.relation]))];
  return doBlock(`declare found record;
begin
  for found in
    select tgname, tgrelid::regclass as place from pg_trigger
    where tgrelid = any(array[${literals(tables)}]::regclass[])
      and not tgisinternal and tgenabled <> 'D' and tgtype & ${FIRES_ON_INSERT_OR_UPDATE} <> 0
  loop
    raise warning 'trigger % on % fires for rows that come back', found.tgname, found.place;
  end loop;
end`);
}

/** Bits of pg_trigger.tgtype. */
const FIRES_ON_INSERT_OR_UPDATE = 4 + 16;

/** Each archived table once, as the manifest orders them; one that it does not order comes last. */
function groupsOf(manifest: Manifest, stages: readonly Stage[]): TableName[][] {
  const left = new Set(stages.map(({ layout }) => layout.table));
  const groups = manifest.groups.map((group) => group.filter((table) => left.delete(table)));
  return [...groups, ...[...left].map((table) => [table])].filter((group) => group.length > 0);
}

/** A line for the shell for each chunk. */
function digests({ chunks }: Manifest): string {
  const lines = chunks.map(
    (chunk) =>
      `--# [ "$(${commandFor(chunk, 'sha256sum')})" = "${chunk.sha256}  -" ] || echo 'damaged: ${chunk.segment} from byte ${chunk.offset}'`,
  );
  return `${lines.join('\n')}\n`;
}

const lastSeq = ({ seqMax }: Stage): number => seqMax;

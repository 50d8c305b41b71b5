import { column, literal } from '../rows/row-predicate.ts';
import type { RestoreSession } from './restore-session.ts';
import type { TargetTable } from './target.ts';

/** A sequence that was moved, and where to. */
export interface MovedSequence {
  readonly sequence: string;
  readonly value: number;
}

/**
 * The value that a sequence has to be moved on to, so that it gives out none that the column has; null
 * where it is there or ahead. One that counts down has to be moved down. For a look: without an index on
 * the column this reads the whole table, which may take longer than a batch may.
 */
export async function findMove(
  session: RestoreSession,
  target: TargetTable,
  { sequence, column: name }: { readonly sequence: string; readonly column: string },
): Promise<string | null> {
  // A default that builds a text of the sequence's number says nothing about it.
  const [facts] = await session.ask<{ step: string; whole: boolean }>(`
    select q.seqincrement::text as step, (
      with recursive base (oid) as (
        select a.atttypid from pg_attribute a
        where a.attrelid = ${literal(target.name)}::regclass and a.attname = ${literal(name)}
        union all
        select t.typbasetype from base b join pg_type t on t.oid = b.oid where t.typtype = 'd'
      )
      select bool_or(oid in ('int2'::regtype, 'int4'::regtype,
        'int8'::regtype, 'numeric'::regtype))
        from base) as whole
    from pg_sequence q where q.seqrelid = ${literal(sequence)}::regclass`);
  if (facts?.whole !== true) return null;
  const up = !facts.step.startsWith('-');
  const from = `${target.partitioned ? '' : 'only '}${target.name}`;
  const [top] = await session.ask<{ value: string | null }>(
    `select trunc(${up ? 'max' : 'min'}(${column(name)})::numeric)::text as value from ${from}`,
  );
  if (top?.value == null || !/^-?\d+$/.test(top.value)) return null;
  const [behind] = await session.ask<{ behind: boolean }>(
    `select ${isBehind(top.value, up)} as behind ${fromSequence(sequence)}`,
  );
  return behind?.behind === true ? top.value : null;
}

/**
 * Moves a sequence on to a value; never back. Idempotent.
 * @throws 42501 where it has to be moved and the role lacks UPDATE on it
 */
export async function moveSequence(
  session: RestoreSession,
  sequence: string,
  value: string,
): Promise<MovedSequence | null> {
  const [moved] = await session.ask<{ value: string }>(`
    select setval(${literal(sequence)}, ${literal(value)}::bigint)::text as value ${fromSequence(sequence)}
    and case when q.seqincrement > 0 then ${isBehind(value, true)} else ${isBehind(value, false)} end`);
  return moved === undefined ? null : { sequence, value: Number(moved.value) };
}

const fromSequence = (sequence: string): string =>
  `from ${sequence} s, pg_sequence q where q.seqrelid = ${literal(sequence)}::regclass`;

/** NaN, infinity and what no sequence reaches are nothing that it has to be ahead of. */
const isBehind = (value: string, up: boolean): string =>
  `((${value})::numeric between q.seqmin and q.seqmax and case when s.is_called
     then (${value})::numeric ${up ? '>' : '<'} s.last_value
     else (${value})::numeric ${up ? '>=' : '<='} s.last_value end)`;

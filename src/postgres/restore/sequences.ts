import { column, literal } from '../rows/row-predicate.ts';
import type { RestoreSession } from './restore-session.ts';
import type { TargetTable } from './target.ts';

/** A sequence that was moved, and where to. */
export interface MovedSequence {
  readonly sequence: string;
  readonly value: number;
}

/**
 * Moves a sequence on, so that it gives out no value that the column has; never back. Idempotent. A
 * sequence that counts down moves down. One that is ahead is left as it is.
 * @throws 42501 where it has to be moved and the role lacks UPDATE on it
 */
export async function moveSequence(
  session: RestoreSession,
  target: TargetTable,
  { sequence, column: name }: { readonly sequence: string; readonly column: string },
): Promise<MovedSequence | null> {
  const type = target.columns.find((each) => each.name === name)?.type ?? '';
  // A default that builds a text of the sequence's number says nothing about it.
  if (!/^(smallint|integer|bigint|numeric)/.test(type)) return null;
  const [facts] = await session.ask<{ step: number }>(
    `select seqincrement as step from pg_sequence where seqrelid = ${literal(sequence)}::regclass`,
  );
  const up = Number(facts?.step ?? 1) > 0;
  const from = `${target.partitioned ? '' : 'only '}${target.name}`;
  const [moved] = await session.ask<{ value: number }>(`
    select setval(${literal(sequence)}, m.value) as value
    from (select ${up ? 'max' : 'min'}(${column(name)})::bigint as value from ${from}) m,
      ${sequence} s, pg_sequence q
    where q.seqrelid = ${literal(sequence)}::regclass and m.value between q.seqmin and q.seqmax
      and case when s.is_called then m.value ${up ? '>' : '<'} s.last_value
        else m.value ${up ? '>=' : '<='} s.last_value end`);
  return moved === undefined ? null : { sequence, value: Number(moved.value) };
}

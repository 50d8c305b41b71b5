import { setTimeout as pause } from 'node:timers/promises';
import type { Stage } from '../stage.ts';
import { insist } from './insist.ts';

/** Batches there are, and words of any operator that let some go on. */
interface Standing {
  readonly batches: number;
  readonly releases: number;
}

/**
 * Has an operator stop one tenant, or all (`tenant` null), and sees that from the moment the command
 * returns no batch is committed, unless another operator lets it go on. One that says that the stop
 * is pending promises nothing.
 * @throws Error where a batch came after it
 */
export async function watchStop(
  stage: Stage,
  stop: {
    readonly argv: readonly string[];
    readonly tenant: string | null;
    readonly stillMs: number;
  },
): Promise<void> {
  // A word of another operator may come between the stop and its answer.
  const asked = await stand(stage, stop.tenant);
  const { exitCode, stdout } = await insist(stage, ...stop.argv, '--json');
  const pending = exitCode === 0 ? pendingOf(stdout) : null;
  const before = await stand(stage, stop.tenant);
  await pause(stop.stillMs);
  const after = await stand(stage, stop.tenant);
  if (pending !== 0 || asked === null || before === null || after === null) return;
  if (after.releases > asked.releases || after.batches === before.batches) return;
  throw new Error(
    `${after.batches - before.batches} batches were committed in the ${stop.stillMs} ms after \`${stop.argv.join(' ')}\` had returned`,
  );
}

function pendingOf(stdout: string): number | null {
  try {
    const { pending } = JSON.parse(stdout) as { readonly pending?: number };
    return pending ?? null;
  } catch {
    return null;
  }
}

/** Null while PostgreSQL is away. */
async function stand({ pool }: Stage, tenant: string | null): Promise<Standing | null> {
  try {
    const { rows } = await pool.query<Standing>(
      `select (select count(*)::int from tenant_purge.batch b join tenant_purge.purge p
                 on p.id = b.purge_id
               where b.stage <> 'redis' and ($1::text is null or p.tenant_id = $1)) as batches,
              (select count(*)::int from tenant_purge.event
               where kind in ('resume asked', 'fleet released')) as releases`,
      [tenant],
    );
    return rows[0] ?? null;
  } catch {
    return null;
  }
}

import type { Redis } from 'ioredis';
import type { Pool } from 'pg';
import { redisChecksum } from '../support/catalogue-checksum.ts';
import type { ChaosTenant } from './application.ts';
import { type Holdings, remainsOf } from './audit-rows.ts';

/** A purge as the ledger shows it to anybody. */
interface Shown {
  readonly id: string;
  readonly tenant_id: string;
  readonly status: string;
  readonly residue: readonly { readonly table: string; readonly count: number }[];
  readonly error: {
    readonly code?: string;
    readonly message?: string;
    readonly remedy?: string;
  } | null;
  readonly ended: boolean;
  readonly cancelAsked: boolean;
  /** Rows that the application wrote for the tenant since shortly before its purge ended. */
  readonly writtenAfter: number;
  readonly writtenEver: number;
}

/** Clocks of the transaction and of the statement differ by less than this. */
const WRITTEN_SINCE = "p.ended_at - interval '2 s'";

export async function auditStatuses(
  pool: Pool,
  redis: Redis,
  tenants: readonly ChaosTenant[],
  after: Holdings,
): Promise<{ readonly problems: string[]; readonly statuses: Readonly<Record<string, number>> }> {
  const { rows: purges } = await pool.query<Shown>(
    `select p.id, p.tenant_id, p.status, p.residue, p.error, p.ended_at is not null as ended,
       exists (select from tenant_purge.event e where e.purge_id = p.id and e.kind = 'cancel asked')
         as "cancelAsked",
       (select coalesce(sum(w.rows), 0)::int from chaos.written w
        where w.owner = p.tenant_id and w.at > ${WRITTEN_SINCE}) as "writtenAfter",
       (select coalesce(sum(w.rows), 0)::int from chaos.written w where w.owner = p.tenant_id)
         as "writtenEver"
     from tenant_purge.purge p order by p.tenant_id`,
  );
  const problems: string[] = [];
  const doomed = tenants.filter(({ kept }) => !kept).map(({ id }) => id);
  for (const id of doomed) {
    if (!purges.some(({ tenant_id }) => tenant_id === id)) problems.push(`${id} has no purge`);
  }
  const keysLeft = await readKeysOf(redis, doomed);
  const statuses: Record<string, number> = {};
  for (const purge of purges) {
    statuses[purge.status] = (statuses[purge.status] ?? 0) + 1;
    if (!doomed.includes(purge.tenant_id))
      problems.push(`${purge.tenant_id} was purged, and is kept`);
    const untruths = auditStatus(
      purge,
      remainsOf(after, purge.tenant_id),
      keysLeft(purge.tenant_id),
    );
    problems.push(...untruths.map((what) => `${purge.tenant_id} is ${purge.status}, but ${what}`));
  }
  return { problems, statuses };
}

function auditStatus(purge: Shown, remains: ReadonlyMap<string, number>, keys: number): string[] {
  const problems: string[] = [];
  if (!purge.ended) problems.push('has no time of its end');
  const left = [...remains].map(([table, rows]) => `${table} ${rows}`).join(', ');
  switch (purge.status) {
    case 'completed':
      if (left !== '') problems.push(`there is ${left}`);
      if (keys > 0) problems.push(`there are ${keys} keys`);
      if (purge.residue.length > 0) problems.push(`shows ${JSON.stringify(purge.residue)}`);
      if (purge.error !== null) problems.push(`shows ${JSON.stringify(purge.error)}`);
      return problems;
    case 'cancelled':
      if (!purge.cancelAsked) problems.push('nobody asked for it');
      return [...problems, ...auditResidue(purge, remains)];
    case 'incomplete':
      if (purge.writtenEver === 0) problems.push('nobody wrote a row of it');
      if (purge.error?.remedy === undefined) problems.push('it says no remedy');
      return [...problems, ...auditResidue(purge, remains)];
    default:
      // No fault of the suite is one that does not pass.
      return [...problems, `that is no end of a passing fault: ${JSON.stringify(purge.error)}`];
  }
}

/** What is said to be left is what is there, but for rows that came when it was said. */
function auditResidue(purge: Shown, remains: ReadonlyMap<string, number>): string[] {
  const said = new Map(
    purge.residue
      .filter(({ table }) => table !== 'redis')
      .map(({ table, count }) => [table, count]),
  );
  let apart = 0;
  for (const table of new Set([...said.keys(), ...remains.keys()])) {
    apart += Math.abs((said.get(table) ?? 0) - (remains.get(table) ?? 0));
  }
  if (apart <= purge.writtenAfter) return [];
  return [`says that ${shown(said)} is left, where ${shown(remains)} is`];
}

const shown = (counts: ReadonlyMap<string, number>): string =>
  JSON.stringify(Object.fromEntries([...counts].sort()));

async function readKeysOf(
  redis: Redis,
  doomed: readonly string[],
): Promise<(tenantId: string) => number> {
  const all = await redisChecksum(redis, { except: [] });
  const counts = new Map<string, number>();
  for (const id of doomed) {
    const others = await redisChecksum(redis, { except: [id] });
    counts.set(id, all.size - others.size);
  }
  return (tenantId) => counts.get(tenantId) ?? 0;
}

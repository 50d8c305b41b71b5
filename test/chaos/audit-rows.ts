import type { Pool } from 'pg';
import { CHAOS_TABLES, type ChaosTenant } from './application.ts';

/** What one owner has in one relation. Rows written during the round are apart. */
interface Holding {
  readonly rows: number;
  readonly late: number;
  /** Over the rows that are not late, byte by byte. */
  readonly digest: string;
}

/** By relation and owner; the owner of rows of nobody is the empty text. */
export type Holdings = ReadonlyMap<string, ReadonlyMap<string, Holding>>;

const NOTHING: Holding = { rows: 0, late: 0, digest: '' };
/** What a purge may clear in rows that it then leaves, because somebody cancels it. */
const CLEARED = ['default_agent_id', 'reply_to_id'];
const content = `md5((to_jsonb(t) ${CLEARED.map((column) => `- '${column}'`).join(' ')})::text)`;

/** Every row of the application, by owner. */
export async function readHoldings(pool: Pool): Promise<Holdings> {
  const holdings = new Map<string, Map<string, Holding>>();
  for (const { relation, owner, isLate } of CHAOS_TABLES) {
    const { rows } = await pool.query(
      `select coalesce(${owner ?? 'null::text'}, '') as owner,
              count(*) filter (where not ${isLate})::int as rows,
              count(*) filter (where ${isLate})::int as late,
              coalesce(md5(string_agg(t::text, E'\\n' order by t::text)
                filter (where not ${isLate})), '') as digest
       from only ${relation} t group by 1`,
    );
    holdings.set(relation, new Map(rows.map((row) => [row.owner, row])));
  }
  return holdings;
}

/** Keeps what each row held, for `findChanged`. */
export async function rememberContents(pool: Pool): Promise<void> {
  await pool.query('create table chaos.before (relation text, content text)');
  for (const { relation } of CHAOS_TABLES) {
    await pool.query(
      `insert into chaos.before select '${relation}', ${content} from only ${relation} t`,
    );
  }
}

/** Rows that are there and were not there before the round, nor written during it. */
export async function findChanged(pool: Pool): Promise<string[]> {
  const problems: string[] = [];
  for (const { relation, isLate } of CHAOS_TABLES) {
    const { rows } = await pool.query(
      `select count(*)::int as n from only ${relation} t where not ${isLate}
       and not exists (select from chaos.before b where b.relation = '${relation}' and b.content = ${content})`,
    );
    if (rows[0]?.n > 0) problems.push(`${rows[0]?.n} rows of ${relation} are not as they were`);
  }
  return problems;
}

/** What the writers committed, by relation and owner. */
export async function readWritten(pool: Pool): Promise<ReadonlyMap<string, number>> {
  const { rows } = await pool.query(
    'select relation, owner, sum(rows)::int as rows from chaos.written group by 1, 2',
  );
  return new Map(rows.map((row) => [`${row.relation} ${row.owner}`, row.rows]));
}

/** Rows that the ledger says were deleted, by the table it names and the tenant. */
export async function readBooked(pool: Pool): Promise<ReadonlyMap<string, number>> {
  const { rows } = await pool.query(
    `select b.table_name as name, p.tenant_id as owner, sum(b.rows)::int as rows
     from tenant_purge.batch b join tenant_purge.purge p on p.id = b.purge_id
     where b.kind = 'delete' and b.stage <> 'redis' group by 1, 2`,
  );
  return new Map(rows.map((row) => [`${row.name} ${row.owner}`, row.rows]));
}

/** Rows of a tenant that are there, by the table that the ledger names. */
export function remainsOf(after: Holdings, tenantId: string): Map<string, number> {
  const remains = new Map<string, number>();
  for (const { relation, ledgerName } of CHAOS_TABLES) {
    const { rows, late } = after.get(relation)?.get(tenantId) ?? NOTHING;
    if (rows + late > 0) remains.set(ledgerName, (remains.get(ledgerName) ?? 0) + rows + late);
  }
  return remains;
}

/** Rows gone are rows in the ledger; whoever is kept, and nobody, has everything. */
export function auditRows(
  tenants: readonly ChaosTenant[],
  seen: {
    readonly before: Holdings;
    readonly after: Holdings;
    readonly written: ReadonlyMap<string, number>;
    readonly booked: ReadonlyMap<string, number>;
  },
): string[] {
  const problems: string[] = [];
  const untouched = ['', ...tenants.filter(({ kept }) => kept).map(({ id }) => id)];
  for (const { relation } of CHAOS_TABLES) {
    const owners = seen.after.get(relation)?.keys() ?? [];
    const known = new Set([...untouched, ...tenants.map(({ id }) => id)]);
    for (const owner of owners) {
      if (!known.has(owner)) problems.push(`${relation} has rows of ${owner}, who was never there`);
    }
    for (const owner of untouched) {
      const before = seen.before.get(relation)?.get(owner) ?? NOTHING;
      const after = seen.after.get(relation)?.get(owner) ?? NOTHING;
      const who = owner === '' ? 'nobody' : `${owner}, who is kept`;
      if (after.rows !== before.rows || after.digest !== before.digest) {
        problems.push(`${relation}: rows of ${who}: ${before.rows} before, ${after.rows} after`);
      }
      const written = seen.written.get(`${relation} ${owner}`) ?? 0;
      if (after.late !== written) {
        problems.push(`${relation}: ${written} rows written for ${who}, ${after.late} there`);
      }
    }
  }
  const names = new Set(CHAOS_TABLES.map(({ ledgerName }) => ledgerName));
  for (const { id } of tenants) {
    for (const name of names) {
      const gone = goneFrom(name, id, seen);
      const booked = seen.booked.get(`${name} ${id}`) ?? 0;
      if (gone !== booked)
        problems.push(`${name}: ${gone} rows of ${id} are gone, ${booked} booked`);
    }
  }
  for (const key of seen.booked.keys()) {
    const [name = ''] = key.split(' ');
    if (!names.has(name)) problems.push(`the ledger names ${name}, which is no table`);
  }
  return problems;
}

/** What is wrong once the purge of one tenant was undone: it has what it had, all others what they have. */
export function compareRestored(
  tenantId: string,
  seen: {
    readonly before: Holdings;
    /** After the purges, before the restore. */
    readonly after: Holdings;
    readonly restored: Holdings;
    readonly written: ReadonlyMap<string, number>;
  },
): string[] {
  const problems: string[] = [];
  for (const { relation } of CHAOS_TABLES) {
    const [before, after, restored] = [seen.before, seen.after, seen.restored].map(
      (holdings) => holdings.get(relation) ?? new Map<string, Holding>(),
    );
    for (const owner of new Set([...(restored?.keys() ?? []), ...(before?.keys() ?? [])])) {
      const found = restored?.get(owner) ?? NOTHING;
      const expected =
        owner === tenantId
          ? {
              ...(before?.get(owner) ?? NOTHING),
              late: seen.written.get(`${relation} ${owner}`) ?? 0,
            }
          : (after?.get(owner) ?? NOTHING);
      if (shown(found) === shown(expected)) continue;
      const whose = owner === '' ? 'nobody' : owner;
      problems.push(`${relation}: ${shown(found)} of ${whose}, ${shown(expected)} expected`);
    }
  }
  return problems;
}

const shown = ({ rows, late, digest }: Holding): string =>
  `${rows} rows (${digest}) and ${late} late ones`;

function goneFrom(name: string, owner: string, seen: Parameters<typeof auditRows>[1]): number {
  let gone = 0;
  for (const { relation, ledgerName } of CHAOS_TABLES) {
    if (ledgerName !== name) continue;
    const before = seen.before.get(relation)?.get(owner) ?? NOTHING;
    const after = seen.after.get(relation)?.get(owner) ?? NOTHING;
    const written = seen.written.get(`${relation} ${owner}`) ?? 0;
    gone += before.rows + written - after.rows - after.late;
  }
  return gone;
}

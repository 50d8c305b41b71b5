import { redisChecksum } from '../support/catalogue-checksum.ts';
import { isKeyOf } from './application.ts';
import { type ArchivedKeys, type Keys, readArchivedKeys } from './audit-archive.ts';
import { compareRestored, type Holdings, readHoldings } from './audit-rows.ts';
import { Draw } from './draw.ts';
import type { Stage } from './stage.ts';

/** A purge that has ended, with what it archived. */
interface Candidate {
  readonly id: string;
  readonly tenantId: string;
  readonly status: string;
  readonly rows: number;
}

export interface RestoreAudit {
  readonly problems: readonly string[];
  /** How the purge had ended; null where the round has none to restore. */
  readonly restored: string | null;
  readonly rowsRestored: number;
}

const NOTHING: RestoreAudit = { problems: [], restored: null, rowsRestored: 0 };

/**
 * Undoes one purge of the round as an operator would, when all faults are over and the fleet is gone: its
 * tenant has what it had, and what was written for it meanwhile; nothing else has changed.
 */
export async function auditRestore(
  stage: Stage,
  seen: {
    readonly before: Holdings;
    /** After the purges, before this. */
    readonly after: Holdings;
    readonly written: ReadonlyMap<string, number>;
    readonly keysBefore: Keys;
    readonly keysAfter: Keys;
    readonly keysLostTo: string | null;
  },
): Promise<RestoreAudit> {
  const purge = await choose(stage);
  if (purge === null) return NOTHING;
  const { tenantId, status } = purge;
  const complaints = await restore(stage, purge);
  if (complaints.length === 0) {
    const now = await readHoldings(stage.pool);
    complaints.push(...compareRestored(tenantId, { ...seen, restored: now }));
    const keysNow = await redisChecksum(stage.redis, { except: [] });
    const archived = await readArchivedKeys(stage.pool, stage.archiveDir);
    complaints.push(...compareKeys(tenantId, { ...seen, keysNow, archived }));
  }
  return {
    problems: complaints.map((what) => `restore of ${tenantId}, which was ${status}: ${what}`),
    restored: status,
    rowsRestored: purge.rows,
  };
}

/** One that was cancelled half-way, where there is one: they are the rarer ones. */
async function choose({ pool, plan }: Stage): Promise<Candidate | null> {
  const { rows } = await pool.query<Candidate>(
    `select p.id, p.tenant_id as "tenantId", p.status,
            (select coalesce(sum(c.rows) filter (where c.kind = 'deleted'), 0)::int
             from tenant_purge.archive_chunk c where c.purge_id = p.id) as rows
     from tenant_purge.purge p join tenant_purge.archive a on a.purge_id = p.id
     where p.status in ('completed', 'cancelled') order by p.tenant_id`,
  );
  // One that was cancelled before it deleted anything shows little.
  const worthwhile = rows.some((one) => one.rows > 0) ? rows.filter((one) => one.rows > 0) : rows;
  const halfWay = worthwhile.filter(({ status }) => status === 'cancelled');
  const [first, ...rest] = halfWay.length > 0 ? halfWay : worthwhile;
  return first === undefined ? null : new Draw(plan.restoreSeed).pick([first, ...rest]);
}

async function restore(stage: Stage, { id, tenantId, rows }: Candidate): Promise<string[]> {
  const { exitCode, stdout, stderr } = await stage.fleet.command(['restore', id, '--json'], {
    // The ways of the fleet are closed.
    REDIS_URL: stage.servers.redisUrl(),
  });
  stage.note(`restore of ${tenantId}: exit code ${exitCode}`);
  if (exitCode !== 0) return [`ended with ${exitCode}:\n${stdout}\n${stderr}`];
  const problems: string[] = [];
  const report = JSON.parse(stdout) as {
    readonly outcome?: string;
    readonly rowsRestored?: number;
  };
  if (report.outcome !== 'restored' || report.rowsRestored !== rows) {
    problems.push(`${rows} rows are archived; it says ${stdout}`);
  }
  const ledger = await stage.pool.query('select status from tenant_purge.purge where id = $1', [
    id,
  ]);
  const status: unknown = ledger.rows[0]?.status;
  if (status !== 'restored') problems.push(`the ledger says ${String(status)}`);
  return problems;
}

function compareKeys(
  tenantId: string,
  seen: {
    readonly keysBefore: Keys;
    readonly keysAfter: Keys;
    readonly keysNow: Keys;
    readonly keysLostTo: string | null;
    readonly archived: ArchivedKeys;
  },
): string[] {
  const problems: string[] = [];
  const archived = seen.archived.get(tenantId);
  for (const key of new Set([...seen.keysBefore.keys(), ...seen.keysNow.keys()])) {
    const isOwn = isKeyOf(tenantId, key);
    const comesBack = isOwn && (seen.keysLostTo === null || archived?.has(key) === true);
    const expected = (comesBack ? seen.keysBefore : seen.keysAfter).get(key);
    const found = seen.keysNow.get(key);
    if (found === expected) continue;
    const what = found === undefined ? 'is not there' : 'is not as it was';
    problems.push(`the key ${key} ${what}`);
  }
  return problems;
}

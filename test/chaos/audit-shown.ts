import type { Stage } from './stage.ts';

interface ShownPurge {
  readonly purgeId: string;
  readonly tenantId: string;
  readonly status: string;
  readonly rowsDeleted: number;
}

const TRIES_MAX = 5;

/** What `status` tells an operator is what the ledger's batches add up to. */
export async function auditShown(stage: Stage): Promise<string[]> {
  const shown = await askStatus(stage);
  if (typeof shown === 'string') return [shown];
  const { rows } = await stage.pool.query(
    `select p.id, p.status, coalesce(sum(b.rows) filter (
       where b.kind = 'delete' and b.stage <> 'redis'), 0)::int as booked
     from tenant_purge.purge p left join tenant_purge.batch b on b.purge_id = p.id group by 1, 2`,
  );
  const problems: string[] = [];
  for (const row of rows) {
    const purge = shown.find(({ purgeId }) => purgeId === row.id);
    if (purge === undefined) problems.push(`status does not show purge ${row.id}`);
    else if (purge.rowsDeleted !== row.booked || purge.status !== row.status) {
      problems.push(
        `status shows ${purge.tenantId} as ${purge.status} with ${purge.rowsDeleted} rows deleted; the ledger has ${row.status} with ${row.booked}`,
      );
    }
  }
  return problems;
}

async function askStatus(stage: Stage): Promise<readonly ShownPurge[] | string> {
  let last = '';
  for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
    const { stdout, stderr } = await stage.fleet.command(['status', stage.campaignId, '--json']);
    try {
      const document = JSON.parse(stdout) as { readonly purges?: readonly ShownPurge[] };
      if (document.purges !== undefined) return document.purges;
    } catch {
      // no document: it could not connect
    }
    last = stdout + stderr;
  }
  return `status cannot be asked: ${last}`;
}

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { Pool } from 'pg';
import { until } from '../support/until.ts';

const SESSIONS_GONE_MAX_MS = 15_000;

/** Processes of the round that outlive it, by the mark in their environment. */
export function findOrphans(mark: string): string[] {
  if (!existsSync('/proc')) return []; // Linux alone tells
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => readProc(pid, 'environ').includes(`CHAOS_ROUND=${mark}`))
    .map(
      (pid) =>
        `process ${pid} outlives the round: ${readProc(pid, 'cmdline').replaceAll('\0', ' ')}`,
    );
}

/** Sessions of the program that outlive its processes hold locks that nobody will give back. */
export async function findSessions(pool: Pool): Promise<string[]> {
  const look = async (): Promise<string[]> => {
    const { rows } = await pool.query(
      `select pid, application_name, state, left(query, 80) as query from pg_stat_activity
       where datname = current_database() and application_name like 'tenant-purge%'`,
    );
    return rows.map((row) => `a session outlives its process: ${JSON.stringify(row)}`);
  };
  try {
    return await until('no session of the program is left', SESSIONS_GONE_MAX_MS, async () =>
      (await look()).length === 0 ? [] : null,
    );
  } catch {
    return look();
  }
}

function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return ''; // it has ended, or is not ours
  }
}

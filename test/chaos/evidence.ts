import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RoundPlan } from './round-plan.ts';
import type { Stage } from './stage.ts';

const LEDGER_TABLES = [
  'purge',
  'event',
  'batch',
  'checkpoint',
  'sweep',
  'control',
  'archive',
  'archive_layout',
  'archive_chunk',
  'archive_keys',
  'archive_sweep',
  'restore',
  'restore_done',
];

/** Leaves all that tells what happened in a failed round: plan, notes, logs, ledger, archives, queue. */
export async function gatherEvidence(
  folder: string,
  stage: Stage,
  round: {
    readonly plan: RoundPlan;
    readonly problems: readonly string[];
    readonly notes: readonly string[];
  },
): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  write('plan.json', JSON.stringify(round.plan, null, 2));
  write('notes.txt', `${[...round.notes, '', ...round.problems].join('\n')}\n`);
  for (const [name, log] of Object.entries(stage.fleet.logs())) {
    write(`${name.replaceAll(/\W+/g, '-')}.log`, log);
  }
  for (const table of LEDGER_TABLES) {
    const { rows } = await stage.pool.query(
      `select to_jsonb(t)::text as line from tenant_purge.${table} t`,
    );
    write(`${table}.jsonl`, `${rows.map(({ line }) => line).join('\n')}\n`);
  }
  if (existsSync(stage.archiveDir)) {
    cpSync(stage.archiveDir, join(folder, 'archive'), { recursive: true });
  }
  const keys = (await stage.redis.keys('bull:*')).sort();
  write('queue-keys.txt', `${keys.join('\n')}\n`);
}

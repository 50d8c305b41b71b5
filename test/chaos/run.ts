import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FaultKind } from './faults/kinds.ts';
import { bundlePrograms } from './programs.ts';
import type { RoundResult } from './progress-file.ts';
import { type RoundOutcome, runRound } from './round.ts';
import { planRound } from './round-plan.ts';
import { ChaosServers } from './servers.ts';

export interface ChaosRun {
  readonly seed: number;
  readonly rounds: readonly number[];
  readonly only: FaultKind | null;
  readonly limitMs: number;
  readonly onNote?: (text: string) => void;
  readonly onResult?: (result: RoundResult) => void;
}

const DATA = fileURLToPath(new URL('../../.data', import.meta.url));

/** Runs rounds one after another, on servers that are started for them and end with them. */
export async function runChaos(run: ChaosRun): Promise<RoundResult[]> {
  if (run.rounds.length === 0) return [];
  const folder = join(DATA, `chaos-${process.pid}`);
  const bundling = bundlePrograms(join(folder, 'programs'));
  bundling.catch(() => undefined); // heard of once the servers are there, and can be ended
  const servers = await ChaosServers.start(folder);
  try {
    const programs = await bundling;
    const results: RoundResult[] = [];
    for (const round of run.rounds) {
      const plan = planRound(run.seed, round, run.only);
      const parts = {
        servers,
        programs,
        evidenceFolder: join(DATA, 'chaos-failures'),
        limitMs: run.limitMs,
        onNote: run.onNote ?? (() => undefined),
      };
      const outcome = await runRound(plan, parts).catch(notCarriedOut);
      const faults = plan.faults.map(({ kind }) => kind);
      const result = { seed: run.seed, round, only: run.only, faults, ...outcome };
      results.push(result);
      run.onResult?.(result);
    }
    return results;
  } finally {
    await servers.stop();
  }
}

/** A round that could not be carried out proves nothing: it has failed. */
const notCarriedOut = (error: unknown): RoundOutcome => ({
  late: [],
  passed: false,
  problems: [`could not be carried out: ${error instanceof Error ? error.stack : String(error)}`],
  statuses: {},
  rows: 0,
  takeovers: 0,
  archived: false,
  restored: null,
  rowsRestored: 0,
  durationMs: 0,
});

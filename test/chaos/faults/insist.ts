import { setTimeout as pause } from 'node:timers/promises';
import type { CommandResult } from '../fleet.ts';
import type { Stage } from '../stage.ts';

/** Until a command goes through, servers may be away. */
const TRIES_MAX = 12;
const TRY_AGAIN_MS = 1_000;
/** Exit codes after which an operator need not ask again: done, and refused for what it is now. */
const ANSWERED: readonly (number | null)[] = [0, 3];

/** As an operator would: again until it has been answered. @throws Error when it never was */
export async function insist(stage: Stage, ...argv: string[]): Promise<CommandResult> {
  let last: CommandResult | null = null;
  for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
    last = await stage.fleet.command(argv);
    stage.note(`${argv.join(' ')}: exit code ${last.exitCode}`);
    if (ANSWERED.includes(last.exitCode)) return last;
    if (last.stderr.includes('USAGE')) break; // the suite's own mistake
    await pause(TRY_AGAIN_MS);
  }
  throw new Error(`\`${argv.join(' ')}\` never went through: ${last?.stderr}`);
}

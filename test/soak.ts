import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/**
 * The long runs: `npm run soak` does both; `-- --schemas 2000 --seed 7` purges that many random
 * schemas and compares each with a brute force, `-- --kills 50 --seed 7` purges the demo's million rows
 * under random SIGKILLs. Exits with the first failure.
 */
const { values } = parseArgs({
  options: {
    schemas: { type: 'string' },
    kills: { type: 'string' },
    scale: { type: 'string', default: '1' },
    seed: { type: 'string', default: '7' },
  },
});
const { scale, seed } = values;
const isBare = values.schemas === undefined && values.kills === undefined;
const schemas = values.schemas ?? (isBare ? '2000' : null);
const kills = values.kills ?? (isBare ? '50' : null);

if (schemas !== null) {
  await run('vitest', ['run', 'test/property/purge.test.ts'], {
    PROPERTY_RUNS: schemas,
    PROPERTY_SEED: seed,
  });
}
if (kills !== null) {
  const program = fileURLToPath(new URL('fault/random-kills.ts', import.meta.url));
  const options = ['--kills', kills, '--scale', scale, '--seed', seed];
  await run('node', ['--import', 'tsx', program, ...options], {});
}

async function run(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<void> {
  const child = spawn(command, [...args], {
    stdio: 'inherit',
    env: { ...process.env, ...environment },
  });
  const code = await new Promise<number>((resolve) => {
    child.once('error', () => resolve(1));
    child.once('exit', (exitCode) => resolve(exitCode ?? 1));
  });
  if (code !== 0) process.exit(code);
}

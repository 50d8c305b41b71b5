import { type Failpoint, noFailpoint } from '../src/engine/failpoints.ts';

/**
 * Kills this process, as a crash of the machine would, when the named point is reached for the n-th
 * time. For tests; without a specification it does nothing.
 * @param specification `name:count`, checked by the configuration
 */
export function makeFailpoint(specification: string | null): Failpoint {
  if (specification === null) return noFailpoint;
  const [wanted, count] = specification.split(':');
  let hitsLeft = Number(count);
  return async (name) => {
    if (name !== wanted) return;
    hitsLeft -= 1;
    if (hitsLeft > 0) return;
    process.kill(process.pid, 'SIGKILL');
    // Nothing more happens, whatever the time the signal takes.
    await new Promise(() => undefined);
  };
}

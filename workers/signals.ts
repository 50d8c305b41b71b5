import { EXIT, toPurgeError } from '../src/domain/errors.ts';

/**
 * A launcher (npm, tsx) passes on the Ctrl-C that the terminal has sent to the whole group already:
 * what comes within this time is the same one.
 */
const SAME_SIGNAL_MS = 300;

/** Aborted by the first SIGINT or SIGTERM; a second one ends the process at once. */
export function shutdownSignal(): AbortSignal {
  const shutdown = new AbortController();
  let askedAt = 0;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (!shutdown.signal.aborted) {
        askedAt = performance.now();
        shutdown.abort();
      } else if (performance.now() - askedAt > SAME_SIGNAL_MS) {
        process.exit(EXIT.interrupted);
      }
    });
  }
  return shutdown.signal;
}

/** Runs a process's work; an error becomes one message and the right exit code. */
export async function runUntilSignal(
  work: (shutdown: AbortSignal) => Promise<void>,
): Promise<void> {
  try {
    await work(shutdownSignal());
  } catch (thrown) {
    const error = toPurgeError(thrown);
    process.stderr.write(`${error.code}  ${error.message}\n  → ${error.remedy}\n`);
    process.exitCode = error.exitCode;
  }
}

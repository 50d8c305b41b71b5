import { createInterface } from 'node:readline';
import { PurgeError } from '../../src/domain/errors.ts';
import type { Session } from './command.ts';
import { writeLine } from './io.ts';

interface Confirmation {
  /** What the operator must say. */
  readonly phrase: string;
  /** `--confirm` or CONFIRM_CLEANUP, or null: then there must be somebody to ask. */
  readonly given: string | null;
  /** That nothing happened, for whoever did not confirm; default: nothing was enqueued. */
  readonly nothing?: string;
  /** What is about to happen; shown before the prompt. */
  readonly describe: () => string;
}

/**
 * The last guard. Asks at a terminal; without one the phrase must have been given.
 * @returns null when confirmed, else why not
 * @throws PurgeError STOP_ASKED on Ctrl-C at the prompt
 */
export async function confirm(
  session: Session,
  confirmation: Confirmation,
): Promise<PurgeError | null> {
  const { phrase, given, nothing = 'Nothing was enqueued.' } = confirmation;
  const refused = (why: string): PurgeError => notConfirmed(phrase, why, nothing);
  if (given !== null) return given.trim() === phrase ? null : refused('is another one');
  const { stdin, stderr } = session.io;
  if (stdin.isTTY !== true || stderr.isTTY !== true) return refused('was not given');
  writeLine(stderr, confirmation.describe());
  const typed = await ask(session, `Type "${phrase}" to go on: `, nothing);
  return typed.trim() === phrase ? null : refused('was not typed');
}

const notConfirmed = (phrase: string, why: string, nothing: string): PurgeError =>
  new PurgeError(
    'CONFIRMATION_REQUIRED',
    `The confirmation phrase ${why}. It is "${phrase}". ${nothing}`,
    { details: { expected: phrase } },
  );

/** One line from the terminal; empty at its end. */
function ask(session: Session, question: string, nothing: string): Promise<string> {
  const { io } = session;
  const prompt = createInterface({ input: io.stdin, output: io.stderr });
  return new Promise<string>((resolve, reject) => {
    const interrupt = (): void => reject(new PurgeError('STOP_ASKED', `Interrupted. ${nothing}`));
    prompt.once('SIGINT', interrupt);
    io.interrupted.addEventListener('abort', interrupt, { once: true });
    prompt.once('close', () => resolve(''));
    prompt.question(question, resolve);
  }).finally(() => prompt.close());
}

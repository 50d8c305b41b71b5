import { SingleBar } from 'cli-progress';
import type { Session } from '../command.ts';

/** A progress bar on stderr as every command has it; `format` names the values of its payload. */
export const makeBar = (session: Session, format: string): SingleBar =>
  new SingleBar({
    stream: session.io.stderr,
    format: ` {bar} {percentage}% | ${format}`,
    barsize: 24,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    clearOnComplete: false,
    linewrap: false,
    emptyOnZero: true,
  });

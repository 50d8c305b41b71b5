import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { DEMO } from './app/seed.ts';

export interface DemoOptions {
  /** 1 is 1,845 test tenants and about a million rows. */
  readonly scale: number;
  readonly seed: number;
  readonly workers: number;
  /** End with the report instead of staying up for a look at the board. */
  readonly exit: boolean;
  readonly boardPort: number;
}

/** Flags of the demo; null where they are off or help was asked for, which is then printed. */
export function parseOptions(argv: readonly string[]): DemoOptions | null {
  const program = new Command('npm run demo --')
    .description('Purge a demo application, from its own PostgreSQL and Redis to the report')
    .option('--scale <factor>', 'tenants and rows, 1 is a million rows', positive, 1)
    .option('--seed <number>', 'the same seed gives the same data', whole, DEMO.seed)
    .option('--workers <number>', 'worker processes', whole, 2)
    .option('--board-port <port>', 'port of Bull Board, 0 for a free one', whole, 0)
    .option('--exit', 'end with the report', false)
    .exitOverride();
  try {
    program.parse([...argv], { from: 'user' });
    return program.opts<DemoOptions>();
  } catch (error) {
    if (error instanceof CommanderError) return null;
    throw error;
  }
}

function positive(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be a number above 0.');
}

function whole(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError('It must be a whole number.');
}

import { z } from 'zod';
import { EXIT, PurgeError } from '../../../src/domain/errors.ts';
import type { PurgeId } from '../../../src/domain/ids.ts';
import type { Knobs } from '../../../src/domain/load.ts';
import { isLive } from '../../../src/domain/purge.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import { ThrottleStore, type TuningChange } from '../../../src/postgres/ledger/throttle.ts';
import { migrateLedger } from '../../../src/postgres/migrate.ts';
import { type Answer, defineCommand, readOptions, type Session } from '../command.ts';
import { parseKnobs } from '../knobs.ts';
import { operatorIdentity } from '../operator.ts';
import { plural } from '../output/text.ts';
import { describeKnobs } from '../output/throttle.ts';
import { type LedgerDesk, purgesOf, withLedgerDesk } from './ledger-desk.ts';

const optionsSchema = z.object({
  all: z.boolean().default(false),
  maxRowsPerSec: z.string().optional(),
  targetMs: z.string().optional(),
  maxRows: z.string().optional(),
  clear: z.boolean().default(false),
});

interface Options {
  /** Null for all purges, also those to come. */
  readonly target: string | null;
  readonly change: TuningChange;
}

/** Knobs in mid-run. They stand in the ledger, so that they outlive workers and Redis. */
export const tune = defineCommand<Options>({
  usage: 'tune [target]',
  summary: 'Change how fast purges go, also in mid-run; workers follow within about a second',
  examples: [
    'tune --all --max-rows-per-sec 5000',
    'tune 31c06fc4-db22-4740-83ea-48ac14f25810 --target-ms 100 --max-rows 1000',
    'tune --all --clear',
  ],
  describe: (command) =>
    command
      .option('--all', 'all purges, also those to come; what a purge has of its own goes before')
      .option('--max-rows-per-sec <n>', 'cap on the rows of each purge; 0: none')
      .option('--target-ms <n>', 'how long a batch should take')
      .option('--max-rows <n>', 'most rows of a batch')
      .option('--clear', 'back to the configuration, or to what --all has set'),
  validate: (raw, [target]) => {
    const options = readOptions(optionsSchema, raw);
    if ((target === undefined) !== options.all) {
      throw new PurgeError(
        'USAGE',
        `tune takes a campaign, purge or tenant, or --all${target === undefined ? '' : ', not both'}.`,
      );
    }
    const knobs = parseKnobs(options, (knob) => FLAGS[knob]);
    const isEmpty = Object.keys(knobs).length === 0;
    if (isEmpty !== options.clear) {
      throw new PurgeError(
        'USAGE',
        'tune takes --max-rows-per-sec, --target-ms or --max-rows, or --clear to take all back.',
      );
    }
    return {
      target: target ?? null,
      change: options.clear ? { kind: 'clear' } : { kind: 'set', knobs },
    };
  },
  run: tuneTarget,
});

const FLAGS: Readonly<Record<keyof Knobs, string>> = {
  maxRowsPerSec: '--max-rows-per-sec',
  targetMs: '--target-ms',
  maxRows: '--max-rows',
};

async function tuneTarget(session: Session, { target, change }: Options): Promise<Answer> {
  return withLedgerDesk(session, async (desk) => {
    const purges = target === null ? null : await livePurgesOf(desk, target);
    await migrateLedger(desk.database);
    const store = new ThrottleStore(desk.database);
    const operator = operatorIdentity();
    if (purges === null) {
      const knobs = await store.tune('fleet', change, operator);
      return {
        exitCode: EXIT.done,
        document: { fleet: knobs, purges: [] },
        text: `All purges, also those to come: ${inWords(knobs)}.\nA purge tuned by itself keeps its own.`,
      };
    }
    const tuned: { purgeId: PurgeId; tenantId: string; tuned: Knobs }[] = [];
    for (const { id, tenantId } of purges) {
      tuned.push({ purgeId: id, tenantId, tuned: await store.tune(id, change, operator) });
    }
    return {
      exitCode: EXIT.done,
      document: { purges: tuned },
      text: `${describePurges(purges)}: ${inWords(tuned[0]?.tuned ?? {})}.\nNext: tenant-purge status ${target}`,
    };
  });
}

/** @throws PurgeError NOT_FOUND, STATUS_CONFLICT where none of them is live */
async function livePurgesOf(desk: LedgerDesk, word: string): Promise<PurgeRecord[]> {
  const purges = await purgesOf(desk, word);
  const live = purges.filter(({ status }) => isLive(status));
  if (live.length > 0) return live;
  const [first] = purges;
  throw new PurgeError(
    'STATUS_CONFLICT',
    purges.length === 1 && first !== undefined
      ? `Purge ${first.id} is ${first.status}: there is nothing to tune.`
      : `All ${purges.length} purges have ended: there is nothing to tune.`,
    { details: { purges: purges.map(({ id, status }) => ({ id, status })) } },
  );
}

const inWords = (knobs: Knobs): string => describeKnobs(knobs) || 'as configured';

const describePurges = (purges: readonly PurgeRecord[]): string => {
  const [first] = purges;
  return purges.length === 1 && first !== undefined
    ? `Purge ${first.id} of ${first.tenantLabel}`
    : plural(purges.length, 'live purge');
};

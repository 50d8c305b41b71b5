import type { Holding } from '../../../src/domain/load.ts';
import type { PurgeStatus } from '../../../src/domain/purge.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import type { PendingStop } from '../../../src/postgres/ledger/commands.ts';
import { describePending } from '../../cli/commands/stop-wording.ts';
import type { FleetState } from '../figures.ts';
import { formatDuration, formatTime, plural } from './text.ts';

type Tone = 'good' | 'wait' | 'bad' | 'run' | '';

/** How things stand, in one word and one sentence. */
export interface Statement {
  readonly tone: Tone;
  readonly word: string;
  readonly sentence: string;
}

export const TONES: Readonly<Record<PurgeStatus, Tone>> = {
  planned: '',
  scheduled: '',
  queued: '',
  running: 'run',
  pausing: 'wait',
  paused: 'wait',
  cancelling: 'wait',
  cancelled: 'wait',
  interrupted: 'wait',
  failed: 'bad',
  refused: 'bad',
  incomplete: 'bad',
  completed: 'good',
  restoring: 'run',
  restored: 'good',
};

interface Circumstances {
  readonly purge: PurgeRecord;
  readonly fleet: FleetState;
  readonly silentMs: number | null;
  /** Purges below it that it waits for. */
  readonly awaited: number;
  readonly pending: PendingStop | null;
  readonly holding: Holding | null;
  /** A holder silent for longer is taken to be dead. */
  readonly lockMs: number;
}

/** What a purge does at this moment; asked (`pausing`) is not done (`paused`). Pure. */
export function describePurge(circumstances: Circumstances): Statement {
  const { purge } = circumstances;
  return {
    tone: TONES[purge.status],
    word: purge.status,
    sentence: [sentenceOf(circumstances), held(circumstances), stopping(circumstances)]
      .filter(Boolean)
      .join(' '),
  };
}

/** Whether anything may run at all. Pure. */
export function describeFleet(fleet: FleetState): Statement {
  if (fleet.stopped) {
    const since = fleet.changedAt === null ? '' : ` since ${formatTime(fleet.changedAt)}`;
    if (fleet.batchesOpen > 0) {
      return {
        tone: 'wait',
        word: 'Everything is being paused',
        sentence: `Asked ${byWhom(fleet)}${since}. ${plural(fleet.batchesOpen, 'batch')} that began before may still commit; none begins any more.`,
      };
    }
    return {
      tone: 'wait',
      word: 'Everything is paused',
      sentence: `Paused ${byWhom(fleet)}${since}. No batch runs, anywhere, and none can commit until it is released.`,
    };
  }
  if (fleet.queuePaused === true) {
    return {
      tone: 'wait',
      word: 'The queue is paused',
      sentence:
        'Somebody paused the queue itself; the ledger knows of no stop. Workers stop within one batch, and nothing starts. Resume everything releases it.',
    };
  }
  if (fleet.queuePaused === null) {
    return {
      tone: 'bad',
      word: 'The queue does not answer',
      sentence:
        'Redis is away: what runs goes on, nothing new starts. Pause still works, in the ledger.',
    };
  }
  if (fleet.workers === 0) {
    return {
      tone: 'bad',
      word: 'No worker',
      sentence: 'No worker is connected to the queue: nothing runs. Start one: tenant-purge worker',
    };
  }
  return { tone: 'good', word: 'Running', sentence: 'Purges that are due start by themselves.' };
}

function sentenceOf({
  purge,
  fleet,
  silentMs,
  awaited,
  pending,
  holding,
  lockMs,
}: Circumstances): string {
  switch (purge.status) {
    case 'planned':
      return 'Not enqueued yet.';
    case 'scheduled':
      return `Due at ${formatTime(purge.dueAt)}; nothing is deleted before.`;
    case 'queued':
      return awaited > 0
        ? `Begins after ${plural(awaited, 'purge')} of tenants below it.`
        : fleet.workers === 0
          ? 'No worker is connected to the queue. Start one: tenant-purge worker'
          : 'Waits for a free worker.';
    case 'running':
      if (holding !== null) {
        return `It holds since ${formatTime(holding.since)}: ${holding.reasons.join('; ')}. It goes on by itself.`;
      }
      return silentMs !== null && silentMs > lockMs
        ? `No batch for ${formatDuration(silentMs / 1_000)}: its worker may be dead; another takes over by itself.`
        : 'Rows are being deleted.';
    case 'paused':
      return 'Nothing is deleted until it is resumed; then it goes on from its last batch.';
    case 'pausing':
    case 'cancelling':
      return (pending?.batchOpenMs ?? null) === null
        ? 'No batch runs and none can commit any more. Its worker has not said yet that it stopped.'
        : 'The batch in flight may still commit; no other begins.';
    case 'cancelled':
      return 'Ended. What is gone stays gone; enqueue the tenant again to go on.';
    case 'interrupted':
      return 'A passing fault outlasted its retries. It is tried again by itself; Resume tries at once.';
    case 'failed':
    case 'refused':
      return 'Ended. Read the reason below.';
    case 'incomplete':
      return 'Ended, and rows of the tenant are left. Read below which.';
    case 'completed':
      return 'Every row is gone, and a fresh look found none left.';
    case 'restoring':
      return 'Its rows are being brought back.';
    case 'restored':
      return 'Its rows are back.';
    default:
      return purge.status satisfies never;
  }
}

const STARTS_BY_ITSELF: readonly PurgeStatus[] = ['scheduled', 'queued', 'interrupted', 'running'];

/** A stop of everything holds a purge whose own status says nothing of it. */
function held({ purge, fleet }: Circumstances): string {
  if (!STARTS_BY_ITSELF.includes(purge.status)) return '';
  if (fleet.stopped)
    return `Everything is paused ${byWhom(fleet)}: it does not go on until that is released.`;
  if (fleet.queuePaused === true)
    return 'The queue is paused: it does not go on until that is released.';
  return '';
}

/** Who asked for a stop that is not yet so, and what it waits for. */
function stopping({ pending, lockMs }: Circumstances): string {
  return pending === null ? '' : `Stop ${describePending(pending, lockMs).join('; ')}.`;
}

const byWhom = ({ changedBy }: FleetState): string =>
  changedBy === null ? 'in the ledger' : `by ${changedBy}`;

import type { Config } from '../../src/config/config.ts';
import { PurgeError, toPurgeError } from '../../src/domain/errors.ts';
import { CampaignStore } from '../../src/postgres/ledger/campaigns.ts';
import { CommandStore } from '../../src/postgres/ledger/commands.ts';
import { LedgerHistory } from '../../src/postgres/ledger/history.ts';
import { PurgeStore } from '../../src/postgres/ledger/purges.ts';
import { ledgerVersion } from '../../src/postgres/migrate.ts';
import { statementFailure } from '../../src/postgres/statement-failure.ts';
import { type Actor, actOn } from '../../src/runtime/actor.ts';
import { composeObserver, type Observer } from '../../src/runtime/observer.ts';
import type { Session } from './command.ts';

const ROLE = { role: 'cli' };

/** The ledger as a command that only looks sees it. */
export interface LedgerView {
  readonly purges: PurgeStore;
  readonly campaigns: CampaignStore;
  readonly commands: CommandStore;
  readonly history: LedgerHistory;
}

/** Runs `work` with everything that only looks; closes it however that ends. */
export async function withObserver<Result>(
  session: Session,
  work: (observer: Observer) => Promise<Result>,
): Promise<Result> {
  const observer = await composeObserver(oneCommand(await session.config()), ROLE);
  try {
    return await work(observer);
  } catch (thrown) {
    throw readable(thrown);
  } finally {
    await observer.close();
  }
}

/** Runs `work` with ledger and queue on top of an observer, which stays the caller's. */
export async function withActor<Result>(
  observer: Observer,
  work: (actor: Actor) => Promise<Result>,
): Promise<Result> {
  // The observer is closed by whoever opened it.
  const actor = await actOn({ ...observer, close: () => Promise.resolve() }, ROLE);
  try {
    return await work(actor);
  } finally {
    await actor.close();
  }
}

/** Null where nothing was ever enqueued. Reads only. @throws PurgeError LEDGER_NEWER */
export async function openLedger(observer: Observer): Promise<LedgerView | null> {
  const { database } = observer;
  if ((await ledgerVersion(database)) === null) return null;
  return {
    purges: new PurgeStore(database),
    campaigns: new CampaignStore(database),
    commands: new CommandStore(database),
    history: new LedgerHistory(database),
  };
}

/** One command needs few connections, however many a worker has. */
const oneCommand = (config: Config): Config => ({
  ...config,
  worker: { ...config.worker, slots: 1 },
});

/** Errors of the driver that an operator can mend, in words. */
function readable(thrown: unknown): PurgeError {
  const known = statementFailure(thrown);
  if (known instanceof PurgeError) return known;
  const code = (thrown as { code?: unknown } | null)?.code;
  if (code === '22P02' || code === '22003') {
    return new PurgeError('USAGE', `An id has not the form of the tenant key: ${String(thrown)}.`, {
      cause: thrown,
      remedy: 'Check the id: it must be spelled as in the tenant table.',
    });
  }
  return toPurgeError(thrown);
}

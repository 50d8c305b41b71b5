import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { PurgeId } from '../../domain/ids.ts';
import type { CommandName } from './command-answers.ts';
import type { PurgeSelection } from './purges.ts';
import type { LedgerTables } from './tables.ts';

/** A transaction of the ledger. */
export type LedgerTransaction = Transaction<LedgerTables>;

/** Who asked, from where, and for what. */
export interface CommandRequest {
  /** `user@host`. */
  readonly operator: string;
  /** Also stops (`pause`) or releases (`resume`) the fleet, so that nothing unselected starts. */
  readonly fleet: boolean;
  /** Stop when the level being worked on is done. Not for the fleet. */
  readonly afterLevel?: boolean;
  /** By what the command came, e.g. `command line`. */
  readonly via?: string;
}

/** From where a command came, as the server sees it; null over a local socket. */
const CLIENT: RawBuilder<unknown> = sql`jsonb_strip_nulls(jsonb_build_object(
  'client', host(inet_client_addr())))`;

type Effect = 'changed' | 'already' | 'conflict';

interface CommandNote {
  readonly kind: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly request: CommandRequest;
}

const detailsOf = ({ details, request }: CommandNote): string =>
  JSON.stringify({ ...details, ...(request.via === undefined ? {} : { via: request.via }) });

/** One event for each purge. */
export async function noteEach(
  trx: LedgerTransaction,
  ids: readonly PurgeId[],
  note: CommandNote,
): Promise<void> {
  await sql`
    insert into tenant_purge.event (purge_id, kind, actor, details)
    select unnest(${ids}::uuid[]), ${note.kind}, ${note.request.operator},
           ${detailsOf(note)}::jsonb || ${CLIENT}`.execute(trx);
}

/** A command to a campaign or to all of them is one line of its own, with what came of it. */
export async function noteSelection(
  trx: LedgerTransaction,
  command: CommandName,
  {
    selection,
    request,
    results,
  }: {
    readonly selection: PurgeSelection;
    readonly request: CommandRequest;
    readonly results: readonly { readonly effect: Effect }[];
  },
): Promise<void> {
  if (selection.kind === 'purge') return;
  const count = (effect: Effect): number =>
    results.filter((result) => result.effect === effect).length;
  const campaignId = selection.kind === 'campaign' ? selection.id : null;
  await noteWhole(trx, campaignId, {
    kind: `${command} of ${campaignId === null ? 'all' : 'the campaign'} asked`,
    details: {
      changed: count('changed'),
      already: count('already'),
      conflict: count('conflict'),
      ...(request.afterLevel === true ? { afterLevel: true } : {}),
    },
    request,
  });
}

/** One event for a campaign, or for the fleet. */
export async function noteWhole(
  trx: LedgerTransaction,
  campaignId: string | null,
  note: CommandNote,
): Promise<void> {
  await sql`
    insert into tenant_purge.event (campaign_id, kind, actor, details)
    values (${campaignId}, ${note.kind}, ${note.request.operator},
            ${detailsOf(note)}::jsonb || ${CLIENT})`.execute(trx);
}

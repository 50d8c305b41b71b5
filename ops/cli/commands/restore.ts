import { z } from 'zod';
import { EXIT, PurgeError } from '../../../src/domain/errors.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import {
  type Conflict,
  type RestoreReport,
  type RestoreRules,
  SETTLEMENTS,
  type SettledKind,
  type TriggerChoice,
} from '../../../src/domain/restore.ts';
import { findTarget, notFound } from '../../../src/engine/campaign/find-target.ts';
import { stopAsked } from '../../../src/engine/restore/restore-run.ts';
import { migrateLedger } from '../../../src/postgres/migrate.ts';
import { processIdentity } from '../../../src/runtime/process-identity.ts';
import { restorePurge } from '../../../src/runtime/restore.ts';
import { makeFailpoint } from '../../../workers/failpoint.ts';
import {
  type Answer,
  defineCommand,
  parseCount,
  readOptions,
  requireKnown,
  type Session,
} from '../command.ts';
import { confirm } from '../confirm.ts';
import { operatorIdentity } from '../operator.ts';
import { displayRestore, renderRestore } from '../output/restore.ts';
import { plural } from '../output/text.ts';
import { sleep } from '../wait.ts';
import { type LedgerDesk, withLedgerDesk } from './ledger-desk.ts';

const optionsSchema = z.object({
  into: z.string().optional(),
  dryRun: z.boolean().default(false),
  settle: z.array(z.string()).default([]),
  trigger: z.array(z.string()).default([]),
  confirm: z.string().optional(),
  wait: z.union([z.boolean(), z.string()]).optional(),
});

interface Options {
  readonly target: string;
  readonly into: string | null;
  readonly dryRun: boolean;
  /** Null: none were given, and a restore that goes on keeps its own. */
  readonly rules: RestoreRules | null;
  readonly confirmation: string | null;
  /** How long another process that restores this purge is waited for. */
  readonly waitMs: number;
}

const WAIT_MAX_SEC = 86_400;
const WAIT_ASKED_SEC = 3_600;
const LOOK_AGAIN_MS = 1_000;

export const restore = defineCommand<Options>({
  usage: 'restore <purge>',
  summary: 'Put back what a purge has archived: rows, references, sequences, Redis keys',
  examples: [
    'restore 31c06fc4-db22-4740-83ea-48ac14f25810',
    'restore 31c06fc4-db22-4740-83ea-48ac14f25810 --dry-run',
    'restore 42 --settle ROW_TAKEN=skip --trigger public.orders.notify=disable',
    'restore 42 --into postgresql://dba@localhost:5432/look_at_it',
  ],
  describe: (command) =>
    command
      .option('--into <url>', 'restore into this database instead; Redis keys stay in the archive')
      .option('--dry-run', 'only look for what stands in the way')
      .option(
        '--settle <kind=action...>',
        `how to settle conflicts: ${Object.entries(SETTLEMENTS)
          .map(([kind, actions]) => `${kind}=${actions.join('|')}`)
          .join(', ')}`,
      )
      .option(
        '--trigger <table.name=choice...>',
        "let a trigger of the application's fire, or disable it for the restored rows: fire or disable",
      )
      .option('--confirm <phrase>', 'the confirmation phrase, where something is left out')
      .option(
        '--wait [seconds]',
        'wait for another process that restores it, by default up to an hour',
      ),
  validate: (raw, [target = '']) => {
    const options = readOptions(optionsSchema, raw);
    const rules = { settle: parseSettle(options.settle), triggers: parseTriggers(options.trigger) };
    return {
      target,
      into: options.into ?? null,
      dryRun: options.dryRun,
      rules: options.settle.length + options.trigger.length > 0 ? rules : null,
      confirmation: options.confirm ?? null,
      waitMs: waitMsOf(options.wait),
    };
  },
  handlesInterrupt: true,
  run: (session, options) =>
    withLedgerDesk(session, async (desk) => {
      const purge = await purgeOf(desk, options.target);
      await migrateLedger(desk.database);
      const report = await restoreOne(session, desk, purge, options);
      const open = report.conflicts.filter(({ settledBy }) => settledBy === null);
      return answerOf(session, report, open.length > 0);
    }),
});

/** Also a dry run that finds something ends with exit code 3, so that scripts can ask. */
const answerOf = (session: Session, report: RestoreReport, isRefused: boolean): Answer => ({
  exitCode: isRefused ? EXIT.refused : EXIT.done,
  document: report,
  text: renderRestore(report, session),
});

/** Restores one purge with a bar; Ctrl-C stops it after the batch in hand. */
export async function restoreOne(
  session: Session,
  desk: LedgerDesk,
  purge: PurgeRecord,
  options: Pick<Options, 'into' | 'dryRun' | 'rules' | 'confirmation' | 'waitMs'>,
): Promise<RestoreReport> {
  const deadline = performance.now() + options.waitMs;
  const { interrupted } = session.io;
  for (;;) {
    const display = displayRestore(session);
    try {
      return await restorePurge(desk.config, desk.database, {
        purge,
        into: options.into,
        rules: options.rules,
        dryRun: options.dryRun,
        operator: operatorIdentity(),
        holder: processIdentity(),
        failpoint: makeFailpoint(desk.config.failpoint),
        onWarning: (warning) => session.note(warning),
        confirm: async ({ rows, conflicts }) => {
          display.stop();
          await confirmLoss(session, desk, { purge, rows, conflicts, given: options.confirmation });
        },
        signal: interrupted,
        onState: display.onState,
      });
    } catch (error) {
      if (interrupted.aborted && !(error instanceof PurgeError)) throw stopAsked(purge.id);
      const isHeld = error instanceof PurgeError && error.code === 'RESTORE_HELD';
      if (!isHeld || performance.now() >= deadline) throw error;
      await sleep(LOOK_AGAIN_MS, interrupted);
      if (interrupted.aborted) throw stopAsked(purge.id);
    } finally {
      display.stop();
    }
  }
}

/** Rules that leave rows out, change them or overwrite keys are confirmed; a plain restore needs nothing. */
async function confirmLoss(
  session: Session,
  { config }: LedgerDesk,
  about: {
    readonly purge: PurgeRecord;
    readonly rows: number;
    readonly conflicts: readonly Conflict[];
    readonly given: string | null;
  },
): Promise<void> {
  const harmless = new Set<Conflict['kind']>(['ROW_PRESENT', 'TRIGGER']);
  const lossy = about.conflicts.filter(({ kind }) => !harmless.has(kind));
  if (lossy.length === 0) return;
  const refused = await confirm(session, {
    phrase: `RESTORE ${about.purge.tenantId}`,
    given: about.given ?? config.confirmation,
    nothing: 'Nothing was restored.',
    describe: () =>
      [
        `${plural(about.rows, 'row')} of tenant ${about.purge.tenantId} come back, but for:`,
        ...lossy.map(({ message, settledBy }) => `  ${message} (${settledBy})`),
      ].join('\n'),
  });
  if (refused !== null) throw refused;
}

async function purgeOf({ ledger }: LedgerDesk, word: string): Promise<PurgeRecord> {
  if (ledger === null) throw notFound(word);
  const target = await findTarget(ledger, word);
  if (target.kind === 'purge') return target.purge;
  throw new PurgeError('USAGE', `restore takes one purge or tenant; ${word} is a campaign.`, {
    remedy: 'See its purges with `tenant-purge status CAMPAIGN`, and restore one after the other.',
  });
}

function parseSettle(pairs: readonly string[]): RestoreRules['settle'] {
  const settle: Partial<Record<SettledKind, string>> = {};
  for (const pair of pairs) {
    const [kind = '', action = ''] = pair.split('=');
    requireKnown([kind], Object.keys(SETTLEMENTS), '--settle');
    const known: SettledKind = kind as SettledKind;
    requireKnown([action], SETTLEMENTS[known], `--settle ${kind}`);
    settle[known] = action;
  }
  return settle as RestoreRules['settle'];
}

function parseTriggers(pairs: readonly string[]): RestoreRules['triggers'] {
  const choices: Record<string, TriggerChoice> = {};
  for (const pair of pairs) {
    const at = pair.lastIndexOf('=');
    const [name, choice] = [pair.slice(0, Math.max(0, at)), pair.slice(at + 1)];
    requireKnown([choice], ['fire', 'disable'], `--trigger ${name}`);
    if (name.split('.').length < 3) {
      throw new PurgeError(
        'USAGE',
        `--trigger: "${pair}" is not schema.table.trigger=fire or =disable.`,
      );
    }
    choices[name] = choice as TriggerChoice;
  }
  return choices;
}

function waitMsOf(wait: string | boolean | undefined): number {
  if (wait === undefined || wait === false) return 0;
  return typeof wait === 'string'
    ? parseCount(wait, '--wait', { min: 0, max: WAIT_MAX_SEC }) * 1_000
    : WAIT_ASKED_SEC * 1_000;
}

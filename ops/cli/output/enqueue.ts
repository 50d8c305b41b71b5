import { createFileSystemStore } from '../../../src/archive/file-system-store.ts';
import type { Config } from '../../../src/config/config.ts';
import { CANNOT_BE_UNDONE, confirmationPhrase } from '../../../src/domain/confirmation.ts';
import { isGuardedEnvironment } from '../../../src/domain/environment.ts';
import { EXIT, type PurgeError } from '../../../src/domain/errors.ts';
import type { PreparedCampaign } from '../../../src/engine/campaign/prepare.ts';
import type { Answer } from '../command.ts';
import type { EnqueueOptions } from '../enqueue-options.ts';
import { renderTenants, sizeOf } from './dry-run.ts';
import { plural } from './text.ts';

/** Nothing was enqueued, and why. */
export function refuse(errors: readonly PurgeError[], prepared: PreparedCampaign): Answer {
  return {
    exitCode: errors[0]?.exitCode ?? EXIT.refused,
    document: { campaignId: null, purges: [], refused: prepared.refused, ...errorsOf(errors) },
    text: '',
    errors,
  };
}

/** The first one in the form of the contract; all of them where there are more. */
export function errorsOf(errors: readonly PurgeError[]): object {
  const [first] = errors;
  if (first === undefined) return {};
  const all = errors.map((error) => error.toReport());
  return { error: first.toReport(), ...(all.length > 1 ? { errors: all } : {}) };
}

/** Where the rows go before they are gone, or that there is no way back. */
export function undoSentence({ archive }: { readonly archive: boolean }, config: Config): string {
  if (!archive) return CANNOT_BE_UNDONE;
  const { location, keepDays } = archiveWish(config);
  return `Archive: ${location}, kept until ${plural(keepDays, 'day')} after a purge has ended. Until it is expired the purge can be undone.`;
}

/** The same for programs; null where nothing is archived. */
export const archiveDocument = (
  { archive }: { readonly archive: boolean },
  config: Config,
): object | null => (archive ? archiveWish(config) : null);

const archiveWish = ({ archive }: Config): { location: string; keepDays: number } => ({
  location: createFileSystemStore(archive.dir).location(),
  keepDays: archive.keepDays,
});

/** What the operator is about to confirm. */
export function describeCampaign(prepared: PreparedCampaign, undo: string): string {
  const { tenants, rows, redisKeys } = sizeOf(prepared);
  return [
    `${plural(tenants, 'tenant')} will be deleted:`,
    renderTenants(prepared),
    `${plural(rows, 'row')} and ${plural(redisKeys, 'Redis key')} will go.`,
    undo,
  ].join('\n');
}

/** The command line that would do what the dry run showed. */
export function realCommand(
  options: EnqueueOptions,
  config: Config,
  prepared: PreparedCampaign,
): string {
  const phrase = confirmationPhrase(
    prepared.tenants.map(({ id }) => id),
    options,
  );
  const words = [
    'tenant-purge',
    'enqueue',
    ...(options.tenant === undefined ? [] : ['--tenant', ...options.tenant]),
    ...(options.from === undefined ? [] : ['--from', options.from]),
    ...(options.allExcept === undefined
      ? []
      : ['--all-except', ...(options.allExcept === true ? [] : options.allExcept)]),
    ...(options.withDescendants ? ['--with-descendants'] : []),
    ...options.allow.flatMap((type) => ['--allow', type]),
    ...(isGuardedEnvironment(config.environment) ? ['--allow-production'] : []),
    ...(options.archive ? [] : ['--no-archive']),
    ...(options.delay === null ? [] : ['--delay', options.delay]),
    ...(options.config === undefined ? [] : ['--config', options.config]),
    '--confirm',
    phrase,
  ];
  return words.map(quoteForShell).join(' ');
}

const quoteForShell = (word: string): string =>
  /^[\w./:@=-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;

export const nextCommands = (campaignId: string): string[] => [
  'Next:',
  `  tenant-purge status ${campaignId} --watch`,
  `  tenant-purge pause ${campaignId}`,
  `  tenant-purge cancel ${campaignId}`,
];

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

/** What the operator is about to confirm. */
export function describeCampaign(prepared: PreparedCampaign): string {
  const { tenants, rows, redisKeys } = sizeOf(prepared);
  return [
    `${plural(tenants, 'tenant')} will be deleted:`,
    renderTenants(prepared),
    `${plural(rows, 'row')} and ${plural(redisKeys, 'Redis key')} will go. ${CANNOT_BE_UNDONE}`,
  ].join('\n');
}

/** The command line that would do what the dry run showed. */
export function realCommand(
  options: EnqueueOptions,
  config: Config,
  prepared: PreparedCampaign,
): string {
  const phrase = confirmationPhrase(prepared.tenants.map(({ id }) => id));
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
    '--no-archive',
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

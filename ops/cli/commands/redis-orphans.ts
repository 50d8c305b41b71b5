import { z } from 'zod';
import type { Config } from '../../../src/config/config.ts';
import { isGuardedEnvironment } from '../../../src/domain/environment.ts';
import { EXIT, PurgeError } from '../../../src/domain/errors.ts';
import { type OrphanFindings, orphansPhrase } from '../../../src/domain/orphans.ts';
import type { Observer } from '../../../src/runtime/observer.ts';
import { lookForOrphans, type OrphanLook, restoreOrphanRun } from '../../../src/runtime/orphans.ts';
import { makeFailpoint } from '../../../workers/failpoint.ts';
import { type Answer, defineCommand, readOptions, type Session } from '../command.ts';
import { confirm } from '../confirm.ts';
import { withObserver } from '../open.ts';
import { operatorIdentity } from '../operator.ts';
import { errorsOf } from '../output/enqueue.ts';
import {
  findingsDocument,
  renderDeletion,
  renderFindings,
  renderOrphanRestore,
} from '../output/orphans.ts';
import { plural } from '../output/text.ts';
import { findUnfinishedRun, whyUnrelated } from './redis-relation.ts';

const optionsSchema = z.object({
  delete: z.boolean().default(false),
  restore: z.string().min(1).optional(),
  confirm: z.string().optional(),
  allowProduction: z.boolean().default(false),
  allowUnrelated: z.boolean().default(false),
});
type Options = z.output<typeof optionsSchema>;

/** Keys that a database cleaned without its Redis has left behind. */
export const redisOrphans = defineCommand<Options>({
  usage: 'orphans',
  summary: 'Keys of tenants that are not in the tenant table; reads only without --delete',
  examples: [
    'redis orphans',
    'redis orphans --json',
    'redis orphans --delete --confirm "DELETE KEYS OF 1829 TENANTS"',
    'redis orphans --restore 5b0c5a7e-8f0e-4d52-a3a5-6f0a4c1a2b3c',
  ],
  describe: (command) =>
    command
      .option(
        '--delete',
        'archive these keys, then unlink them; the same command goes on after a stop',
      )
      .option('--restore <run>', 'put the keys of a run back; keys that are there are left alone')
      .option('--confirm <phrase>', 'the confirmation phrase, instead of the prompt')
      .option('--allow-production', 'go on in production, staging, or with ENVIRONMENT unset')
      .option(
        '--allow-unrelated',
        'go on although database and Redis do not look as if they belonged together',
      ),
  validate: (raw) => {
    const options = readOptions(optionsSchema, raw);
    if (options.delete && options.restore !== undefined) {
      throw new PurgeError('USAGE', 'redis orphans takes --delete or --restore, not both.');
    }
    return options;
  },
  handlesInterrupt: true,
  run: (session, options) =>
    withObserver(session, async (observer) => {
      const signal = session.io.interrupted;
      if (options.restore !== undefined) {
        const operator = operatorIdentity();
        const report = await restoreOrphanRun(observer, options.restore, { operator, signal });
        return { exitCode: EXIT.done, document: report, text: renderOrphanRestore(report) };
      }
      const look = await lookForOrphans(observer, signal);
      const unfinishedRun = await findUnfinishedRun(observer);
      return options.delete
        ? realRun(session, observer, options, { ...look, unfinishedRun })
        : dryRun(session, { ...look, unfinishedRun });
    }),
});

interface Look extends OrphanLook {
  /** One that was stopped: the next delete goes on with it. */
  readonly unfinishedRun: string | null;
}

function dryRun(session: Session, { findings, tenantIds, unfinishedRun }: Look): Answer {
  const isAny = tenantIds.length > 0;
  const phrase = isAny ? orphansPhrase(tenantIds) : null;
  return {
    exitCode: EXIT.done,
    // Every id: an application's own word, `tenant:settings:…`, looks like one where ids are text.
    document: {
      dryRun: true,
      runId: null,
      ...findingsDocument(findings),
      tenantIds,
      unfinishedRun,
      phrase,
    },
    text: [
      session.colors.bold('Dry run: nothing was changed.'),
      ...renderFindings(findings, session),
      ...(unfinishedRun === null
        ? []
        : [`Run ${unfinishedRun} was stopped before its end: --delete goes on with it.`]),
      ...(isAny ? [`Delete them: tenant-purge redis orphans --delete --confirm "${phrase}"`] : []),
    ].join('\n'),
  };
}

async function realRun(
  session: Session,
  observer: Observer,
  options: Options,
  look: Look,
): Promise<Answer> {
  const { config } = observer;
  const { findings, tenantIds, unfinishedRun } = look;
  const document = findingsDocument(findings);
  if (tenantIds.length === 0 && unfinishedRun === null) {
    return {
      exitCode: EXIT.done,
      document: { dryRun: false, runId: null, ...document, phrase: null },
      text: [...renderFindings(findings, session), 'Nothing was deleted.'].join('\n'),
    };
  }
  // A run that was stopped ends by this, and its archive can expire, though no key is left to delete.
  const phrase = tenantIds.length === 0 ? null : orphansPhrase(tenantIds);
  const errors = guards(config, options, findings);
  const unrelated = options.allowUnrelated ? null : await whyUnrelated(observer);
  if (unrelated !== null) errors.push(unrelated);
  const given = options.confirm ?? config.confirmation;
  const isInteractive = session.io.stdin.isTTY === true && session.io.stderr.isTTY === true;
  // Nobody is asked to type a phrase for what is refused anyway.
  if (phrase !== null && (errors.length === 0 || given !== null || !isInteractive)) {
    const refused = await confirm(session, {
      phrase,
      given,
      nothing: 'Nothing was deleted.',
      describe: () => renderFindings(findings, session).join('\n'),
    });
    if (refused !== null) errors.push(refused);
  }
  if (errors.length > 0) {
    return {
      exitCode: errors[0]?.exitCode ?? EXIT.refused,
      document: { dryRun: false, runId: null, ...document, phrase, ...errorsOf(errors) },
      text: '',
      errors,
    };
  }
  if (session.io.interrupted.aborted) {
    throw new PurgeError('STOP_ASKED', 'Interrupted. Nothing was deleted.');
  }
  const done = await look.delete({
    operator: operatorIdentity(),
    failpoint: makeFailpoint(config.failpoint),
    signal: session.io.interrupted,
    note: (line) => session.note(line),
  });
  return {
    exitCode: done.deletion.isDone ? EXIT.done : EXIT.interrupted,
    // What the pass that deleted met, which is not quite what was looked at before.
    document: { dryRun: false, ...done.deletion, ...findingsDocument(done.findings), phrase },
    text: renderDeletion(done.deletion, done.findings).join('\n'),
  };
}

function guards(config: Config, options: Options, findings: OrphanFindings): PurgeError[] {
  const errors: PurgeError[] = [];
  if (isGuardedEnvironment(config.environment) && !options.allowProduction) {
    errors.push(
      new PurgeError('ENVIRONMENT_GUARD', `The environment is ${config.environment}.`, {
        details: { environment: config.environment },
      }),
    );
  }
  if (findings.owned === 0 && findings.orphans.keys > 0 && !options.allowUnrelated) {
    errors.push(
      new PurgeError(
        'IDENTITY_MISMATCH',
        `Not one key belongs to a tenant of this database, and ${plural(findings.orphans.keys, 'key')} to tenants that it does not have: it looks like the Redis of another environment.`,
        {
          remedy:
            'Check that DATABASE_URL and REDIS_URL belong together; if they do, add --allow-unrelated.',
        },
      ),
    );
  }
  return errors;
}

import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';
import { EXIT, PurgeError } from '../../../src/domain/errors.ts';
import { SUSPICIOUS_WORDS } from '../../../src/domain/test-data/suspicious-words.ts';
import { installPrevention } from '../../../src/postgres/prevention/install.ts';
import { expirePreventionLog } from '../../../src/postgres/prevention/retention.ts';
import { installTrigger, uninstallTrigger } from '../../../src/postgres/prevention/trigger.ts';
import { domainListsOf } from '../../../src/prevention/details.ts';
import { mintOverrideToken, TOKEN_AGE_MAX_MS } from '../../../src/prevention/override-token.ts';
import {
  type Answer,
  defineCommand,
  parseDuration,
  readOptions,
  type Session,
} from '../command.ts';
import { defineGroup } from '../command-group.ts';
import { operatorIdentity } from '../operator.ts';
import { plural } from '../output/text.ts';
import { withLedgerDesk } from './ledger-desk.ts';

const installSchema = z.object({
  trigger: z.boolean().default(false),
  uninstall: z.boolean().default(false),
  grantTo: z.string().min(1).optional(),
});

const install = defineCommand<z.output<typeof installSchema>>({
  usage: 'install',
  summary: 'Create or migrate the log table; with --trigger also the second line in the database',
  examples: [
    'prevention install --grant-to app',
    'prevention install --trigger',
    'prevention install --trigger --uninstall',
  ],
  describe: (command) =>
    command
      .option('--grant-to <role>', 'role of the application, which may then write log rows')
      .option('--trigger', 'refuse test data on INSERT into the tenant table, whoever inserts')
      .option('--uninstall', 'take the trigger away; the log stays'),
  validate: (raw) => {
    const options = readOptions(installSchema, raw);
    if (options.uninstall && options.grantTo !== undefined) {
      throw new PurgeError('USAGE', '--uninstall takes away; --grant-to does not go with it.');
    }
    return options;
  },
  run: (session, { trigger, uninstall, grantTo }) =>
    withLedgerDesk(session, async ({ database, config }) => {
      if (uninstall) {
        const removed = await uninstallTrigger(database);
        return done(
          { trigger: removed ? 'removed' : 'none' },
          removed ? 'The trigger is gone; the log stays.' : 'There was no trigger.',
        );
      }
      const installed = await installPrevention(database, grantTo ?? null);
      const { table } = config.tenant;
      if (trigger) {
        const { name, subdomain, email } = config.prevention.columns;
        await installTrigger(database, {
          table,
          columns: {
            name: name ?? config.tenant.label ?? 'name',
            subdomain: subdomain ?? null,
            email: email ?? null,
          },
          words: [...SUSPICIOUS_WORDS, ...config.diagnosis.words],
          domains: domainListsOf(config.diagnosis),
        });
      }
      const { applied, grantedTo } = installed;
      const log = `${installed.table} ${applied.length === 0 ? 'was there' : 'is ready'}`;
      const granted = grantedTo === null ? '' : `; ${grantedTo} may write to it`;
      return done(
        { ...installed, trigger: trigger ? table : null },
        `${log}${granted}.${trigger ? `\nThe trigger watches INSERT into ${table}.` : ''}`,
      );
    }),
});

const OLDER_THAN_MAX_MS = 3_650 * 86_400_000;
const expireSchema = z.object({ olderThan: z.string() });

const expire = defineCommand<{ readonly olderThanMs: number; readonly olderThan: string }>({
  usage: 'expire',
  summary: 'Delete the oldest rows of the log; for a daily timer',
  examples: ['prevention expire --older-than 30d'],
  describe: (command) =>
    command.requiredOption('--older-than <time>', 'rows written before that go, e.g. 30d'),
  validate: (raw) => {
    const { olderThan } = readOptions(expireSchema, raw);
    return { olderThan, olderThanMs: parseDuration(olderThan, '--older-than', OLDER_THAN_MAX_MS) };
  },
  handlesInterrupt: true,
  run: (session, { olderThan, olderThanMs }) =>
    withLedgerDesk(session, async ({ database }) => {
      const { rowsDeleted, finished } = await expirePreventionLog(
        database,
        olderThanMs,
        () => session.io.interrupted.aborted,
      );
      const text = `${plural(rowsDeleted, 'row')} older than ${olderThan} deleted.`;
      return finished
        ? done({ rowsDeleted, finished }, text)
        : {
            exitCode: EXIT.interrupted,
            document: { rowsDeleted, finished },
            text: `${text} Interrupted: run it again for the rest.`,
          };
    }),
});

const tokenSchema = z.object({
  subject: z.string().min(1),
  audience: z.string().min(1),
  keyFile: z.string().min(1),
  for: z.string().default('1h'),
});

interface TokenOptions extends z.output<typeof tokenSchema> {
  readonly forMs: number;
}

const token = defineCommand<TokenOptions>({
  usage: 'token',
  summary: 'Sign a token that lets one tenant through the guard, once',
  examples: [
    'prevention token --subject acme-test --audience signup.example.com --key-file override.pem',
    'prevention token --subject "Test Equipment Ltd" --audience signup.example.com --key-file secret --for 24h',
  ],
  describe: (command) =>
    command
      .requiredOption('--subject <subdomain>', 'subdomain of the tenant; its name, if it has none')
      .requiredOption('--audience <service>', 'the service that it is for, as its guard is told')
      .requiredOption('--key-file <file>', 'Ed25519 private key (PEM), or a secret of 32 bytes')
      .option('--for <time>', 'how long it is good, at most 7d', '1h'),
  validate: (raw) => {
    const options = readOptions(tokenSchema, raw);
    return { ...options, forMs: parseDuration(options.for, '--for', TOKEN_AGE_MAX_MS) };
  },
  run: signToken,
});

async function signToken(session: Session, options: TokenOptions): Promise<Answer> {
  const { subject, audience, forMs } = options;
  const key = await readKeyFile(resolve(session.io.cwd, options.keyFile));
  const operator = operatorIdentity();
  const made = await mintOverrideToken({ key, audience, subject, forMs, operator });
  const { id, expiresAt } = made;
  session.note(`For "${subject}" at ${audience}, once, until ${expiresAt.toISOString()}.`);
  return done({ token: made.token, id, subject, audience, operator, expiresAt }, made.token);
}

async function readKeyFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new PurgeError('CONFIG_INVALID', `The key file ${path} cannot be read.`, {
      cause: error,
      details: { path },
      remedy: 'Make one: openssl genpkey -algorithm ed25519 -out override.pem',
    });
  }
}

const done = (document: unknown, text: string): Answer => ({ exitCode: EXIT.done, document, text });

/** What keeps test tenants out of production, as far as an operator has to do with it. */
export const prevention = defineGroup({
  name: 'prevention',
  summary: 'Keep test tenants out: log table, retention, trigger, override tokens',
  examples: [
    'prevention install --grant-to app',
    'prevention expire --older-than 30d',
    'prevention token --subject acme-test --audience signup.example.com --key-file override.pem',
  ],
  commands: [install, expire, token],
});

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PURGE_STATUSES } from '../../../src/domain/purge.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import type { CommandName, CommandResult } from '../../../src/postgres/ledger/commands.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';

const COMMANDS = ['pause', 'resume', 'cancel'] as const;
const DOCUMENT = readFileSync(new URL('../../../docs/state-machine.md', import.meta.url), 'utf8');

/** The documented answer per status and command. */
const ANSWERS = [
  ...(DOCUMENT.split('## Answers to commands')[1] ?? '').matchAll(
    /^\| (\w+) \| (\w+) \| (\w+) \| (\w+) \|$/gm,
  ),
]
  .filter(([, status]) => status !== 'status')
  .flatMap(([, status = '', ...cells]) =>
    COMMANDS.map((command, index) => ({ status, command, answer: cells[index] ?? '' })),
  );

let template: TestDatabase;
let world: PurgeWorld;
let purge: PurgeRecord;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { a: 1, b: 1 }));
  world = await createWorld({ template: template.name });
  purge = await world.enqueueOne('a');
});
afterAll(async () => {
  await world?.close();
  await template?.drop();
});

beforeEach(() => put('queued', {}));

/** Puts the purge where a test wants it, past the table of transitions. */
async function put(
  status: string,
  more: { readonly level?: string; readonly stop?: string },
): Promise<void> {
  await world.pool.query('alter table tenant_purge.purge disable trigger user');
  await world.pool.query(
    `update tenant_purge.purge set status = $2, level = $3, stop_after_level = $4,
       stage = case when $3::text is null then 'preflight' else 'dependents' end,
       worker = case when $2 in ('running', 'pausing', 'cancelling') then 'w:1:0' end
     where id = $1`,
    [purge.id, status, more.level ?? null, more.stop ?? null],
  );
  await world.pool.query('alter table tenant_purge.purge enable trigger user');
}

async function ask(command: CommandName, afterLevel = false): Promise<CommandResult> {
  const [result] = await world.actor.commands.apply(
    command,
    { kind: 'purge', id: purge.id },
    { operator: 'ann@host', fleet: false, afterLevel, via: 'test' },
  );
  if (result === undefined) throw new Error('no answer');
  return result;
}

const lastEvent = async (): Promise<unknown> =>
  (
    await world.pool.query(
      `select kind, actor, details - 'client' as details from tenant_purge.event
       where purge_id = $1 order by id desc limit 1`,
      [purge.id],
    )
  ).rows[0];

const stopAfterLevel = (): Promise<unknown> =>
  world.value('select stop_after_level from tenant_purge.purge where id = $1', [purge.id]);

test('the documentation answers every command to every status', () => {
  expect([...new Set(ANSWERS.map(({ status }) => status))].sort()).toEqual(
    [...PURGE_STATUSES].sort(),
  );
});

test.each(ANSWERS)('$command of a purge that is $status: $answer', async (row) => {
  const { status, command, answer } = row;
  await put(status, {});
  const result = await ask(command);
  const event = { actor: 'ann@host' };
  if (answer === 'already' || answer === 'refused') {
    const [effect, word] = answer === 'already' ? ['already', 'asked again'] : ['conflict', answer];
    expect(result).toMatchObject({ effect, before: status, purge: { status } });
    expect(await lastEvent()).toEqual({
      ...event,
      kind: `${command} ${word}`,
      details: { status, via: 'test' },
    });
  } else {
    expect(result).toMatchObject({ effect: 'changed', before: status, purge: { status: answer } });
    expect(await lastEvent()).toEqual({
      ...event,
      kind: `${command} asked`,
      details: { from: status, to: answer, via: 'test' },
    });
  }
});

describe('a stop after the level', () => {
  test.each(['running', 'queued', 'interrupted'])(
    'leaves a purge that is %s in the middle of a level as it is',
    async (status) => {
      await put(status, { level: 'dependents 2' });
      expect(await ask('pause', true)).toMatchObject({
        effect: 'changed',
        levelStop: 'pause',
        purge: { status },
      });
      expect(await ask('pause', true)).toMatchObject({ effect: 'already', levelStop: 'pause' });
      expect(await ask('cancel', true)).toMatchObject({ effect: 'changed', levelStop: 'cancel' });
      expect(await stopAfterLevel()).toBe('cancel');
    },
  );

  test.each([
    ['running', 'pausing'],
    ['queued', 'paused'],
    ['scheduled', 'paused'],
  ])('is a plain one where no level is being worked on: %s to %s', async (status, to) => {
    await put(status, {});
    expect(await ask('pause', true)).toMatchObject({ purge: { status: to }, levelStop: null });
  });

  test('is taken back by a resume, and replaced by a plain stop', async () => {
    await put('running', { level: 'dependents', stop: 'pause' });
    expect(await ask('resume')).toMatchObject({ effect: 'changed', purge: { status: 'running' } });
    expect(await stopAfterLevel()).toBeNull();
    expect(await ask('resume')).toMatchObject({ effect: 'already' });
    await put('running', { level: 'dependents', stop: 'pause' });
    expect(await ask('cancel')).toMatchObject({ purge: { status: 'cancelling' } });
    expect(await stopAfterLevel()).toBeNull();
  });
});

test('a stop of the fleet and its release leave one event each, and who stopped first stays', async () => {
  const all = { kind: 'live' } as const;
  await world.actor.commands.apply('pause', all, { operator: 'ann@host', fleet: true });
  await world.actor.commands.apply('pause', all, { operator: 'bob@host', fleet: true });
  expect(await world.actor.commands.readControl()).toMatchObject({
    stopped: true,
    changedBy: 'ann@host',
  });
  await world.actor.commands.apply('resume', all, { operator: 'bob@host', fleet: true });
  const { rows } = await world.pool.query(
    `select kind, actor from tenant_purge.event where purge_id is null and kind like 'fleet%' order by id`,
  );
  expect(rows).toEqual([
    { kind: 'fleet stopped', actor: 'ann@host' },
    { kind: 'fleet stop asked again', actor: 'bob@host' },
    { kind: 'fleet released', actor: 'bob@host' },
  ]);
});

test('a command to a campaign is one line with what came of it', async () => {
  await world.actor.commands.apply(
    'pause',
    { kind: 'campaign', id: purge.campaignId },
    { operator: 'ann@host', fleet: false },
  );
  expect(
    await world.value(
      `select details - 'client' from tenant_purge.event where campaign_id = $1 and kind like 'pause of%'`,
      [purge.campaignId],
    ),
  ).toEqual({ changed: 1, already: 0, conflict: 0 });
});

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { recordToCopyLine } from '../../../src/domain/record-text.ts';
import { archivedLines } from '../../support/archived-rows.ts';
import { runSql, type TestDatabase } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { makeFolder } from './archive-folder.ts';

/** Every deleted row as a record, written by triggers that know nothing of the program. */
const RECORDER = `
create schema recorder;
create table recorder.gone (relation text not null, row text not null);
create function recorder.note() returns trigger language plpgsql as $$
begin
  insert into recorder.gone values (tg_argv[0], old::text);
  return null;
end $$;`;

const RECORDED = [
  'public.tenants',
  'public.workspaces',
  'public.agents',
  'public.conversations',
  'public.messages',
  'public.settings',
];

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate(async (url) => {
    await createSmallApplication(url, { a: 12, b: 12 });
    const triggers = RECORDED.map(
      (table) =>
        `create trigger note after delete on ${table} for each row execute function recorder.note('${table}');`,
    );
    await runSql(url, `${RECORDER} ${triggers.join(' ')} analyze`);
  });
});
afterAll(() => template.drop());

let world: PurgeWorld;
let folder: string;
beforeEach(async () => {
  folder = await makeFolder();
});
afterEach(() => world.close());

async function open(batch: object): Promise<void> {
  world = await createWorld({
    template: template.name,
    config: { archive: { dir: folder }, batch },
  });
}

/** A cleared reference is not what the archive has: it has the row before. */
async function recorded(): Promise<Record<string, string[]>> {
  const { rows } = await world.pool.query('select relation, row from recorder.gone');
  const lines: Record<string, string[]> = {};
  for (const { relation, row } of rows) {
    const line = recordToCopyLine(Buffer.from(row.replaceAll('\\', '\\\\'), 'utf8')).toString(
      'utf8',
    );
    lines[relation] = [...(lines[relation] ?? []), line.slice(0, -1)];
  }
  for (const some of Object.values(lines)) some.sort();
  return lines;
}

for (const [way, batch] of [
  ['in one transaction', { smallPurgeRows: 5_000 }],
  ['by batches', { smallPurgeRows: 0, maxRows: 7 }],
] as const) {
  test(`17. the archive has what the triggers saw go, ${way}`, async () => {
    await open(batch);
    const purge = await world.enqueueOne('a', { archive: true });
    world.startWorker();
    await world.untilStatus(purge.id, 'completed');
    const archived = await archivedLines(world, purge.id, 'deleted');
    const seen = await recorded();
    for (const table of RECORDED) expect([table, archived[table]]).toEqual([table, seen[table]]);
    expect(archived['app.events']).toHaveLength(12);
    const ledger = await world.ledgerRows(purge.id);
    for (const [table, lines] of Object.entries(archived)) {
      expect([table, lines.length]).toEqual([table, ledger[table]]);
    }
  });

  test(`a row whose reference is cleared is in the archive as it was before, ${way}`, async () => {
    await open(batch);
    const before = await world.pool.query(
      `select id || E'\\t' || tenant_id || E'\\t' || default_agent_id || E'\\t' || pad as line
       from public.workspaces where tenant_id = 'a'`,
    );
    const purge = await world.enqueueOne('a', { archive: true });
    world.startWorker();
    await world.untilStatus(purge.id, 'completed');
    const changed = await archivedLines(world, purge.id, 'changed');
    const cleared = (changed['public.workspaces'] ?? []).map((line) =>
      line.split('\t').slice(0, 4).join('\t'),
    );
    expect(cleared.sort()).toEqual(before.rows.map(({ line }) => line).sort());
  });
}

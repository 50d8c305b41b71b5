import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runDiagnosis, withClient } from '../../support/diagnosis-application.ts';
import { createDatabase } from '../../support/postgres.ts';

const SEED = 20_260_302;
const TENANTS = 1_500;
const SECONDS_MAX = 30;

/** PostgreSQL holds neither NUL nor half a surrogate pair in a text. */
const storable = (text: string): string =>
  Buffer.from(text.replaceAll('\0', ''), 'utf8').toString('utf8');

const nasty = fc
  .oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.string({ unit: 'grapheme', maxLength: 200 }),
    fc
      .tuple(
        fc.constantFrom(
          '1',
          'a1',
          '1a',
          '(',
          '\\',
          "'",
          '"',
          '%',
          '@',
          'a@',
          '.',
          '\n',
          '\\d+',
          '$1',
          '\ufdfa',
          '[[:alpha:]]',
        ),
        fc.integer({ min: 0, max: 50_000 }),
        fc.constantFrom('', '1', '@example.com', 'test', '#'),
      )
      .map(([unit, length, end]) => unit.repeat(Math.ceil(length / unit.length)) + end),
  )
  .map(storable);

describe('Names, subdomains and addresses that somebody made up', () => {
  it('never stop a diagnosis, nor make it slow', async () => {
    const database = await createDatabase({ name: 'diagnosis_fuzz' });
    try {
      const tenants = fc.sample(fc.tuple(nasty, nasty, nasty), { seed: SEED, numRuns: TENANTS });
      await withClient(database.url, async (client) => {
        await client.query(
          'create table tenants (id int primary key, name text, subdomain text, email text, signup_ip text, created_at timestamptz)',
        );
        await client.query(
          `insert into tenants select t.n, t.name, t.subdomain, t.email, t.email, now()
           from unnest($1::text[], $2::text[], $3::text[]) with ordinality t (name, subdomain, email, n)`,
          [0, 1, 2].map((at) => tenants.map((texts) => texts[at])),
        );
      });
      const startedAt = performance.now();
      const { entries } = await runDiagnosis(database.url, {
        tenant: { table: 'public.tenants' },
        diagnosis: { statementTimeoutMs: SECONDS_MAX * 1_000 },
      });
      expect(performance.now() - startedAt).toBeLessThan(SECONDS_MAX * 1_000);
      expect(entries).toHaveLength(TENANTS);
      expect(entries.filter(({ recommendation }) => recommendation === 'purge')).toEqual([]);
      // What is written into the report can be read again.
      expect(JSON.parse(JSON.stringify(entries))).toEqual(entries);
    } finally {
      await database.drop();
    }
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runForJson } from '../support/cli.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { type SignupProcess, startSignupProcess } from '../support/prevention/signup-process.ts';
import { claimRedisDatabase, type TestRedisDatabase } from '../support/redis.ts';

interface SignUp {
  readonly name: string;
  readonly subdomain: string;
  readonly email: string;
  readonly ip: string;
}

let folder: string;
let database: TestDatabase;
let redis: TestRedisDatabase;
let pool: Pool;
let services: SignupProcess[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'signup-'));
  writeFileSync(join(folder, 'purge.config.json'), '{"tenant": {"table": "public.tenants"}}');
  [database, redis] = await Promise.all([createDatabase({ name: 'signup' }), claimRedisDatabase()]);
  pool = new Pool({ connectionString: database.url, max: 2 });
  const env = { DATABASE_URL: database.url, REDIS_URL: redis.url };
  await runForJson(['prevention', 'install'], {
    cwd: folder,
    env: { ...env, ENVIRONMENT: 'test' },
  });
  // One after the other: the first makes the table.
  services = [];
  for (let count = 0; count < 2; count += 1) {
    services.push(
      await startSignupProcess({
        ...env,
        ENVIRONMENT: 'production',
        TRUSTED_PROXIES: '127.0.0.1',
        // The machine may be busy; what is tested is who passes, not how soon.
        REDIS_TIMEOUT_MS: '60000',
      }),
    );
  }
});
afterEach(async () => {
  await Promise.all(services.map((service) => service.stop()));
  await pool.end();
  await Promise.all([database.drop(), redis.release()]);
  rmSync(folder, { recursive: true, force: true });
});

const post = async ({ ip, ...body }: SignUp, at: number) => {
  const response = await fetch(`${services[at % services.length]?.url}signup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': ip },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.text() };
};

const numbers = Array.from({ length: 200 }, (_, at) => at);

const tenants = async (): Promise<number> =>
  (await pool.query('select count(*)::int as count from tenants')).rows[0]?.count;

describe('Two hundred sign-ups at once over two processes', () => {
  it('of one address: exactly three are created, all others read the same 400 and are logged', async () => {
    const answers = await Promise.all(
      numbers.map((at) =>
        post(
          {
            name: `Acme ${at}`,
            subdomain: `acme-${at}`,
            email: `a${at}@acme.com`,
            ip: '192.0.2.1',
          },
          at,
        ),
      ),
    );
    const refused = answers.filter(({ status }) => status === 400);
    expect([answers.filter(({ status }) => status === 201).length, refused.length]).toEqual([
      3, 197,
    ]);
    expect(await tenants()).toBe(3);
    const texts = refused.map(({ body }) => body.replace(/[0-9a-f-]{36}/, 'REFERENCE'));
    expect(new Set(texts).size).toBe(1);
    expect(texts[0]).not.toMatch(/limit|address|hour|word|captcha/i);
    // A service that ends has written its log.
    expect(await Promise.all(services.map((service) => service.stop()))).toEqual([0, 0]);
    const { rows } = await pool.query(
      `select rule, host(ip) as ip, endpoint, count(*)::int as count, count(distinct reference)::int as references
       from tenant_purge.test_data_prevention_logs group by 1, 2, 3`,
    );
    expect(rows).toEqual([
      {
        rule: 'rate-limit-ip',
        ip: '192.0.2.1',
        endpoint: 'POST /signup',
        count: 197,
        references: 197,
      },
    ]);
  });

  it('of twenty addresses and ten mailboxes: as many are created as there are places', async () => {
    const answers = await Promise.all(
      numbers.map((at) => {
        // One mailbox, spelled another way each time.
        const email = `box${Math.floor(at / 20)}+${at}@gmail.com`;
        return post(
          { name: `Acme ${at}`, subdomain: `acme-${at}`, email, ip: `198.51.100.${at % 20}` },
          at,
        );
      }),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(30);
    expect(await tenants()).toBe(30);
    const metrics = await Promise.all(
      services.map(async ({ url }) => (await fetch(`${url}metrics`)).text()),
    );
    const sum = (series: string): number =>
      metrics.reduce(
        (total, text) => total + Number(text.split(`\n${series} `)[1]?.split('\n')[0]),
        0,
      );
    expect(sum('tenant_purge_prevention_checks_total{outcome="allowed"}')).toBe(30);
    expect(sum('tenant_purge_prevention_checks_total{outcome="refused"}')).toBe(170);
    expect(sum('tenant_purge_prevention_tenants_created_total{test_word="no"}')).toBe(30);
    expect(sum('tenant_purge_prevention_log_lost_total')).toBe(0);
  });
});

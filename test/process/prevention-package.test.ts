import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claimRedisDatabase } from '../support/redis.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TSC = join(ROOT, 'node_modules/.bin/tsc');
const MINUTES = 5 * 60_000;

/** What an application developer writes first. */
const APPLICATION = `
import express from 'express';
import { Redis } from 'ioredis';
import { guardTenantCreation, PreventionGuard, type Verdict } from 'tenant-purge/prevention';

const redis = new Redis(process.env['REDIS_URL'] ?? '');
const log = { info() {}, warn() {}, error() {} };
const guard = new PreventionGuard({ environment: 'production', redis, log, limits: { redisTimeoutMs: 20000 } });
const signUp = { name: 'Acme', subdomain: 'acme', email: 'a@acme.com', ip: '192.0.2.1' };
const verdicts: Verdict[] = [];
for (const name of ['Acme', 'Test']) verdicts.push(await guard.checkTenantCreation({ ...signUp, name }));
// Handlers behind the guard have the types that they have without it.
express().post('/signup', express.json(), guardTenantCreation(guard), async (request, response) => {
  const { name, subdomain } = request.body;
  await guard.admit(async () => undefined, { name, subdomain });
  await guard.giveBack(response.locals['prevention']);
  response.status(201).json({ name });
});
console.log(JSON.stringify([verdicts.map(({ allowed }) => allowed), typeof guardTenantCreation(guard)]));
redis.disconnect();
`;

/** Tells what the package gives and which packages came along, as ES modules or as CommonJS. */
const PLAIN = `
import { createRequire, register } from 'node:module';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';

const { port1, port2 } = new MessageChannel();
const hooks = \`
  let port;
  export const initialize = (data) => { port = data.port; };
  export const load = (url, context, next) => { port.postMessage(url); return next(url, context); };
\`;
register('data:text/javascript,' + encodeURIComponent(hooks), import.meta.url, {
  data: { port: port2 }, transferList: [port2],
});
const names = Object.keys(await import('tenant-purge/prevention')).sort();
const urls = [];
for (let next = receiveMessageOnPort(port1); next; next = receiveMessageOnPort(port1)) urls.push(next.message);
const files = [...urls, ...Object.keys(createRequire(import.meta.url).cache)];
const packages = files.flatMap((file) => /.*node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(file)?.[1] ?? []);
console.log(JSON.stringify({ names, loaded: [...new Set(packages)].sort() }));
process.exit();
`;

describe('The package', () => {
  let project: string;
  beforeAll(async () => {
    project = mkdtempSync(join(tmpdir(), 'prevention-package-'));
    const installed = join(project, 'node_modules/tenant-purge');
    mkdirSync(installed, { recursive: true });
    // As `npm run build` does, into a folder of its own.
    await run(TSC, ['-p', 'tsconfig.build.json', '--outDir', join(installed, 'dist')], {
      cwd: ROOT,
    });
    cpSync(join(ROOT, 'package.json'), join(installed, 'package.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(installed, 'node_modules'));
    for (const name of ['ioredis', 'express', '@types']) {
      symlinkSync(join(ROOT, 'node_modules', name), join(project, 'node_modules', name));
    }
    writeFileSync(join(project, 'package.json'), '{"type": "module"}');
    writeFileSync(join(project, 'main.ts'), APPLICATION);
    writeFileSync(
      join(project, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          module: 'nodenext',
          target: 'es2022',
          strict: true,
          exactOptionalPropertyTypes: true,
          types: ['node'],
          skipLibCheck: true,
        },
        files: ['main.ts'],
      }),
    );
  }, MINUTES);
  afterAll(() => rmSync(project, { recursive: true, force: true }));

  it(
    'gives an application `tenant-purge/prevention`, with types that its compiler takes, and it works',
    async () => {
      await run(TSC, ['-p', '.'], { cwd: project });
      const redis = await claimRedisDatabase();
      try {
        const { stdout } = await run(process.execPath, ['main.js'], {
          cwd: project,
          env: { PATH: process.env['PATH'], REDIS_URL: redis.url },
        });
        expect(JSON.parse(stdout)).toEqual([[true, false], 'function']);
      } finally {
        await redis.release();
      }
    },
    MINUTES,
  );

  it('works from plain JavaScript, imported or required, and loads neither queue nor database', async () => {
    writeFileSync(join(project, 'plain.mjs'), PLAIN);
    writeFileSync(
      join(project, 'required.cjs'),
      "console.log(JSON.stringify(Object.keys(require('tenant-purge/prevention')).sort()))",
    );
    const imported = await run(process.execPath, ['plain.mjs'], { cwd: project });
    const { names, loaded } = JSON.parse(imported.stdout);
    expect(names).toEqual(expect.arrayContaining(['PreventionGuard', 'guardTenantCreation']));
    expect(loaded).toEqual(
      expect.arrayContaining(['prom-client', 'rate-limiter-flexible', 'jose']),
    );
    for (const name of ['bullmq', 'pg', 'kysely', 'ioredis', 'express', '@bull-board/api', 'zod']) {
      expect(loaded).not.toContain(name);
    }
    const required = await run(process.execPath, ['--no-warnings', 'required.cjs'], {
      cwd: project,
    });
    expect(JSON.parse(required.stdout)).toEqual(names);
  });

  it('gives nothing else of its inside', async () => {
    const script = "await import('tenant-purge/dist/src/prevention/guard.js')";
    await expect(
      run(process.execPath, ['--input-type=module', '-e', script], { cwd: project }),
    ).rejects.toThrow('ERR_PACKAGE_PATH_NOT_EXPORTED');
  });
});

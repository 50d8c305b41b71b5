import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const LOGGER = new URL('../../../src/observability/logger.ts', import.meta.url).href;

/** What a program that runs `code` with a logger writes. */
function run(options: object, code: string): Promise<{ stdout: string; stderr: string }> {
  const program = `
    import { createLogger } from ${JSON.stringify(LOGGER)};
    const log = createLogger(${JSON.stringify(options)});
    ${code}`;
  return promisify(execFile)(process.execPath, [
    '--import',
    'tsx',
    '--input-type=module',
    '--eval',
    program,
  ]);
}

test('lines are JSON on stderr, written before the process exits, with the bindings of the child', async () => {
  const { stdout, stderr } = await run(
    { level: 'info', name: 'cli' },
    `log.child({ purgeId: 'p1' }).info({ rows: 3 }, 'batch'); log.debug('unseen'); process.exit(0);`,
  );
  expect(stdout).toBe('');
  expect(JSON.parse(stderr)).toMatchObject({
    name: 'cli',
    level: 30,
    purgeId: 'p1',
    rows: 3,
    msg: 'batch',
  });
});

test('passwords, URLs and confirmations are redacted at every depth a line has', async () => {
  const { stdout, stderr } = await run(
    { level: 'info', name: 'cli', destination: 'stdout' },
    `log.info({
      password: 's3cret',
      config: { databaseUrl: 's3cret', board: { password: 's3cret' } },
      options: { connectionString: 's3cret', url: 's3cret', confirmation: 's3cret' },
    }, 'start');`,
  );
  expect(stderr).toBe('');
  expect(stdout).toContain('[redacted]');
  expect(stdout).not.toContain('s3cret');
});

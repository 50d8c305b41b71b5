import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ExitCode } from '../../src/domain/errors.ts';
import { runCli } from '../cli/run-cli.ts';
import { listTestTenantIds } from './app/seed.ts';
import type { DemoOptions } from './options.ts';

/** The product's command line, pointed at the demo application. */
export interface TenantPurge {
  readonly env: NodeJS.ProcessEnv;
  /** Flags that name the demo's configuration; every command starts with them. */
  readonly flags: readonly string[];
  /** Runs a command and prints it first, as a person would type it. */
  run(argv: readonly string[]): Promise<ExitCode>;
  /** Where the demo's purges are archived. */
  readonly archiveDir: string;
  /** A tenant that the demo purges. */
  readonly firstTenant: string;
  /** What the operator would type at the prompt. */
  confirmation(): Promise<string>;
}

const config: { readonly archive: { readonly dir: string } } = JSON.parse(
  readFileSync(new URL('purge.config.json', import.meta.url), 'utf8'),
);
const CONFIG = fileURLToPath(new URL('purge.config.json', import.meta.url));

export function makeTenantPurge(
  urls: { readonly databaseUrl: string; readonly redisUrl: string },
  options: DemoOptions,
  interrupted: AbortSignal,
): TenantPurge {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    DATABASE_URL: urls.databaseUrl,
    REDIS_URL: urls.redisUrl,
    ENVIRONMENT: process.env['ENVIRONMENT'] ?? 'demo',
    LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'warn',
    BOARD_PORT: String(options.boardPort),
  };
  return {
    env,
    flags: ['--config', CONFIG],
    archiveDir: fileURLToPath(new URL(config.archive.dir, import.meta.url)),
    firstTenant: listTestTenantIds(options)[0] ?? '',
    async run(argv) {
      const typed = argv.map((word) => (/^[\w.=/-]+$/.test(word) ? word : `'${word}'`)).join(' ');
      process.stdout.write(`$ tenant-purge ${typed}\n`);
      return runCli(['--config', CONFIG, ...argv], {
        stdin: process.stdin,
        stdout: process.stdout,
        stderr: process.stderr,
        env,
        cwd: process.cwd(),
        interrupted,
      });
    },
    confirmation: async () => {
      const tenants = await Promise.resolve(listTestTenantIds(options));
      return `DELETE ${tenants.length} TENANTS`;
    },
  };
}

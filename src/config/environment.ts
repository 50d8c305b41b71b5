import { isIPv4 } from 'node:net';
import { environmentName } from '../domain/environment.ts';
import { inheritPostgresTls, postgresTlsProblems } from '../domain/postgres-tls.ts';
import { redactUrl } from '../domain/redact-url.ts';
import { inheritRedisCa } from '../domain/redis-tls.ts';
import { ALL_FAILPOINTS } from '../engine/failpoints.ts';
import { checkProxy, viewerProblems } from './board-access.ts';
import type { Config } from './config.ts';
import { type Checked, keepProblems, suggestion } from './problems.ts';

/** The part of the configuration that the environment gives; `keep` is KEEP_TENANT_ID alone. */
type EnvironmentConfig = Pick<
  Config,
  | 'databaseUrl'
  | 'redisUrl'
  | 'queueRedisUrl'
  | 'environment'
  | 'keep'
  | 'confirmation'
  | 'logLevel'
  | 'failpoint'
  | 'board'
>;

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];
const LOOPBACK_NAMES = ['localhost', '::1', '[::1]'];
const PORT_MAX = 65_535;

interface UrlKind {
  readonly protocols: readonly string[];
  readonly example: string;
  /** Why its path is wrong, or null. */
  readonly pathProblem: (path: string) => string | null;
}

const POSTGRES: UrlKind = {
  protocols: ['postgres:', 'postgresql:'],
  example: 'postgres://user:password@127.0.0.1:5432/app',
  pathProblem: (path) => (path.length > 1 ? null : 'it names no database'),
};
const REDIS: UrlKind = {
  protocols: ['redis:', 'rediss:'],
  example: 'redis://127.0.0.1:6379/0',
  pathProblem: (path) =>
    /^(\/\d*)?$/.test(path) ? null : 'what follows the host must be the number of a database',
};

/** Checks the environment's variables. Never throws; names every problem. Pure. */
export function checkEnvironment(env: NodeJS.ProcessEnv): Checked<EnvironmentConfig> {
  const problems: string[] = [];
  const read = (name: string): string | null => {
    const value = env[name]?.trim();
    return value === undefined || value === '' ? null : value;
  };
  const readUrl = (name: string, kind: UrlKind, fallback?: string): string => {
    const url = read(name) ?? fallback;
    if (url === undefined) problems.push(`${name}: is not set, e.g. ${kind.example}`);
    else if (url !== fallback) problems.push(...urlProblems(name, kind, url));
    return url ?? '';
  };

  const databaseUrl = inheritPostgresTls(readUrl('DATABASE_URL', POSTGRES), {
    mode: read('PGSSLMODE'),
    rootFile: read('PGSSLROOTCERT'),
  });
  problems.push(...postgresTlsProblems(databaseUrl).map((problem) => `DATABASE_URL: ${problem}`));
  const redisCaFile = read('REDIS_TLS_CA_FILE');
  const redisUrl = inheritRedisCa(readUrl('REDIS_URL', REDIS), redisCaFile);
  const queueRedisUrl = inheritRedisCa(readUrl('QUEUE_REDIS_URL', REDIS, redisUrl), redisCaFile);

  const keep = (env['KEEP_TENANT_ID']?.split(',') ?? []).map((id) => id.trim());
  problems.push(...keep.flatMap((id) => keepProblems('KEEP_TENANT_ID', id)));

  const logLevel = read('LOG_LEVEL')?.toLowerCase() ?? 'info';
  if (!LOG_LEVELS.includes(logLevel)) {
    const near = suggestion(logLevel, LOG_LEVELS);
    problems.push(`LOG_LEVEL: must be one of ${LOG_LEVELS.join(', ')}${near}`);
  }

  const failpoint = read('TENANT_PURGE_FAILPOINT');
  if (failpoint !== null) problems.push(...failpointProblems(failpoint));

  const host = read('BOARD_HOST') ?? '127.0.0.1';
  const portText = read('BOARD_PORT') ?? '3000';
  const port = /^\d+$/.test(portText) ? Number(portText) : Number.NaN;
  const password = env['BOARD_PASSWORD'] || null;
  if (!(port <= PORT_MAX)) problems.push(`BOARD_PORT: must be a port, 0 to ${PORT_MAX}`);
  const user = read('BOARD_USER') ?? 'operator';
  const viewerPassword = env['BOARD_VIEWER_PASSWORD'] || null;
  const proxyHeader = read('BOARD_TRUSTED_HEADER');
  const proxy = checkProxy({
    header: proxyHeader,
    addresses: read('BOARD_TRUSTED_PROXIES'),
    operators: read('BOARD_OPERATORS'),
    origin: read('BOARD_ORIGIN'),
  });
  problems.push(...proxy.problems);
  if (password === null && proxyHeader === null && !isLoopback(host)) {
    problems.push(
      `BOARD_HOST: "${host}" can be reached from other machines; set BOARD_PASSWORD, or use 127.0.0.1`,
    );
  }
  problems.push(
    ...viewerProblems({ user, password, viewerPassword, isProxied: proxyHeader !== null }),
  );

  if (problems.length > 0) return { value: null, problems };
  return {
    value: {
      databaseUrl,
      redisUrl,
      queueRedisUrl,
      environment: environmentName(env['ENVIRONMENT']),
      keep,
      confirmation: env['CONFIRM_CLEANUP'] || null,
      logLevel,
      failpoint,
      board: { host, port, user, password, viewerPassword, proxy: proxy.value },
    },
    problems: [],
  };
}

function failpointProblems(failpoint: string): string[] {
  const [name = '', count = ''] = failpoint.split(':');
  const isKnown = ALL_FAILPOINTS.some((known) => known === name);
  if (isKnown && /^[1-9]\d*$/.test(count)) return [];
  const near = isKnown ? '' : suggestion(name, ALL_FAILPOINTS);
  return [
    `TENANT_PURGE_FAILPOINT: must be "name:count", e.g. batch-committed:3, with one of ${ALL_FAILPOINTS.join(', ')}${near}`,
  ];
}

function urlProblems(name: string, kind: UrlKind, text: string): string[] {
  if (!URL.canParse(text)) {
    return [
      `${name}: is not a URL, e.g. ${kind.example}; percent-encode special characters of the password`,
    ];
  }
  const url = new URL(text);
  const shown = redactUrl(text);
  if (!kind.protocols.includes(url.protocol)) {
    const allowed = kind.protocols.map((protocol) => `${protocol}//`).join(' or ');
    // Without "//" everything behind the colon may be a secret.
    const seen = url.host === '' ? `"${url.protocol}…"` : `"${shown}"`;
    return [`${name}: must begin with ${allowed}, not ${seen}`];
  }
  if (url.hash !== '') {
    return [`${name}: has an unescaped "#"; write %23 where the password has one`];
  }
  if (url.pathname.includes('@')) {
    return [`${name}: has an unescaped "/" before the "@"; write %2F where the password has one`];
  }
  if (url.hostname === '' && !url.searchParams.has('host')) {
    return [`${name}: names no host, e.g. ${kind.example}`];
  }
  const why = kind.pathProblem(url.pathname);
  return why === null ? [] : [`${name}: ${why} ("${shown}"), e.g. ${kind.example}`];
}

const isLoopback = (host: string): boolean =>
  LOOPBACK_NAMES.includes(host.toLowerCase()) || (isIPv4(host) && host.startsWith('127.'));

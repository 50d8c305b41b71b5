import { describe, expect, test } from 'vitest';
import { checkEnvironment } from '../../../src/config/environment.ts';

const ENV = { DATABASE_URL: 'postgres://a@127.0.0.1/app', REDIS_URL: 'redis://127.0.0.1' };
const PROXY = {
  BOARD_TRUSTED_HEADER: 'X-Forwarded-User',
  BOARD_ORIGIN: 'https://purge.example.com/',
};

const check = (extra: NodeJS.ProcessEnv): ReturnType<typeof checkEnvironment> =>
  checkEnvironment({ ...ENV, ...extra });

describe('Who may use the board', () => {
  test('is anyone on this machine, unless something is set', () => {
    expect(check({}).value?.board).toMatchObject({
      password: null,
      viewerPassword: null,
      proxy: null,
    });
  });

  test('may be said by a proxy, which is believed from loopback, or from where it is said to be', () => {
    expect(check(PROXY).value?.board.proxy).toEqual({
      header: 'x-forwarded-user',
      addresses: ['127.0.0.0/8', '::1'],
      operators: null,
      origin: 'https://purge.example.com',
    });
    const named = check({
      ...PROXY,
      BOARD_HOST: '0.0.0.0',
      BOARD_TRUSTED_PROXIES: '10.1.2.0/24, fd00::1',
      BOARD_OPERATORS: 'mia@example.com, ben@example.com',
    });
    expect(named.value?.board.proxy).toMatchObject({
      addresses: ['10.1.2.0/24', 'fd00::1'],
      operators: ['mia@example.com', 'ben@example.com'],
    });
  });

  test.each<[NodeJS.ProcessEnv, string]>([
    [{ BOARD_VIEWER_PASSWORD: 'v' }, 'without BOARD_PASSWORD everyone may change things'],
    [{ BOARD_VIEWER_PASSWORD: 'v', BOARD_PASSWORD: 'v' }, 'another one than BOARD_PASSWORD'],
    [
      { BOARD_VIEWER_PASSWORD: 'v', BOARD_PASSWORD: 'p', BOARD_USER: 'viewer' },
      'BOARD_USER: "viewer" is who looks only',
    ],
    [{ BOARD_OPERATORS: 'mia' }, 'BOARD_OPERATORS: has no meaning without BOARD_TRUSTED_HEADER'],
    [{ BOARD_TRUSTED_HEADER: 'X-User' }, 'BOARD_ORIGIN: is not set'],
    [{ ...PROXY, BOARD_TRUSTED_HEADER: 'Cookie' }, 'must name a header of the proxy'],
    [{ ...PROXY, BOARD_TRUSTED_HEADER: 'X User' }, 'must name a header of the proxy'],
    [{ ...PROXY, BOARD_TRUSTED_PROXIES: 'proxy.internal' }, '"proxy.internal" is no address'],
    [{ ...PROXY, BOARD_TRUSTED_PROXIES: '10.0.0.0/33' }, '"10.0.0.0/33" is no address'],
    [{ ...PROXY, BOARD_ORIGIN: 'https://a.example/board' }, 'scheme and host alone'],
    [{ ...PROXY, BOARD_ORIGIN: 'purge.example.com' }, 'scheme and host alone'],
  ])('is refused where it is unclear: %j', (extra, problem) => {
    expect(check(extra).problems).toEqual([expect.stringContaining(problem)]);
  });
});

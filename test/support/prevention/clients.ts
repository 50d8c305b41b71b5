import type { Log, PreventionOptions, RedisClient } from '../../../src/prevention/index.ts';

/** A log that keeps its lines. */
export interface KeptLog extends Log {
  readonly lines: { readonly level: string; readonly facts: object; readonly message: string }[];
}

export function keepLog(): KeptLog {
  const lines: KeptLog['lines'][number][] = [];
  const at =
    (level: string) =>
    (facts: object, message: string): void => {
      lines.push({ level, facts, message });
    };
  return { lines, info: at('info'), warn: at('warn'), error: at('error') };
}

/** Stands where a test is about rules only; whoever asks it gets an error, not an answer. */
export const NO_REDIS: RedisClient = {
  status: 'end',
  eval: () => Promise.reject(new Error('this test has no Redis')),
};

export const production = (
  redis: RedisClient,
  options: Partial<PreventionOptions> = {},
): PreventionOptions => ({ environment: 'production', redis, log: keepLog(), ...options });

/** A sign-up that no rule hits. */
export const HONEST = {
  name: 'Meyer Logistik GmbH',
  subdomain: 'meyer-logistik',
  email: 'ops@meyer.de',
  ip: '192.0.2.10',
} as const;

import { Counter, Histogram, type Registry } from 'prom-client';
import { REASON_CODES, type ReasonCode } from './reason.ts';

const OUTCOMES = ['allowed', 'refused', 'reported', 'overridden'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** What the guard counts; names are those of ops/alerts/prevention.yml. */
export interface Metrics {
  checked(outcome: Outcome, codes: readonly ReasonCode[], durationMs: number): void;
  created(hasTestWord: boolean): void;
  unavailable(what: 'redis' | 'captcha'): void;
  logLost(rows: number): void;
}

const NO_METRICS: Metrics = {
  checked: () => undefined,
  created: () => undefined,
  unavailable: () => undefined,
  logLost: () => undefined,
};

const BUCKETS_SEC = [0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/**
 * Counters in the host application's own registry, all series at 0 from the start: Prometheus sees no
 * increase in a series that begins with 1. Two guards with one registry count together.
 */
export function makeMetrics(registry: Registry | null): Metrics {
  if (registry === null) return NO_METRICS;
  const counter = (
    name: string,
    help: string,
    label: string,
    values: readonly string[],
  ): Counter => {
    const known = registry.getSingleMetric(name);
    if (known instanceof Counter) return known;
    const labelNames = label === '' ? [] : [label];
    const made = new Counter({ name, help, labelNames, registers: [registry] });
    for (const value of values) made.inc({ [label]: value }, 0);
    return made;
  };
  const prefix = 'tenant_purge_prevention';
  const checks = counter(
    `${prefix}_checks_total`,
    'Tenant creations judged, by outcome',
    'outcome',
    OUTCOMES,
  );
  const hits = counter(
    `${prefix}_rule_hits_total`,
    'Rules hit by refused, reported and overridden requests',
    'rule',
    REASON_CODES,
  );
  const created = counter(
    `${prefix}_tenants_created_total`,
    'Tenants created, as the application reports them',
    'test_word',
    ['yes', 'no'],
  );
  const away = counter(
    `${prefix}_unavailable_total`,
    'Checks during which Redis or the CAPTCHA provider did not answer',
    'dependency',
    ['redis', 'captcha'],
  );
  const lost = counter(`${prefix}_log_lost_total`, 'Log rows that could not be written', '', []);
  const durations = registry.getSingleMetric(`${prefix}_check_seconds`);
  const duration =
    durations instanceof Histogram
      ? durations
      : new Histogram({
          name: `${prefix}_check_seconds`,
          help: 'Duration of a check',
          buckets: BUCKETS_SEC,
          registers: [registry],
        });
  return {
    checked(outcome, codes, durationMs) {
      checks.inc({ outcome });
      for (const rule of new Set(codes)) hits.inc({ rule });
      duration.observe(durationMs / 1_000);
    },
    created: (hasTestWord) => created.inc({ test_word: hasTestWord ? 'yes' : 'no' }),
    unavailable: (dependency) => away.inc({ dependency }),
    logLost: (rows) => lost.inc(rows),
  };
}

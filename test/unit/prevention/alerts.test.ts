import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { makeMetrics } from '../../../src/prevention/metrics.ts';

const FILE = new URL('../../../ops/alerts/prevention.yml', import.meta.url);

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

describe('The alert rules', () => {
  const document = parse(readFileSync(FILE, 'utf8')) as {
    groups: { name: string; rules: Rule[] }[];
  };
  const rules = document.groups.flatMap((group) => group.rules);

  it('have the shape that Prometheus loads', () => {
    expect(Object.keys(document)).toEqual(['groups']);
    expect(document.groups.map(({ name }) => name)).toEqual(['tenant-purge-prevention']);
    for (const rule of rules) {
      expect(rule.alert).toMatch(/^[A-Z]\w+$/);
      expect(rule.for ?? '5m').toMatch(/^\d+[smhd]$/);
      expect(rule.labels['severity']).toMatch(/^(warning|critical)$/);
      expect(Object.keys(rule.annotations).sort()).toEqual(['description', 'summary']);
      expect(
        Object.keys(rule).every((key) =>
          ['alert', 'expr', 'for', 'labels', 'annotations'].includes(key),
        ),
      ).toBe(true);
      // Brackets that close.
      const depth = rule.expr
        .split('')
        .reduce(
          (sum, sign) => sum + Number('([{'.includes(sign)) - Number(')]}'.includes(sign)),
          0,
        );
      expect(depth).toBe(0);
    }
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  });

  it('watch for what they were asked for', () => {
    const bounds = rules.map(({ alert, expr }) => [
      alert,
      /\[(\w+)\]/.exec(expr)?.[1],
      /> (\d+)$/.exec(expr)?.[1],
    ]);
    expect(bounds).toEqual([
      ['ManyTenantsCreated', '1h', '5'],
      ['ManyTenantsRefused', '1h', '10'],
      ['TenantWithTestWordCreated', '1h', '0'],
      ['PreventionBlind', '10m', '0'],
      ['PreventionLogLost', '1h', '0'],
    ]);
  });

  it('name counters and labels that the guard has, at 0 before anything happens', async () => {
    const registry = new Registry();
    makeMetrics(registry);
    // A second guard in the same process counts in the same place.
    makeMetrics(registry).created(true);
    const exposed = await registry.metrics();
    for (const { expr } of rules) {
      const [, metric = '', label = ''] = /(tenant_purge_\w+)(?:\{([^}]*)\})?/.exec(expr) ?? [];
      const series = exposed.split('\n').filter((line) => line.startsWith(metric));
      expect(series.filter((line) => line.includes(label)).length).toBeGreaterThan(0);
    }
    expect(exposed).toContain('tenant_purge_prevention_tenants_created_total{test_word="yes"} 1');
    expect(exposed).toContain('tenant_purge_prevention_tenants_created_total{test_word="no"} 0');
    expect(exposed).toContain('tenant_purge_prevention_checks_total{outcome="refused"} 0');
  });
});

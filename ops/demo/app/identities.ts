import { createHash } from 'node:crypto';

/** The fixed facts of the demo: who stays, and how much there is at scale 1. */
export const DEMO = {
  seed: 1848,
  testTenants: 1845,
  kept: [
    {
      id: '31c06fc4-db22-4740-83ea-48ac14f25810',
      name: 'Brennan Machinery',
      subdomain: 'brennan',
      contactEmail: 'it@brennan-machinery.example',
      system: false,
    },
    {
      id: '00000000-0000-4000-8000-000000000001',
      name: 'Platform',
      subdomain: 'platform',
      contactEmail: 'platform@agents.example',
      system: true,
    },
    {
      id: '00000000-0000-4000-8000-000000000002',
      name: 'Agent Marketplace',
      subdomain: 'marketplace',
      contactEmail: 'marketplace@agents.example',
      system: true,
    },
  ],
  /** Redis keys that belong to nobody, at scale 1. */
  strayKeys: 100_000,
} as const;

/** `scale` multiplies the number of test tenants, not the rows of each. Equal seeds give equal data. */
export interface DemoSize {
  readonly scale?: number;
  readonly seed?: number;
}

/** Ids of the test tenants, in the order in which they signed up; the same that the SQL seed derives. */
export function listTestTenantIds(size: DemoSize = {}): string[] {
  const seed = readSeed(size);
  return Array.from({ length: countTestTenants(size) }, (_, index) =>
    toUuid(
      createHash('md5')
        .update(`${seed}:tenant:${index + 1}`)
        .digest('hex'),
    ),
  );
}

/** The number of test tenants at this scale. @throws RangeError for a scale that is not positive. */
export function countTestTenants({ scale = 1 }: DemoSize): number {
  if (!(scale > 0 && Number.isFinite(scale))) {
    throw new RangeError(`The demo's scale must be a number above 0, not ${scale}.`);
  }
  return Math.round(DEMO.testTenants * scale);
}

/** The seed, checked, because it is written into SQL as it is. @throws RangeError unless it is an integer. */
export function readSeed({ seed = DEMO.seed }: DemoSize): number {
  if (!Number.isSafeInteger(seed)) {
    throw new RangeError(`The demo's seed must be a whole number, not ${seed}.`);
  }
  return seed;
}

function toUuid(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Named points at which a test may kill the process or throw. */
export const FAILPOINTS = [
  'claimed',
  'before-batch',
  'before-commit',
  'batch-committed',
  'before-sweep',
  'before-unlink',
  'swept',
  'before-seal',
] as const;
export type FailpointName = (typeof FAILPOINTS)[number];

/** Awaited at each point; does nothing in production. */
export type Failpoint = (name: FailpointName) => Promise<void>;

export const noFailpoint: Failpoint = () => Promise.resolve();

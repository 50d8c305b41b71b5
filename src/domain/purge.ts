/**
 * The life of a purge: statuses, and the one table of transitions. The database holds the same
 * table (`tenant_purge.transition`) and refuses an UPDATE that is not in it.
 */

export const PURGE_STATUSES = [
  'planned',
  'scheduled',
  'queued',
  'running',
  'pausing',
  'paused',
  'cancelling',
  'cancelled',
  'interrupted',
  'failed',
  'refused',
  'incomplete',
  'completed',
  'restoring',
  'restored',
] as const;
export type PurgeStatus = (typeof PURGE_STATUSES)[number];

/** Stages of one purge, in order. */
export const STAGES = [
  'preflight',
  'quiesce',
  'dependents',
  'core',
  'tenant',
  'redis',
  'verify',
  'seal',
] as const;
export type Stage = (typeof STAGES)[number];

/** Statuses in which a purge still owes work; a tenant has at most one such purge at a time. */
export const LIVE_STATUSES: readonly PurgeStatus[] = [
  'planned',
  'scheduled',
  'queued',
  'running',
  'pausing',
  'paused',
  'cancelling',
  'interrupted',
  'restoring',
];

interface Transition {
  readonly from: PurgeStatus;
  readonly to: PurgeStatus;
  /** What causes the edge; shown in the documentation and stored in the database's table. */
  readonly cause: string;
}

export const TRANSITIONS: readonly Transition[] = [
  { from: 'planned', to: 'queued', cause: 'its job is due at once' },
  { from: 'planned', to: 'scheduled', cause: 'the operator asked for a delay' },
  { from: 'planned', to: 'cancelled', cause: 'cancelled before it was enqueued' },
  { from: 'scheduled', to: 'queued', cause: 'the delay has passed, or the job was promoted' },
  { from: 'scheduled', to: 'running', cause: 'a worker claimed it when the delay had passed' },
  { from: 'scheduled', to: 'paused', cause: 'the operator paused it before it was due' },
  { from: 'scheduled', to: 'cancelled', cause: 'the operator cancelled it before it was due' },
  { from: 'scheduled', to: 'refused', cause: 'a guard refused it when it was claimed' },
  { from: 'queued', to: 'running', cause: 'a worker claimed it' },
  { from: 'queued', to: 'paused', cause: 'the operator paused it before a worker had it' },
  { from: 'queued', to: 'cancelled', cause: 'the operator cancelled it before a worker had it' },
  { from: 'queued', to: 'refused', cause: 'a guard refused it when it was claimed' },
  { from: 'queued', to: 'completed', cause: 'the sweep that served it found nothing left' },
  {
    from: 'running',
    to: 'queued',
    cause: 'the worker gave it back: shutdown, queue pause or sweep',
  },
  { from: 'running', to: 'pausing', cause: 'the operator asked for a pause in mid-run' },
  { from: 'running', to: 'cancelling', cause: 'the operator asked for a cancel in mid-run' },
  { from: 'running', to: 'interrupted', cause: 'a passing fault outlasted its retries' },
  { from: 'running', to: 'failed', cause: 'a fault that no retry can mend' },
  { from: 'running', to: 'refused', cause: 'a guard refused it: drift, keep list or identity' },
  { from: 'running', to: 'incomplete', cause: 'verification found residue' },
  { from: 'running', to: 'completed', cause: 'verification found nothing left' },
  { from: 'pausing', to: 'paused', cause: 'its worker stopped, or none was left to stop' },
  { from: 'pausing', to: 'queued', cause: 'the operator resumed it before it had stopped' },
  { from: 'pausing', to: 'cancelling', cause: 'the operator asked for a cancel instead' },
  { from: 'paused', to: 'queued', cause: 'the operator resumed it, or its job was promoted' },
  { from: 'paused', to: 'cancelled', cause: 'the operator cancelled it' },
  { from: 'cancelling', to: 'cancelled', cause: 'its worker stopped, or none was left to stop' },
  { from: 'interrupted', to: 'queued', cause: 'the operator resumed it, or its job was promoted' },
  { from: 'interrupted', to: 'running', cause: 'a worker claimed it again' },
  { from: 'interrupted', to: 'paused', cause: 'the operator paused it between two tries' },
  { from: 'interrupted', to: 'cancelled', cause: 'the operator cancelled it between two tries' },
  { from: 'interrupted', to: 'refused', cause: 'a guard refused it when it was claimed' },
  { from: 'cancelled', to: 'restoring', cause: 'the operator asked for its rows back' },
  { from: 'failed', to: 'restoring', cause: 'the operator asked for its rows back' },
  { from: 'incomplete', to: 'restoring', cause: 'the operator asked for its rows back' },
  { from: 'completed', to: 'restoring', cause: 'the operator asked for its rows back' },
  { from: 'refused', to: 'restoring', cause: 'the operator asked for its rows back' },
  { from: 'restoring', to: 'restored', cause: 'every archived row is back' },
  {
    from: 'restoring',
    to: 'failed',
    cause: 'its restore was given up, with rows back and rows not',
  },
];

const EDGES = new Set(TRANSITIONS.map((edge) => `${edge.from}>${edge.to}`));

/** True where the table of transitions has the edge. */
export const canTransition = (from: PurgeStatus, to: PurgeStatus): boolean =>
  EDGES.has(`${from}>${to}`);

/** True for a purge that still owes work. */
export const isLive = (status: PurgeStatus): boolean => LIVE_STATUSES.includes(status);

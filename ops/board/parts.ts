import type { Actor } from '../../src/runtime/actor.ts';

/** What the board needs of the composed process. */
export type BoardParts = Pick<
  Actor,
  | 'config'
  | 'database'
  | 'reader'
  | 'queue'
  | 'purges'
  | 'campaigns'
  | 'commands'
  | 'reconcile'
  | 'log'
>;

/** Kinds of faults, each with what it does, for the table at the end. */
export const FAULTS = {
  kill: 'SIGKILL of a worker, which is replaced',
  'kill-all': 'SIGKILL of every worker at once, replaced a moment later',
  failpoint: 'a worker that kills itself at a named point of its work',
  freeze: 'SIGSTOP of a worker beyond its lock, then SIGCONT',
  shutdown: 'SIGTERM of a worker, which is replaced',
  'postgres-crash': 'PostgreSQL stopped immediately, started again',
  'postgres-end-sessions': 'every session of the program ended, several times',
  'postgres-cut': "a worker's connections to PostgreSQL reset, several times",
  'postgres-swallow': 'the network to PostgreSQL swallows everything for some seconds',
  'postgres-strand': "a worker's connections to PostgreSQL stay dead, and nobody is told",
  'redis-flush': 'FLUSHALL',
  'redis-crash': 'Redis killed, an empty one started seconds later',
  'redis-away': 'Redis refuses connections for some seconds',
  'redis-hang': 'Redis gives no answer for some seconds',
  'redis-cut': 'connections to Redis reset, several times',
  'redis-swallow': 'the network to Redis swallows everything for some seconds',
  reconcilers: 'two reconcilers besides those of the workers, and the command',
  'clocks-apart': 'clocks of the workers 60 s apart',
  'log-full': 'a worker whose log has no room left',
  writers: 'rows of doomed and kept tenants written all the time',
  'pause-one': 'one purge paused and resumed',
  'pause-all': 'everything paused and resumed',
  'pause-storm': 'pause and resume, one and all, in any order and at once',
  cancel: 'one purge cancelled',
  'cancel-campaign': 'the campaign cancelled',
} as const;

export type FaultKind = keyof typeof FAULTS;

export const FAULT_KINDS = Object.keys(FAULTS) as [FaultKind, ...FaultKind[]];

export const isFaultKind = (word: string): word is FaultKind => Object.hasOwn(FAULTS, word);

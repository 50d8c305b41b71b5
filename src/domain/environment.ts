/** Environments in which nothing is deleted without `--allow-production`. Unset counts as production. */
const GUARDED = new Set(['production', 'prod', 'staging', 'stage', 'live']);

/** The environment's name in the form it is bound and compared in. */
export const environmentName = (value: string | undefined): string =>
  value === undefined || value.trim() === '' ? 'production' : value.trim().toLowerCase();

/** True where `--allow-production` is needed. Takes the form `environmentName` gives. */
export const isGuardedEnvironment = (name: string): boolean => GUARDED.has(name);

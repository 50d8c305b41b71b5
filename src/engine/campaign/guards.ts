import { isGuardedEnvironment } from '../../domain/environment.ts';
import { PurgeError } from '../../domain/errors.ts';
import { type Hazard, hazardsInTheWay } from '../../domain/hazard.ts';
import type { PreparedCampaign } from './prepare.ts';
import { requireTargets } from './targets.ts';

/** What the operator accepts in so many words. */
export interface Consent {
  readonly environment: string;
  /** Hazard types accepted by flag or configuration. */
  readonly allowed: readonly string[];
  readonly allowProduction: boolean;
}

/** What stands in the way of the purge itself, whoever asks: targets and hazards. Pure. */
export function findObstacles(
  prepared: PreparedCampaign,
  allowed: readonly string[],
): PurgeError[] {
  const { blocking, notAllowed } = hazardsInTheWay(prepared.hazards, allowed);
  const obstacles: PurgeError[] = [];
  try {
    // Where the tenants could not be read, that none is left says nothing.
    if (prepared.isCounted || prepared.refused.length > 0) requireTargets(prepared);
  } catch (error) {
    if (!(error instanceof PurgeError)) throw error;
    obstacles.push(error);
  }
  if (blocking.length > 0) {
    obstacles.push(
      new PurgeError(
        'HAZARD_BLOCKS',
        `${count(blocking, 'hazard')} of the schema or the data must be settled first:\n${lines(blocking)}`,
        {
          details: { hazards: blocking },
          ...(blocking.some(({ type }) => type === 'MISSING_PRIVILEGE')
            ? { remedy: WITH_PRIVILEGES }
            : {}),
        },
      ),
    );
  }
  if (notAllowed.length > 0) {
    const flags = [...new Set(notAllowed.map(({ type }) => `--allow ${type}`))].join(' ');
    obstacles.push(
      new PurgeError(
        'HAZARD_NOT_ALLOWED',
        `${count(notAllowed, 'hazard')} must be accepted by name:\n${lines(notAllowed)}`,
        {
          details: { hazards: notAllowed },
          remedy: `Read them; accept them with ${flags}, or settle each as its remedy says.`,
        },
      ),
    );
  }
  return obstacles;
}

/** Every guard but the confirmation, so that the operator hears of all of them at once. Pure. */
export function checkGuards(prepared: PreparedCampaign, consent: Consent): PurgeError[] {
  const errors = findObstacles(prepared, consent.allowed);
  if (isGuardedEnvironment(consent.environment) && !consent.allowProduction) {
    errors.push(
      new PurgeError('ENVIRONMENT_GUARD', `The environment is ${consent.environment}.`, {
        details: { environment: consent.environment },
      }),
    );
  }
  return errors;
}

const WITH_PRIVILEGES =
  'Settle each hazard as its remedy says, then plan again; ops/sql/roles.sql makes a role with every privilege that a purge needs.';

const count = (of: readonly unknown[], word: string): string =>
  `${of.length} ${word}${of.length === 1 ? '' : 's'}`;

const lines = (hazards: readonly Hazard[]): string =>
  hazards.map(({ type, message, remedy }) => `  ${type}  ${message} ${remedy}`).join('\n');

import { COPY_SETTINGS } from '../../domain/archive.ts';
import { literal } from './row-predicate.ts';

/**
 * Sets for this transaction what the text of COPY depends on: a role may have other settings, and one
 * day's archive is read on another day by another role.
 */
export const enterCopying = (): string =>
  `select ${Object.entries(COPY_SETTINGS)
    .map(([name, value]) => `set_config(${literal(name)}, ${literal(value)}, true)`)
    .join(', ')}`;

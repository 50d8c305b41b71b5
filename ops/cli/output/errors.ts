import type { PurgeError } from '../../../src/domain/errors.ts';
import type { Colors } from '../io.ts';
import { wrap } from './text.ts';

/** What happened, to what, and what to do next. */
export function renderError(error: PurgeError, colors: Colors, columns: number): string {
  const head = `${colors.red(colors.bold(`${error.code}:`))} ${error.message}`;
  return `${wrap(head, columns)}\n${wrap(`→ ${error.remedy}`, columns, '  ')}`;
}

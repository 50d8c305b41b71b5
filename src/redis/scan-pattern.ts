import { toByteText } from './byte-text.ts';
import type { KeyTemplate } from './key-template.ts';

/**
 * A SCAN MATCH pattern that every key of every template fits: position by position the characters that
 * a template has there, as far as the shortest literal beginning goes, and `*`. For `tenant:{tenantId}`
 * and `ratelimit:{tenantId}` that is `[tr][ea][nt][ae][nl][ti][:m]*`. More keys may fit it than are
 * anybody's; what it spares is the way of all others over the wire, which costs more than the pass.
 * Null where a template begins with a wildcard or the id, and SCAN has to give every key. Pure.
 */
export function scanPattern(templates: readonly KeyTemplate[]): string | null {
  const literals = templates.map((template) => toByteText(template.before[0] ?? ''));
  const length = Math.min(...literals.map((literal) => literal.length));
  if (templates.length === 0 || length === 0) return null;
  let pattern = '';
  for (let position = 0; position < length; position += 1) {
    pattern += oneOf(new Set(literals.map((literal) => literal[position] ?? '')));
  }
  return `${pattern}*`;
}

/** Pattern of one byte. A byte beyond ASCII has no text of its own in a pattern: any will do. */
function oneOf(bytes: ReadonlySet<string>): string {
  const escaped = [...bytes].map((byte) => byte.replace(/[\\*?[\]^-]/, '\\$&'));
  if (escaped.some((byte) => byte > '\u007f')) return '?';
  return escaped.length === 1 ? escaped.join('') : `[${escaped.join('')}]`;
}

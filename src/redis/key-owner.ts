import { toByteTemplate, toByteText } from './byte-text.ts';
import { IDENTITY_KEY } from './identity.ts';
import { type KeyTemplate, matchTenant } from './key-template.ts';

interface KeyOwnerOptions<Id extends string> {
  readonly templates: readonly KeyTemplate[];
  readonly tenantIds: ReadonlySet<Id>;
  /** Keys that belong to nobody whatever the templates say, e.g. `bull:`, the queue's own. */
  readonly excludePrefixes: readonly string[];
}

/**
 * A function that says which of the tenants owns a key (byte text), or null. The identity marker
 * is nobody's.
 */
export function createKeyOwner<Id extends string>(
  options: KeyOwnerOptions<Id>,
): (key: string) => Id | null {
  const templates = options.templates.map(toByteTemplate);
  const ids = new Map([...options.tenantIds].map((id): [string, Id] => [toByteText(id), id]));
  const excluded = options.excludePrefixes.map(toByteText);
  const isWaiting = (id: string): boolean => ids.has(id);
  return (key) => {
    if (key === IDENTITY_KEY || excluded.some((prefix) => key.startsWith(prefix))) return null;
    const found = matchTenant(templates, key, isWaiting);
    return found === null ? null : (ids.get(found) ?? null);
  };
}

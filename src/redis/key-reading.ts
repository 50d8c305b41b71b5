import { type IdForm, spellingOf } from '../domain/id-form.ts';
import { toByteTemplate, toByteText } from './byte-text.ts';
import { IDENTITY_KEY } from './identity.ts';
import { type KeyTemplate, possibleIds } from './key-template.ts';

/** Whose a key may be, read out of it without knowing the tenants. */
export type KeyReading =
  /** No template fits, or nobody may touch it: no matter of ours. */
  | { readonly kind: 'foreign' }
  /**
   * The ids that it may have, at least one. `isSure`: there is one and no other way to read the key.
   * Otherwise it can still turn out to be the key of a tenant that exists.
   */
  | { readonly kind: 'ids'; readonly ids: readonly string[]; readonly isSure: boolean }
  /** A template fits, but what stands for the id cannot be one. */
  | { readonly kind: 'no-id' }
  /** So many ways to read it that not all were tried. */
  | { readonly kind: 'too-many' };

interface KeyReaderOptions {
  readonly templates: readonly KeyTemplate[];
  /** Keys that belong to nobody whatever the templates say, e.g. `bull:`, the queue's own. */
  readonly excludePrefixes: readonly string[];
  readonly form: IdForm;
}

/** Ids of one key that are looked up. */
const IDS_MAX = 32;

/**
 * A function that matches the templates in reverse: from a key (byte text) to the ids it may have. An
 * id in another spelling than PostgreSQL's (a uuid in capitals) makes the reading unsure: the
 * application may well mean that tenant.
 */
export function createKeyReader(options: KeyReaderOptions): (key: string) => KeyReading {
  const templates = options.templates.map(toByteTemplate);
  const excluded = options.excludePrefixes.map(toByteText);
  return (key) => {
    if (key === IDENTITY_KEY || excluded.some((prefix) => key.startsWith(prefix))) return FOREIGN;
    const texts = possibleIds(templates, key);
    if (texts === null) return { kind: 'too-many' };
    if (texts.size === 0) return FOREIGN;
    const ids: string[] = [];
    let otherwise = 0;
    for (const bytes of texts) {
      const text = decode(bytes);
      const spelling = text === null ? 'none' : spellingOf(options.form, text);
      if (spelling === 'other') otherwise += 1;
      if (spelling === 'exact' && text !== null) ids.push(text);
    }
    if (ids.length > IDS_MAX) return { kind: 'too-many' };
    if (ids.length === 0) return { kind: 'no-id' };
    return { kind: 'ids', ids, isSure: ids.length === 1 && otherwise === 0 };
  };
}

const FOREIGN: KeyReading = { kind: 'foreign' };

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Null for bytes that are no UTF-8: no id of PostgreSQL's prints like that. */
function decode(byteText: string): string | null {
  try {
    return UTF8.decode(Buffer.from(byteText, 'latin1'));
  } catch {
    return null;
  }
}

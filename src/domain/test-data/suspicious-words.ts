import type { Finding } from './finding.ts';

/**
 * Words that test data calls itself by. Few, because prevention refuses by them: what also names
 * honest companies (qa, staging, sandbox, trial) is left to the configuration.
 */
export const SUSPICIOUS_WORDS: readonly string[] = [
  'test',
  'tests',
  'testing',
  'tester',
  'demo',
  'demos',
  'sample',
  'samples',
  'dummy',
  'fake',
  'example',
  'e2e',
  'asdf',
  'qwerty',
];

/** Longer names are looked at up to here: nothing honest is longer, and the time stays bounded. */
export const TEXT_LENGTH_MAX = 1_000;

/** A word as `suspiciousWords` compares it: one run of letters and digits. */
export const isWord = (text: string): boolean => /^[\p{L}\p{M}\p{N}]+$/u.test(text);

/** A word of the list in the form in which pieces of a text are compared with it. Pure. */
export const wordKey = (word: string): string => fold(word).toLowerCase();

/**
 * Findings of rule `suspicious-word`: one for each of the words that stands in the text as a whole
 * word, in the order of the text. Words end at whatever is no letter or digit, where letters meet
 * digits (`test1`), and where a capital follows (`TestCompany`, `APITest`); a run of letters and digits
 * counts as a whole too (`e2e`, `deMo`). Case, accents, full-width letters and invisible characters do
 * not matter. `Contest Ltd`, `Testa AG` and `Sampleton` hold none. Linear in the text. Pure.
 * @param words any case; such as `isWord` accepts
 */
export function suspiciousWords(
  text: string,
  words: readonly string[] = SUSPICIOUS_WORDS,
): Finding[] {
  const wanted = wordSet(words);
  const value = text.slice(0, TEXT_LENGTH_MAX);
  const found = new Set<string>();
  for (const run of fold(value).match(RUNS) ?? []) {
    for (const piece of [run, ...run.split(BORDERS)]) {
      const word = piece.toLowerCase();
      if (wanted.has(word)) found.add(word);
    }
  }
  return [...found].map((match) => ({ rule: 'suspicious-word', evidence: { value, match } }));
}

/** Letters and digits that stand together; marks were taken off before. */
const RUNS = /[\p{L}\p{N}]+/gu;

/** Every alternative looks at two or three characters, so that splitting is linear. */
const BORDERS =
  /(?<=\p{Ll})(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})|(?<=\p{L})(?=\p{N})|(?<=\p{N})(?=\p{L})/u;

/** Accents off, compatibility forms to their plain letters, invisible characters out. */
const fold = (text: string): string =>
  ASCII_ONLY.test(text) ? text : text.normalize('NFKD').replace(UNSEEN, '');

/** Some that nobody sees are letters by category: the Hangul fillers. */
const UNSEEN = /[\p{M}\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;

/** Printable ASCII, which folding would not change. */
const ASCII_ONLY = /^[ -~]*$/;

/** One list is asked for a hundred thousand tenants. */
const sets = new WeakMap<readonly string[], ReadonlySet<string>>();

function wordSet(words: readonly string[]): ReadonlySet<string> {
  const known = sets.get(words);
  if (known !== undefined) return known;
  const made = new Set(words.map(wordKey));
  sets.set(words, made);
  return made;
}

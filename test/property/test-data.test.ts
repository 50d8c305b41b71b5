import { disposableEmailBlocklist } from 'disposable-email-domains-js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  emailDomainLists,
  suspiciousEmailDomain,
} from '../../src/domain/test-data/email-domains.ts';
import { SUSPICIOUS_WORDS, suspiciousWords } from '../../src/domain/test-data/suspicious-words.ts';

const SEED = 20_260_301;
/** Far above what a linear rule takes here for a text of 200,000 characters, far below a quadratic one. */
const MS_MAX = 500;

const lists = emailDomainLists({ disposable: disposableEmailBlocklist() });

/** What makes regular expressions and Unicode code stumble: repeats, surrogates, marks, ligatures. */
const nasty = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 2_000 }),
  fc.string({ unit: 'grapheme', maxLength: 2_000 }),
  fc
    .tuple(
      fc.constantFrom(
        'a',
        'aA',
        'Aa',
        'a1',
        '.',
        '@',
        'a.',
        'a@',
        '-',
        ' ',
        '\ufdfa',
        'e\u0301',
        '\ud800',
        '\u200b',
        'ẞ',
        'xn--',
      ),
      fc.integer({ min: 0, max: 200_000 }),
      fc.constantFrom('', '!', '@', '@a', '.test', 'test', '\udc00'),
    )
    .map(([unit, length, end]) => unit.repeat(Math.ceil(length / unit.length)) + end),
);

describe('The rules about names and e-mail addresses', () => {
  it('end within time for whatever somebody types, and find words that stand in their lists', () => {
    fc.assert(
      fc.property(nasty, nasty, (text, tail) => {
        const startedAt = performance.now();
        const words = suspiciousWords(text);
        const email = suspiciousEmailDomain(`${text}@${tail}`, lists);
        suspiciousEmailDomain(text, lists);
        expect(performance.now() - startedAt).toBeLessThan(MS_MAX);
        for (const { evidence } of words) expect(SUSPICIOUS_WORDS).toContain(evidence.match);
        if (email !== null) expect(email.evidence.value.endsWith(email.evidence.match)).toBe(true);
      }),
      { seed: SEED, numRuns: 1_500 },
    );
  });

  it('find a word between any two separators, and never inside a run of small letters', () => {
    const word = fc.constantFrom(...SUSPICIOUS_WORDS);
    const separator = fc.constantFrom(' ', '-', '_', '.', '/', '(', ', ', '\t', '·', '—');
    const letters = fc.string({
      unit: fc.constantFrom('b', 'c', 'g', 'h', 'j', 'k', 'v', 'w', 'x', 'z'),
      minLength: 1,
      maxLength: 8,
    });
    fc.assert(
      fc.property(word, separator, separator, letters, letters, (found, left, right, a, b) => {
        expect(matches(`${a}${left}${found}${right}${b}`)).toEqual([found]);
        expect(matches(`${a}${left}${found.toUpperCase()}${right}${b}`)).toEqual([found]);
        expect(matches(`${a}${found}${b}`)).toEqual([]);
      }),
      { seed: SEED, numRuns: 1_000 },
    );
  });

  it('treat a domain and its subdomains alike, whatever stands before the @', () => {
    const label = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
    fc.assert(
      fc.property(
        fc.constantFrom('example.com', 'mailinator.com', 'yopmail.com', 'test'),
        fc.array(label, { maxLength: 4 }),
        fc.string({ maxLength: 30 }),
        (domain, labels, mailbox) => {
          const host = [...labels, domain].join('.');
          expect(suspiciousEmailDomain(`${mailbox}@${host}`, lists)).not.toBeNull();
          expect(suspiciousEmailDomain(`${mailbox}@${host}.acme-machines.de`, lists)).toBeNull();
        },
      ),
      { seed: SEED, numRuns: 1_000 },
    );
  });
});

const matches = (text: string): string[] =>
  suspiciousWords(text).map(({ evidence }) => evidence.match);

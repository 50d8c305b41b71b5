import { disposableEmailBlocklist } from 'disposable-email-domains-js';
import { describe, expect, it } from 'vitest';
import {
  emailDomain,
  emailDomainLists,
  LISTED_DOMAINS,
  RESERVED_DOMAINS,
  RESERVED_TLDS,
  suspiciousEmailDomain,
} from '../../../../src/domain/test-data/email-domains.ts';
import { DETAIL_RULES } from '../../../../src/domain/test-data/finding.ts';
import {
  isWord,
  SUSPICIOUS_WORDS,
  suspiciousWords,
} from '../../../../src/domain/test-data/suspicious-words.ts';
import { EMAILS, NAMES } from '../../../fixtures/diagnosis/details.ts';
import { Accuracy } from '../../../support/accuracy.ts';

const lists = emailDomainLists({ disposable: disposableEmailBlocklist() });

describe('Every rule about names and e-mail domains', () => {
  it('hits what it should, spares every near miss, and has cases of both kinds', () => {
    const accuracy = new Accuracy();
    for (const { text, words } of NAMES) {
      const found = suspiciousWords(text).map(({ evidence }) => evidence.match);
      expect([text, found]).toEqual([text, words]);
      accuracy.add('suspicious-word', { should: words.length > 0, does: found.length > 0 });
    }
    for (const [email, wanted] of EMAILS) {
      const found = suspiciousEmailDomain(email, lists)?.rule ?? null;
      expect([email, found]).toEqual([email, wanted]);
      for (const rule of DETAIL_RULES.slice(1)) {
        if (wanted === null || wanted === rule || found === rule) {
          accuracy.add(rule, { should: wanted === rule, does: found === rule });
        }
      }
    }
    accuracy.print('Names and e-mail domains');
    const rules = accuracy.rules();
    expect(rules.map(({ rule }) => rule).sort()).toEqual([...DETAIL_RULES].sort());
    for (const { rule, precision, recall, hits, nearMisses } of rules) {
      expect({ rule, precision, recall }).toEqual({ rule, precision: 1, recall: 1 });
      expect(Math.min(hits, nearMisses)).toBeGreaterThan(1);
    }
  });

  it.each(SUSPICIOUS_WORDS)(
    'has a name with "%s" as a word, and knows it inside others',
    (word) => {
      expect(suspiciousWords(`Acme ${word}`)).toHaveLength(1);
      expect(suspiciousWords(`Acme x${word}y`)).toEqual([]);
    },
  );

  it.each([...LISTED_DOMAINS, ...RESERVED_DOMAINS, ...RESERVED_TLDS.map((tld) => `acme.${tld}`)])(
    'hits %s and what is below it, but neither a longer label nor a longer domain',
    (domain) => {
      expect(suspiciousEmailDomain(`a@${domain}`, lists)).not.toBeNull();
      expect(suspiciousEmailDomain(`a@sub.${domain}`, lists)).not.toBeNull();
      expect(suspiciousEmailDomain(`a@${domain}.acme.io`, lists)).toBeNull();
      expect(
        suspiciousEmailDomain(`a@${domain}x`, emailDomainLists({ disposable: [] })),
      ).toBeNull();
    },
  );

  it('gives evidence that programs can read, without the mailbox', () => {
    expect(suspiciousWords('Acme Test 1')).toEqual([
      { rule: 'suspicious-word', evidence: { value: 'Acme Test 1', match: 'test' } },
    ]);
    expect(suspiciousEmailDomain('secret.person@Mail.Mailinator.com', lists)).toEqual({
      rule: 'listed-email-domain',
      evidence: { value: 'mail.mailinator.com', match: 'mailinator.com' },
    });
  });

  it('takes words and domains of the configuration, and spares what it allows', () => {
    expect(suspiciousWords('qa-17', ['QA'])).toHaveLength(1);
    expect(suspiciousWords('Qatar Air', ['qa'])).toEqual([]);
    const own = emailDomainLists({
      listed: ['Acme-QA.io'],
      disposable: ['yopmail.com'],
      allowed: ['example.com', 'yopmail.com'],
    });
    expect(suspiciousEmailDomain('a@x.acme-qa.io', own)?.rule).toBe('listed-email-domain');
    expect(suspiciousEmailDomain('a@example.com', own)).toBeNull();
    expect(suspiciousEmailDomain('a@b.yopmail.com', own)).toBeNull();
    expect(suspiciousEmailDomain('a@example.org', own)?.rule).toBe('reserved-email-domain');
  });

  it('compares international domains in their ASCII form', () => {
    expect(emailDomain('a@München.DE')).toBe('xn--mnchen-3ya.de');
    expect(emailDomain('a@user:password@host/path')).toBeNull();
    const own = emailDomainLists({ listed: ['münchen.de'], disposable: [] });
    expect(suspiciousEmailDomain('a@xn--mnchen-3ya.de', own)).not.toBeNull();
  });

  it('tells which words can be configured', () => {
    expect(['qa', 'e2e', 'prüfung', 'テスト'].filter((word) => !isWord(word))).toEqual([]);
    expect(['', ' ', 'two words', 'a-b', 'a*'].filter(isWord)).toEqual([]);
  });
});

describe('The list of disposable domains', () => {
  it('has no provider whose customers are people', () => {
    const honest = ['gmail.com', 'outlook.com', 'icloud.com', 'proton.me', 'gmx.de', 'qq.com'];
    expect(honest.filter((domain) => lists.disposable.has(domain))).toEqual([]);
    expect(lists.disposable.size).toBeGreaterThan(5_000);
  });
});

import { describe, expect, it } from 'vitest';
import { findStrangeness, type RelationFacts } from '../../../../src/engine/orphans/relation.ts';

const HERE = { environment: 'production', databaseIdentity: 'db', redisEndpoint: 'cache:6379/0' };
const CAMPAIGN = { ...HERE, redisIdentity: 'r' };
const strangeness = (facts: Partial<RelationFacts>): string =>
  findStrangeness({ here: HERE, marker: 'r', campaign: CAMPAIGN, runs: [], ...facts }).join('; ');

describe('A database and a Redis', () => {
  it.each<[string, Partial<RelationFacts>]>([
    ['the latest campaign ran in both', {}],
    ['nothing was ever done with either', { marker: null, campaign: null }],
    ['the Redis was flushed where it stands', { marker: null }],
    ['an earlier run over the orphans knows the Redis', { marker: 's', runs: [run('s', 'x')] }],
    ['only a run knows it', { campaign: null, runs: [run('r', 'x')] }],
    [
      'the latest run was made in both, others before the database moved',
      { campaign: null, runs: [run('r', 'x'), run('r', 'x', 'before')] },
    ],
  ])('belong together where %s', (_why, facts) => {
    expect(strangeness(facts)).toBe('');
  });

  it.each<[string, Partial<RelationFacts>, RegExp]>([
    ['the mark is nobody’s', { marker: 'other' }, /marker that this ledger does not know/],
    ['another ledger has marked it', { campaign: null }, /marker that this ledger does not know/],
    [
      'an unmarked Redis stands elsewhere',
      { marker: null, here: { ...HERE, redisEndpoint: 'staging:6379/0' } },
      /no identity marker and is not where/,
    ],
    [
      'the ledger came with a dump',
      { here: { ...HERE, databaseIdentity: 'copy' } },
      /^the ledger came with a copy/,
    ],
    [
      'a ledger that has only runs came with a dump',
      { campaign: null, runs: [run('r', 'x', 'original'), run('r', 'x')] },
      /^the ledger came with a copy of another database$/,
    ],
    [
      'only the environment tells a physical copy',
      { here: { ...HERE, environment: 'staging' } },
      /^ENVIRONMENT is staging, and the latest campaign ran in production$/,
    ],
  ])('may not belong together where %s', (_why, facts, expected) => {
    expect(strangeness(facts)).toMatch(expected);
  });
});

function run(redisIdentity: string, redisEndpoint: string, databaseIdentity = 'db') {
  return { databaseIdentity, redisIdentity, redisEndpoint };
}

import { expect, it } from 'vitest';
import type { Hazard } from '../../../src/domain/hazard.ts';
import { asTenantId } from '../../../src/domain/ids.ts';
import { type Consent, checkGuards } from '../../../src/engine/campaign/guards.ts';
import type { PreparedCampaign } from '../../../src/engine/campaign/prepare.ts';
import { plan, table } from '../../support/catalogue.ts';

const unindexed: Hazard = {
  type: 'FK_WITHOUT_INDEX',
  severity: 'allow',
  table: null,
  message: 'A key has no index.',
  remedy: 'Create one.',
};

const prepared = (more: Partial<PreparedCampaign> = {}): PreparedCampaign => ({
  plan: plan([table('agents', 'id! tenant_id!')], []),
  hazards: [],
  tenants: [{ id: asTenantId('1'), label: 'One', rows: {}, rowsTotal: 0, redisKeys: 0 }],
  refused: [],
  isCounted: true,
  counts: {
    tenants: 1,
    testTenants: null,
    core: {},
    redisKeys: 0,
    keptRows: {},
    doomedCore: {},
    doomedTestTenants: null,
  },
  ...more,
});

const consent = (more: Partial<Consent> = {}): Consent => ({
  environment: 'development',
  allowed: [],
  allowProduction: false,
  ...more,
});

const codes = (campaign: PreparedCampaign, accepted: Consent): string[] =>
  checkGuards(campaign, accepted).map(({ code }) => code);

it('lets a campaign pass that needs no consent', () => {
  expect(codes(prepared(), consent())).toEqual([]);
});

it('wants more where the environment is production, staging or unset', () => {
  for (const environment of ['production', 'staging']) {
    expect(codes(prepared(), consent({ environment }))).toEqual(['ENVIRONMENT_GUARD']);
    expect(codes(prepared(), consent({ environment, allowProduction: true }))).toEqual([]);
  }
});

it('wants each hazard accepted by name, and prints the flag', () => {
  const campaign = prepared({ hazards: [unindexed] });
  const [error] = checkGuards(campaign, consent({ allowed: ['TRIGGER'] }));
  expect(error?.code).toBe('HAZARD_NOT_ALLOWED');
  expect(error?.remedy).toContain('--allow FK_WITHOUT_INDEX');
  expect(codes(campaign, consent({ allowed: ['FK_WITHOUT_INDEX'] }))).toEqual([]);
});

it('says everything at once', () => {
  const campaign = prepared({
    tenants: [],
    refused: [{ tenantId: 'x', code: 'TENANT_UNKNOWN', message: 'No tenant has the id x.' }],
    hazards: [unindexed, { ...unindexed, type: 'OWNER_AMBIGUOUS', severity: 'blocks' }],
  });
  expect(codes(campaign, consent({ environment: 'production' }))).toEqual([
    'TARGETS_REFUSED',
    'HAZARD_BLOCKS',
    'HAZARD_NOT_ALLOWED',
    'ENVIRONMENT_GUARD',
  ]);
});

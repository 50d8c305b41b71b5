import { expect, it, vi } from 'vitest';
import type { CampaignRecord } from '../../../src/domain/records.ts';
import { IdentityCheck, type Whereabouts } from '../../../src/engine/identity-check.ts';

const here: Whereabouts = {
  environment: 'staging',
  databaseIdentity: '7/16384/app',
  redisEndpoint: '127.0.0.1:6379/0',
};
const campaign = { id: 'c', ...here, redisIdentity: 'marker' } as CampaignRecord;

function check(marker: string | null, more: Partial<Whereabouts> = {}) {
  const plant = vi.fn((wanted: string) => Promise.resolve(wanted));
  const one = new IdentityCheck({ ...here, ...more }, () => Promise.resolve(marker), plant);
  return { plant, result: one.check(campaign) };
}

it('lets a campaign run in the place it was made for', async () => {
  await expect(check('marker').result).resolves.toBeUndefined();
});

it('refuses another environment, another database and another Redis, all named at once', async () => {
  const { result } = check('other', { environment: 'production', databaseIdentity: '8/1/app' });
  await expect(result).rejects.toMatchObject({
    code: 'IDENTITY_MISMATCH',
    details: {
      differences: [
        'ENVIRONMENT is production, not staging',
        'the database is another one',
        'the Redis is another one',
      ],
    },
  });
});

it('gives a flushed Redis at the same address its marker back', async () => {
  const { result, plant } = check(null);
  await expect(result).resolves.toBeUndefined();
  expect(plant).toHaveBeenCalledWith('marker');
});

it('plants nothing in a Redis elsewhere, and refuses it', async () => {
  const { result, plant } = check(null, { redisEndpoint: '10.0.0.9:6379/0' });
  await expect(result).rejects.toMatchObject({ code: 'IDENTITY_MISMATCH' });
  expect(plant).not.toHaveBeenCalled();
});

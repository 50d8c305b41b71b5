import { describe, expect, it } from 'vitest';
import { checkEnvironment } from '../../../src/config/environment.ts';
import { noFailpoint } from '../../../src/engine/failpoints.ts';
import { makeFailpoint } from '../../../workers/failpoint.ts';

const env = { DATABASE_URL: 'postgres://a@127.0.0.1/app', REDIS_URL: 'redis://127.0.0.1' };

describe('TENANT_PURGE_FAILPOINT', () => {
  it('is off where it is not set', () => {
    expect(checkEnvironment(env).value?.failpoint).toBeNull();
    expect(makeFailpoint(null)).toBe(noFailpoint);
  });

  it('takes a point and a count', () => {
    const checked = checkEnvironment({ ...env, TENANT_PURGE_FAILPOINT: 'batch-committed:3' });
    expect(checked.value?.failpoint).toBe('batch-committed:3');
  });

  it.each(['batch-commited:3', 'claimed', 'claimed:0', 'claimed:x'])(
    'refuses "%s"',
    (failpoint) => {
      const { problems } = checkEnvironment({ ...env, TENANT_PURGE_FAILPOINT: failpoint });
      expect(problems).toEqual([expect.stringContaining('TENANT_PURGE_FAILPOINT')]);
    },
  );

  it('lets every hit but the wanted one pass', async () => {
    const failpoint = makeFailpoint('batch-committed:3');
    await failpoint('claimed');
    await failpoint('batch-committed');
    await failpoint('batch-committed');
  });
});

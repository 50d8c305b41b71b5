import { expect, it } from 'vitest';
import { asPurgeId } from '../../../src/domain/ids.ts';
import { jobIdOf, jobNumberOf, purgeIdOf } from '../../../src/queue/contracts.ts';

const ID = asPurgeId('3f0c2a52-6a5e-4d39-9d0c-5b5f4ad0c0de');
const OTHER = asPurgeId('aa0c2a52-6a5e-4d39-9d0c-5b5f4ad0c0de');

it('reads purge and number back out of a job id', () => {
  const jobId = jobIdOf(ID, 7);
  expect(purgeIdOf(jobId)).toBe(ID);
  expect(jobNumberOf(jobId, ID)).toBe(7);
});

it.each(['', '12', 'repeat:key:123', `${ID}x`, 'not-a-uuid.1'])(
  'takes %j for no job of this program',
  (jobId) => expect(purgeIdOf(jobId)).toBeNull(),
);

it("gives no number for another purge's job", () => {
  expect(jobNumberOf(jobIdOf(ID, 7), OTHER)).toBeNull();
});

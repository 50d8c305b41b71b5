import { describe, expect, it } from 'vitest';
import { activityColumns, lastUseColumn } from '../../../src/diagnosis/guesses.ts';

const moments = (...names: string[]) =>
  names.map((name) => ({ name, type: 'timestamp with time zone', notNull: false }));

describe('A column that tells when somebody did something', () => {
  it.each([
    ['attended_at', 'invalidated_at', 'rendered_at'],
    ['endedAt', 'trialedAt'],
    ['residue_measured_at'],
  ])('is any other moment rather than none: %s', (...names) => {
    expect(activityColumns(moments(...names))).toEqual([names[0]]);
  });

  it.each([
    'expires_at',
    'expiresAt',
    'expiry',
    'due',
    'due_date',
    'duedate',
    'nextRunAt',
    'ends_at',
    'end_date',
    'trial_end',
    'valid_from',
    'validTo',
    'scheduled_for',
    'date_of_birth',
    'deleted_at',
  ])('is none that is still to come: %s', (name) => {
    expect(activityColumns(moments(name))).toEqual([]);
  });

  it('is when a row came to be, and when it was last used', () => {
    expect(activityColumns(moments('updated_at', 'created_at', 'last_login_at'))).toEqual([
      'last_login_at',
      'created_at',
    ]);
    expect(activityColumns([{ name: 'created_at', type: 'text', notNull: true }])).toEqual([]);
  });

  it('is in the tenant table only when the tenant was last used', () => {
    expect(lastUseColumn(moments('created_at', 'updated_at'))).toBeNull();
    expect(lastUseColumn(moments('created_at', 'lastSeenAt'))).toBe('lastSeenAt');
  });
});

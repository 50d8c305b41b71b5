import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { redactUrl } from '../../../src/domain/redact-url.ts';

test('a redacted URL shows user, host and database, and no password', () => {
  expect(redactUrl('postgres://app:s3cret@db:5432/app?sslmode=require')).toBe(
    'postgres://app:***@db:5432/app?sslmode=require',
  );
  expect(redactUrl('postgres://db/app?password=s3cret')).not.toContain('s3cret');
});

test('no password is shown, however it is written', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme-ascii', maxLength: 8 }), (noise) => {
      const shown = redactUrl(`redis://app:${noise}S3CRET@cache:6379/0`);
      expect(shown).not.toContain('S3CRET');
    }),
    { numRuns: 2_000 },
  );
});

test('what is no URL is not shown', () => {
  expect(redactUrl('s3cret')).toBe('(not a URL)');
});

import { describe, expect, it } from 'vitest';
import { parseTargetList } from '../../../ops/cli/target-list.ts';

describe('a list of tenants', () => {
  it('is one id a line, without comments and blank lines', () => {
    const text = '# doomed\nalpha\n\n  beta  # soon\r\nroom#7\n';
    expect(parseTargetList(text, 'list')).toEqual(['alpha', 'beta', 'room#7']);
  });

  it.each([
    ['an array of ids', '["a", "b"]'],
    ['an array of objects', '[{"tenantId": "a", "label": "A"}, {"tenantId": "b"}]'],
    ['what enqueue and status print', '{"campaignId": null, "purges": [{"tenantId": "a"}, "b"]}'],
    ['an object with tenants', '\uFEFF {"tenants": [{"tenantId": "a"}, {"tenantId": "b"}]}'],
    ['a dry run, where tenants is a number', '{"tenants": 2, "purges": ["a", "b"]}'],
  ])('may be JSON: %s', (_what, text) => {
    expect(parseTargetList(text, 'list')).toEqual(['a', 'b']);
  });

  it('keeps blank ids of JSON, so that they are refused by name', () => {
    expect(parseTargetList('["", " "]', 'list')).toEqual(['', ' ']);
  });

  it.each(['{"rows": []}', '[1, 2]', '{"purges": [{"id": "a"}]}', '[broken'])(
    'is refused in another form: %s',
    (text) => {
      expect(() => parseTargetList(text, 'doomed.json')).toThrow(
        expect.objectContaining({ code: 'USAGE', message: expect.stringContaining('doomed.json') }),
      );
    },
  );
});

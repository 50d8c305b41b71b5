import { describe, expect, it } from 'vitest';
import { parseTargetList } from '../../../ops/cli/target-list.ts';

describe('a list of tenants', () => {
  it('is one id a line, without comments and blank lines', () => {
    const text = '# doomed\nalpha\n\n  beta  # soon\r\nroom#7\n';
    expect(parseTargetList(text, 'list')).toEqual({
      ids: ['alpha', 'beta', 'room#7'],
      report: null,
    });
  });

  it.each([
    ['an array of ids', '["a", "b"]'],
    ['an array of objects', '[{"tenantId": "a", "label": "A"}, {"tenantId": "b"}]'],
    ['what enqueue and status print', '{"campaignId": null, "purges": [{"tenantId": "a"}, "b"]}'],
    ['an object with tenants', '\uFEFF {"tenants": [{"tenantId": "a"}, {"tenantId": "b"}]}'],
    ['a dry run, where tenants is a number', '{"tenants": 2, "purges": ["a", "b"]}'],
  ])('may be JSON: %s', (_what, text) => {
    expect(parseTargetList(text, 'list').ids).toEqual(['a', 'b']);
  });

  it('keeps blank ids of JSON, so that they are refused by name', () => {
    expect(parseTargetList('["", " "]', 'list').ids).toEqual(['', ' ']);
  });

  it.each(['{"rows": []}', '[1, 2]', '{"purges": [{"id": "a"}]}', '[broken'])(
    'is refused in another form: %s',
    (text) => {
      expect(() => parseTargetList(text, 'doomed.json')).toThrow(
        expect.objectContaining({ code: 'USAGE', message: expect.stringContaining('doomed.json') }),
      );
    },
  );

  describe('may be a report of diagnosis', () => {
    const report = {
      kind: 'diagnosis',
      version: 1,
      database: '7/5/app',
      tenantTable: 'public.tenants',
      environment: 'staging',
      madeAt: '2026-03-01T00:00:00.000Z',
      asOf: '2026-03-01T00:00:00.000Z',
      tenants: [
        { tenantId: 'a', recommendation: 'purge', score: 100 },
        { tenantId: 'b', recommendation: 'review', score: 100 },
        { tenantId: 'c', recommendation: 'keep', score: 0 },
        { tenantId: 'd', recommendation: 'purge', score: 80 },
      ],
    };

    it('of which only what it recommends for purge is taken, with what it speaks of', () => {
      expect(parseTargetList(JSON.stringify(report), 'list')).toEqual({
        ids: ['a', 'd'],
        report: {
          database: '7/5/app',
          tenantTable: 'public.tenants',
          environment: 'staging',
          madeAt: '2026-03-01T00:00:00.000Z',
          asOf: '2026-03-01T00:00:00.000Z',
        },
      });
    });

    it('from which somebody cut the entries: the others are left out all the same', () => {
      expect(parseTargetList(JSON.stringify(report.tenants), 'list').ids).toEqual(['a', 'd']);
    });

    it.each([
      ['another version', { ...report, version: 2 }],
      ['an entry without a recommendation', { ...report, tenants: [{ tenantId: 'a' }] }],
      [
        'an unknown recommendation',
        { ...report, tenants: [{ tenantId: 'a', recommendation: 'Purge' }] },
      ],
      ['no database', { ...report, database: undefined }],
      ['no tenant table', { ...report, tenantTable: undefined }],
      ['another kind', { ...report, kind: 'inventory' }],
    ])('but not with %s', (_what, broken) => {
      expect(() => parseTargetList(JSON.stringify(broken), 'report.json')).toThrow(
        expect.objectContaining({
          code: 'USAGE',
          message: expect.stringContaining('report.json is no report'),
        }),
      );
    });
  });
});

import { describe, expect, it } from 'vitest';
import { parseCount, parseDuration } from '../../../ops/cli/command.ts';
import { renderTable } from '../../../ops/cli/output/table.ts';
import { formatDuration, plural, wrap } from '../../../ops/cli/output/text.ts';
import { progressOf } from '../../../ops/cli/wait.ts';

describe('text for people', () => {
  it('breaks lines at blanks and keeps a quoted phrase in one piece', () => {
    const text = 'The phrase is another one. It is "DELETE 2 TENANTS". Nothing was done.';
    const lines = wrap(text, 36).split('\n');
    expect(lines.every((line) => line.length <= 36)).toBe(true);
    expect(lines.some((line) => line.includes('"DELETE 2 TENANTS".'))).toBe(true);
    expect(lines.map((line) => line.trim()).join(' ')).toBe(text);
  });

  it('keeps the lines of a list apart and indents what is broken', () => {
    expect(wrap('two:\n  first one\n  second', 9)).toBe('two:\n  first\n    one\n  second');
  });

  it('survives a quote that is never closed', () => {
    expect(wrap('a "b c', 80)).toBe('a " b c');
  });

  it.each([
    [0, '0 ms'],
    [12_340, '12.3 s'],
    [250_000, '4 min 10 s'],
    [7_500_000, '2 h 5 min'],
  ])('says %i ms as %s', (durationMs, text) => {
    expect(formatDuration(durationMs)).toBe(text);
  });

  it('counts in words', () => {
    expect([plural(1, 'row'), plural(2_000, 'row')]).toEqual(['1 row', '2,000 rows']);
  });
});

describe('a table', () => {
  it('is no wider than it may be, and loses no character', () => {
    const path = 'canvas_audit_id → public.canvas_audits.tenant_id';
    const table = renderTable(
      [{ head: 'table' }, { head: 'path' }, { head: 'rows', align: 'right' }],
      [['public.canvas_snapshots', path, '1,234']],
      60,
    );
    const lines = table.split('\n');
    expect(lines.every((line) => line.length <= 60)).toBe(true);
    expect(table).toContain('1,234');
    const cells = lines.slice(2).map((line) =>
      line
        .slice(25)
        .replace(/1,234$/, '')
        .trim(),
    );
    expect(cells.join('').replaceAll(' ', '')).toBe(path.replaceAll(' ', ''));
  });
});

describe('a coloured cell', () => {
  it('stays whole beside one that is broken', () => {
    const green = '\u001B[32m✓\u001B[39m';
    const table = renderTable(
      [{ head: 'what' }, { head: '' }],
      [['rows of the kept tenant Brennan Machinery', green]],
      30,
    );
    expect(table).toContain(green);
    expect(table.split('\n')).toHaveLength(4);
  });
});

describe('options', () => {
  it.each([
    ['90s', 90_000],
    ['30m', 1_800_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
  ])('take the duration %s', (text, durationMs) => {
    expect(parseDuration(text, '--delay', 90 * 86_400_000)).toBe(durationMs);
  });

  it.each(['', 'soon', '5', '-1h', '1.5h', '91d'])('refuse the duration "%s"', (text) => {
    expect(() => parseDuration(text, '--delay', 90 * 86_400_000)).toThrow(
      expect.objectContaining({ code: 'USAGE' }),
    );
  });

  it('refuse a number out of bounds', () => {
    expect(parseCount('64', '--slots', { min: 1, max: 64 })).toBe(64);
    for (const text of ['0', '65', '1e3', 'two', '']) {
      expect(() => parseCount(text, '--slots', { min: 1, max: 64 })).toThrow(
        expect.objectContaining({ code: 'USAGE' }),
      );
    }
  });
});

describe('progress of a campaign', () => {
  it('adds up statuses over stages and counts ended purges', () => {
    const figures = { rowsDeleted: 5, rowsTotal: 10, redisKeysDeleted: 0 };
    const progress = progressOf([
      { status: 'running', stage: 'dependents', purges: 2, ...figures },
      { status: 'running', stage: 'core', purges: 1, ...figures },
      { status: 'completed', stage: 'seal', purges: 4, ...figures },
      { status: 'paused', stage: 'core', purges: 1, ...figures },
    ]);
    expect(progress).toMatchObject({ purges: 8, ended: 4, rowsDeleted: 20, rowsTotal: 40 });
    expect(progress.statuses.get('running')).toBe(3);
  });
});

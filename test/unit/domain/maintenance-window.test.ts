import { describe, expect, it } from 'vitest';
import { isOpen, parseMaintenanceWindow } from '../../../src/domain/maintenance-window.ts';

function openAt(window: string, moment: string): boolean {
  const parsed = parseMaintenanceWindow(window);
  if (parsed === null) throw new Error(`${window} is no window`);
  return isOpen(parsed, new Date(moment));
}

describe('A maintenance window', () => {
  it.each([
    // Winter: Berlin is an hour ahead of UTC.
    ['22:00-06:00 Europe/Berlin', '2026-01-10T20:59:59Z', false],
    ['22:00-06:00 Europe/Berlin', '2026-01-10T21:00:00Z', true],
    ['22:00-06:00 Europe/Berlin', '2026-01-11T04:59:59Z', true],
    ['22:00-06:00 Europe/Berlin', '2026-01-11T05:00:00Z', false],
    // Summer: two hours.
    ['22:00-06:00 Europe/Berlin', '2026-07-10T20:00:00Z', true],
    ['22:00-06:00 Europe/Berlin', '2026-07-11T04:00:00Z', false],
    ['09:00-17:00 UTC', '2026-01-10T12:00:00Z', true],
    ['09:00-17:00 UTC', '2026-01-10T17:00:00Z', false],
    ['00:00-24:00 UTC', '2026-01-10T23:59:59Z', true],
    ['23:30-00:00 UTC', '2026-01-10T23:45:00Z', true],
    ['23:30-00:00 UTC', '2026-01-11T00:00:00Z', false],
    ['01:00-05:30 Asia/Kolkata', '2026-01-10T23:59:00Z', true],
    ['01:00-05:30 Asia/Kolkata', '2026-01-11T00:00:00Z', false],
  ])('%s at %s: open %s', (window, moment, open) => {
    expect(openAt(window, moment)).toBe(open);
  });

  it.each([
    '22:00-06:00',
    '22-6 UTC',
    '25:00-06:00 UTC',
    '22:00-24:30 UTC',
    '22:00-22:00 UTC',
    '22:00-06:00 Europe/Berlinn',
    '',
  ])('is refused as %j', (text) => {
    expect(parseMaintenanceWindow(text)).toBeNull();
  });
});

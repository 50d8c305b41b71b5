/** A time of day in which purges may delete, e.g. `22:00-06:00 Europe/Berlin`. */
export interface MaintenanceWindow {
  /** As the operator wrote it. */
  readonly text: string;
  /** Minutes since midnight of the time zone; `end` before `start` means the next morning. */
  readonly startMinute: number;
  readonly endMinute: number;
  readonly timeZone: string;
}

const FORM = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d) (\S+)$/;
const DAY_MINUTES = 1_440;

/** Null where the text is no window: form, time zone, or a window of no length. Pure. */
export function parseMaintenanceWindow(text: string): MaintenanceWindow | null {
  const match = FORM.exec(text.trim());
  if (match === null) return null;
  const [startHour = 0, startMinutes = 0, endHour = 0, endMinutes = 0] = match
    .slice(1, 5)
    .map(Number);
  const timeZone = match[5] ?? '';
  const startMinute = startHour * 60 + startMinutes;
  const endMinute = endHour * 60 + endMinutes;
  if (startMinute === endMinute || endMinute > DAY_MINUTES || !isTimeZone(timeZone)) return null;
  return { text: text.trim(), startMinute, endMinute, timeZone };
}

/**
 * True at a moment inside the window, by the clock on the wall of its time zone: on the nights in
 * which that clock changes it is an hour longer or shorter. The end is outside.
 */
export function isOpen(window: MaintenanceWindow, now: Date): boolean {
  const minute = minuteOfDay(now, window.timeZone);
  const { startMinute, endMinute } = window;
  return startMinute < endMinute
    ? minute >= startMinute && minute < endMinute
    : minute >= startMinute || minute < endMinute;
}

/** Making one costs 50 µs; it is asked before every batch. */
const formats = new Map<string, Intl.DateTimeFormat>();

function minuteOfDay(now: Date, timeZone: string): number {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone,
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
    formats.set(timeZone, format);
  }
  const [hour = 0, minute = 0] = format.format(now).split(':').map(Number);
  return hour * 60 + minute;
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-GB', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/**
 * Loaded before each program of a round (`node --import`). Its wall clock is off by
 * CHAOS_CLOCK_SHIFT_MS, as on a host whose clock nobody sets; monotonic time is as it was. And it
 * ends with the process that started it, however that ends.
 */
const shiftMs = Number(process.env['CHAOS_CLOCK_SHIFT_MS'] ?? 0);
const RealDate = Date;

class ShiftedDate extends RealDate {
  constructor(...parts: readonly unknown[]) {
    if (parts.length === 0) super(RealDate.now() + shiftMs);
    else super(...(parts as [number]));
  }

  static override now(): number {
    return RealDate.now() + shiftMs;
  }
}

if (shiftMs !== 0) globalThis.Date = ShiftedDate as DateConstructor;

process.once('disconnect', () => process.exit());
process.channel?.unref();

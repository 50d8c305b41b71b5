const NUMBERS = new Intl.NumberFormat('en-US');

export const formatNumber = (value: number): string => NUMBERS.format(value);

export const plural = (count: number, noun: string): string =>
  `${formatNumber(count)} ${noun}${count === 1 ? '' : /(ch|s|x)$/.test(noun) ? 'es' : 's'}`;

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `512 B`, `1.4 MiB`. */
export function formatBytes(bytes: number): string {
  const unit = Math.min(BYTE_UNITS.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1_024 ** unit;
  return `${unit === 0 ? formatNumber(value) : value.toFixed(1)} ${BYTE_UNITS[unit] ?? ''}`;
}

/** `2026-03-01 04:05:06 UTC`: the server's, the operator's and the ledger's clock zones differ. */
export const formatTime = (time: Date): string =>
  `${time.toISOString().slice(0, 19).replace('T', ' ')} UTC`;

/** `45 s`, `3 min`, `2 h 10 min`, `3 d 4 h`; rounded up. */
export function formatDuration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Whole per cent, rounded down: 100 means all. Null where nothing is expected. */
export const percentOf = (done: number, total: number): number | null =>
  total === 0 ? null : Math.min(100, Math.floor((done * 100) / total));

const startedAt = performance.now();

/** One line on stderr for people who wait; stdout carries the answer. */
export function say(text: string): void {
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1).padStart(6);
  process.stderr.write(`${seconds} s  ${text}\n`);
}

export const count = (value: number): string => value.toLocaleString('en-US');

import { setTimeout as pause } from 'node:timers/promises';

const LOOK_EVERY_MS = 20;

/**
 * Waits for a condition: the first answer of `look` that is not null.
 * @param what the condition in words, for the error once `limitMs` is over
 * @param describe how things stand then
 */
export async function until<Answer>(
  what: string,
  limitMs: number,
  look: () => Promise<Answer | null> | Answer | null,
  describe?: () => Promise<string>,
): Promise<Answer> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const answer = await look();
    if (answer !== null) return answer;
    if (performance.now() > deadline) {
      const stands = describe === undefined ? '' : `; ${await describe()}`;
      throw new Error(`Waited ${limitMs} ms in vain: ${what}${stands}.`);
    }
    await pause(LOOK_EVERY_MS);
  }
}

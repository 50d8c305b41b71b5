import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';

const roundResultSchema = z.object({
  seed: z.number(),
  round: z.number(),
  only: z.string().nullable(),
  faults: z.array(z.string()),
  /** Faults that came when every purge had ended. */
  late: z.array(z.string()),
  passed: z.boolean(),
  problems: z.array(z.string()),
  statuses: z.record(z.string(), z.number()),
  rows: z.number(),
  takeovers: z.number(),
  /** Whether its purges archived. Absent in files of before. */
  archived: z.boolean().default(false),
  /** How the purge had ended that was then restored; null: none was. */
  restored: z.string().nullable().default(null),
  rowsRestored: z.number().default(0),
  durationMs: z.number(),
});

/** What a round came to; one line of the file. */
export type RoundResult = Readonly<z.infer<typeof roundResultSchema>>;

/** Rounds that the file holds, oldest first; none where there is no file. @throws Error */
export function readResults(file: string): RoundResult[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line, index) => {
      if (line.trim() === '') return [];
      try {
        return [roundResultSchema.parse(JSON.parse(line))];
      } catch (cause) {
        throw new Error(`Line ${index + 1} of ${file} is no round.`, { cause });
      }
    });
}

/** Appended round by round: a run that is killed loses the round it was at. */
export function appendResult(file: string, result: RoundResult): void {
  appendFileSync(file, `${JSON.stringify(result)}\n`);
}

import { randomUUID } from 'node:crypto';
import { open, rename, rm, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';
import type { DiagnosisSink, DiagnosisSummary } from '../../../src/diagnosis/diagnose.ts';
import { ReportDocument, type WriteText } from '../../../src/diagnosis/report-document.ts';
import { EXIT, PurgeError } from '../../../src/domain/errors.ts';
import { diagnoseTenants } from '../../../src/runtime/diagnose.ts';
import { type Answer, defineCommand, readOptions, type Session } from '../command.ts';
import type { OutputStream } from '../io.ts';
import { renderDiagnosis } from '../output/diagnosis.ts';

const optionsSchema = z.object({
  out: z.string().min(1).optional(),
  asOf: z.iso
    .datetime({ offset: true, error: 'must be a moment such as 2026-03-01T00:00:00Z' })
    .or(z.iso.date())
    .transform((text) => new Date(text))
    .optional(),
});
type Options = z.output<typeof optionsSchema>;

/** Which tenants are test data, with the evidence. Reads only. */
export const diagnose = defineCommand<Options>({
  usage: 'diagnose',
  summary: 'Which tenants are test data: evidence, score and recommendation; reads only',
  examples: [
    'diagnose',
    'diagnose --out report.json',
    'diagnose --json > report.json',
    'enqueue --from report.json --dry-run',
  ],
  describe: (command) =>
    command
      .option('--out <file>', 'write the report, which enqueue --from takes, to this file')
      .option('--as-of <time>', 'judge as if it were this moment (default: now)'),
  validate: (raw) => readOptions(optionsSchema, raw),
  handlesInterrupt: true,
  run: async (session, options) => {
    const { out } = options;
    if (out !== undefined) {
      return withReportFile(resolve(session.io.cwd, out), async (write) => {
        const { answer, summary } = await report(session, options, write);
        return { ...answer, document: { out, ...summary } };
      });
    }
    const write = session.json ? toStream(session.io.stdout) : null;
    const { answer } = await report(session, options, write);
    return { ...answer, document: undefined };
  },
});

async function report(
  session: Session,
  { out, asOf }: Options,
  write: WriteText | null,
): Promise<{ readonly answer: Omit<Answer, 'document'>; readonly summary: DiagnosisSummary }> {
  const config = await session.config();
  const document = write === null ? null : new ReportDocument(write, config.environment);
  const { summary, tally } = await diagnoseTenants(config, document ?? NOWHERE, {
    asOf: asOf ?? null,
    signal: session.io.interrupted,
  });
  await document?.end(summary);
  const { colors, columns } = session;
  return {
    summary,
    answer: {
      exitCode: EXIT.done,
      text: renderDiagnosis(summary, { tally, colors, columns, out: out ?? null }),
    },
  };
}

const NOWHERE: DiagnosisSink = {
  begin: () => Promise.resolve(),
  tenants: () => Promise.resolve(),
};

/** Names and addresses of customers stand in it: for nobody but its owner. */
const OWNER_ONLY = 0o600;

/** The file is there complete, or not at all; an earlier one of its name stays until then. */
async function withReportFile<Result>(
  path: string,
  work: (write: WriteText) => Promise<Result>,
): Promise<Result> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (isFolder) throw new PurgeError('USAGE', `--out: ${path} is a folder; name a file in it.`);
  // Not by process id: in a container every run has the same, and a killed one leaves its file.
  const unfinished = `${path}.${randomUUID()}.unfinished`;
  const file = await open(unfinished, 'wx', OWNER_ONLY).catch((cause: unknown) => {
    throw new PurgeError('USAGE', `--out: ${String(cause)}.`, { cause });
  });
  try {
    const result = await work(async (text) => {
      // Unlike write() it goes on where the file system took a part only.
      await file.writeFile(text);
    });
    await file.sync();
    await file.close();
    await rename(unfinished, path);
    return result;
  } catch (thrown) {
    await file.close();
    await rm(unfinished, { force: true });
    throw thrown;
  }
}

const toStream =
  (stream: OutputStream): WriteText =>
  (text) =>
    new Promise((done, fail) => {
      stream.write(text, (error) => (error ? fail(error) : done()));
    });

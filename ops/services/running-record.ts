import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { errorCode, readCommandLine, sendSignal, waitUntil } from './processes.ts';

/** A process of an earlier run, and a text its command line must hold to be ours still. */
export type RecordedProcess = { readonly pid: number; readonly mark: string };

/** `services.json`: who runs on this folder now. The only source of pids that may be ended. */
type RunningRecord = {
  readonly guardian: RecordedProcess;
  readonly servers: readonly RecordedProcess[];
  /** The guardian is on its way out: worth waiting for. */
  readonly ending: boolean;
};

const recordFile = 'services.json';
const leftoverLimitMs = 20_000;
/** How long a guardian may take to notice that its caller was killed. */
const noticeLimitMs = 1_500;
/** How long an ending guardian may take for its servers. */
const endingLimitMs = 75_000;

/**
 * Claims the folder for this process. A guardian that was killed is succeeded: its servers are
 * ended first; one that is ending is waited for. Throws when a living one holds the folder.
 */
export async function claimFolder(dataDir: string): Promise<void> {
  const record = readRecord(dataDir);
  if (record !== undefined) {
    if (!(await ends(dataDir, record.guardian))) {
      throw new Error(
        `Another run (process ${record.guardian.pid}) already uses ${resolve(dataDir)}. ` +
          'End it first, or choose another folder.',
      );
    }
    for (const server of record.servers) await endLeftover(server);
    rmSync(join(dataDir, recordFile), { force: true });
  }
  const draft = writeDraft(dataDir, { servers: [], ending: false });
  try {
    linkSync(draft, join(dataDir, recordFile)); // fails where another run has claimed meanwhile
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    throw new Error(
      `Another run claimed ${resolve(dataDir)} at this moment. Try again; if none is running, ` +
        `remove ${recordFile} there.`,
      { cause: error },
    );
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Writes down the servers started so far, and that the guardian is ending them. */
export function updateRecord(
  dataDir: string,
  state: { readonly servers: readonly RecordedProcess[]; readonly ending: boolean },
): void {
  renameSync(writeDraft(dataDir, state), join(dataDir, recordFile));
}

export function releaseFolder(dataDir: string): void {
  rmSync(join(dataDir, recordFile), { force: true });
}

/** The record of a folder, or undefined when no run holds it or one has ended in order. */
export function readRecord(dataDir: string): RunningRecord | undefined {
  let text: string;
  try {
    text = readFileSync(join(dataDir, recordFile), 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const record: RunningRecord = JSON.parse(text);
    return record;
  } catch {
    return undefined; // damaged: it names nobody
  }
}

/** Whether the process lives and still is the one that was recorded (ids are used again). */
export function isAlive({ pid, mark }: RecordedProcess): boolean {
  return readCommandLine(pid)?.includes(mark) ?? false;
}

async function endLeftover(server: RecordedProcess): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if (!isAlive(server)) return;
    sendSignal(server.pid, signal);
    if (await waitUntil(() => !isAlive(server), leftoverLimitMs)) return;
  }
}

async function ends(dataDir: string, guardian: RecordedProcess): Promise<boolean> {
  const hasEnded = (): boolean => !isAlive(guardian);
  const isEnding = (): boolean => readRecord(dataDir)?.ending ?? true;
  await waitUntil(() => hasEnded() || isEnding(), noticeLimitMs);
  return hasEnded() || (isEnding() && (await waitUntil(hasEnded, endingLimitMs)));
}

/** Readers see a whole record or none: it is put in place by link or rename. */
function writeDraft(dataDir: string, state: Omit<RunningRecord, 'guardian'>): string {
  const guardian = { pid: process.pid, mark: resolve(dataDir) };
  const draft = join(dataDir, `${recordFile}.${process.pid}`);
  writeFileSync(draft, JSON.stringify({ guardian, ...state } satisfies RunningRecord));
  return draft;
}

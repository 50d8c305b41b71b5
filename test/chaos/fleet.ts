import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../support/until.ts';
import type { Programs } from './programs.ts';

export type Role = 'worker' | 'reconciler';

/** How a seat's process is started. */
export interface SeatOptions {
  readonly role: Role;
  readonly environment: Readonly<Record<string, string>>;
}

/** A process of the fleet. */
export interface Member {
  readonly seat: number;
  readonly role: Role;
  readonly child: ChildProcess;
  /** Settles when it has ended. */
  readonly exited: Promise<void>;
  log(): string;
  /** Its log goes where nobody reads it, e.g. to a full disk. */
  readonly isMute: boolean;
}

export interface CommandResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface FleetPlace {
  readonly programs: Programs;
  /** A folder of this round's own. */
  readonly folder: string;
  readonly configuration: object;
  readonly environment: Readonly<Record<string, string>>;
  /** In the environment of every process of this round, and of those they start. */
  readonly mark: string;
}

const RESTART_AFTER_MS = 300;
const COMMAND_MAX_MS = 60_000;
const LOG_TAIL = 3_000;
/** What a process ends with that could not begin: a supervisor starts it again. */
const NOT_BEGUN = 2;

/**
 * The program's processes of one round. Each seat is kept filled, as by a supervisor; what ended
 * without having been told to is remembered, for the audit.
 */
export class Fleet {
  readonly #place: FleetPlace;
  readonly #seats: (SeatOptions & { member: Member | null })[] = [];
  readonly #all: Member[] = [];
  readonly #sentenced = new Set<Member>();
  readonly #crashes: string[] = [];
  #closing = false;

  constructor(place: FleetPlace) {
    this.#place = place;
    mkdirSync(place.folder, { recursive: true });
    writeFileSync(join(place.folder, 'purge.config.json'), JSON.stringify(place.configuration));
  }

  /** Adds a seat and fills it. */
  add(options: SeatOptions): Member {
    this.#seats.push({ ...options, member: null });
    return this.#fill(this.#seats.length - 1);
  }

  /** Processes of this role that are there now. */
  members(role: Role): Member[] {
    return this.#seats.flatMap(({ member }) => (member?.role === role ? [member] : []));
  }

  /** Ends a process by a signal; its seat is filled again after `emptyMs`, or stays empty. */
  async replace(
    member: Member,
    signal: 'SIGKILL' | 'SIGTERM',
    options: { readonly emptyMs: number; readonly environment?: Readonly<Record<string, string>> },
  ): Promise<void> {
    this.#sentenced.add(member);
    const seat = this.#seats[member.seat];
    if (seat?.member === member) seat.member = null;
    member.child.kill(signal);
    await member.exited;
    if (signal === 'SIGTERM' && member.child.exitCode !== 0) {
      this.#crashes.push(`${describe(member)} was told to end and ended with ${how(member)}`);
    }
    await pause(options.emptyMs);
    if (this.#closing || seat === undefined) return;
    if (options.environment !== undefined) {
      this.#seats[member.seat] = {
        ...seat,
        environment: { ...seat.environment, ...options.environment },
      };
    }
    this.#fill(member.seat);
  }

  /** Back to an ordinary environment at the next start, e.g. without a failpoint. */
  expectDeath(member: Member, environment: Readonly<Record<string, string>>): void {
    this.#sentenced.add(member);
    const seat = this.#seats[member.seat];
    if (seat === undefined) return;
    this.#seats[member.seat] = { ...seat, environment };
  }

  environmentOf(member: Member): Readonly<Record<string, string>> {
    return this.#seats[member.seat]?.environment ?? {};
  }

  /** A command line of an operator; `environment` over that of the round. */
  async command(
    argv: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<CommandResult> {
    const { programs, folder } = this.#place;
    const child = spawn(process.execPath, ['--import', programs.preload, programs.cli, ...argv], {
      cwd: folder,
      env: { ...this.#environment(environment), LOG_LEVEL: 'warn' },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const text = { stdout: '', stderr: '' };
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (text.stdout += chunk));
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (text.stderr += chunk));
    const timer = setTimeout(() => child.kill('SIGKILL'), COMMAND_MAX_MS);
    await once(child, 'close');
    clearTimeout(timer);
    return { exitCode: child.exitCode, ...text };
  }

  /** Ends every process in order; one that does not end in time is killed, and remembered. */
  async close(limitMs: number): Promise<void> {
    this.#closing = true;
    const left = this.#all.filter(
      ({ child }) => child.exitCode === null && child.signalCode === null,
    );
    for (const member of left) {
      this.#sentenced.add(member);
      member.child.kill('SIGCONT');
      member.child.kill('SIGTERM');
    }
    const ended = Promise.all(left.map(({ exited }) => exited));
    await Promise.race([ended, pause(limitMs, undefined, { ref: false })]);
    for (const member of left) {
      const { exitCode, signalCode } = member.child;
      if (exitCode === null && signalCode === null) {
        this.#crashes.push(`${describe(member)} did not end within ${limitMs} ms of SIGTERM`);
        member.child.kill('SIGKILL');
      } else if (exitCode !== 0 && exitCode !== NOT_BEGUN) {
        this.#crashes.push(`${describe(member)} was told to end and ended with ${how(member)}`);
      }
    }
    await ended;
  }

  /** What ended without having been told to, or not as it was told. */
  get crashes(): readonly string[] {
    return this.#crashes;
  }

  /** Logs by process, for the evidence. */
  logs(): Record<string, string> {
    return Object.fromEntries(this.#all.map((member) => [describe(member), member.log()]));
  }

  #fill(seatNumber: number): Member {
    const seat = this.#seats[seatNumber];
    if (seat === undefined) throw new Error(`no seat ${seatNumber}`);
    const member = this.#start(seatNumber, seat);
    seat.member = member;
    this.#all.push(member);
    void member.exited.then(() => this.#ended(member));
    return member;
  }

  #start(seatNumber: number, { role, environment }: SeatOptions): Member {
    const { programs, folder } = this.#place;
    const logFile = environment['CHAOS_LOG'];
    const stderr = logFile === undefined ? ('pipe' as const) : openSync(logFile, 'a');
    const child = spawn(process.execPath, ['--import', programs.preload, programs[role]], {
      cwd: folder,
      env: { ...this.#environment(environment), LOG_LEVEL: 'info' },
      stdio: ['ignore', 'pipe', stderr, 'ipc'],
    });
    if (typeof stderr === 'number') closeSync(stderr);
    let log = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (chunk: string) => (log += chunk));
    }
    const exited = once(child, 'exit').then(() => undefined);
    const isMute = typeof stderr === 'number';
    return { seat: seatNumber, role, child, exited, log: () => log, isMute };
  }

  async #ended(member: Member): Promise<void> {
    const seat = this.#seats[member.seat];
    const begun = member.log().includes('"ready"');
    const notBegun = member.child.exitCode === NOT_BEGUN && !begun;
    if (!this.#sentenced.has(member) && !notBegun) {
      const tail = member.log().slice(-LOG_TAIL);
      this.#crashes.push(`${describe(member)} ended by itself with ${how(member)}:\n${tail}`);
    }
    if (seat === undefined || seat.member !== member) return;
    seat.member = null;
    await pause(RESTART_AFTER_MS);
    if (!this.#closing && seat.member === null) this.#fill(member.seat);
  }

  #environment(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
    return {
      PATH: process.env['PATH'],
      ...this.#place.environment,
      ...more,
      CHAOS_ROUND: this.#place.mark,
    };
  }
}

/** Resolves when the process says that it takes jobs, or has ended. */
export async function untilReady(member: Member): Promise<void> {
  await until(`${describe(member)} is ready`, 30_000, () =>
    member.log().includes('"ready"') ||
    member.child.exitCode !== null ||
    member.child.signalCode !== null
      ? true
      : null,
  );
}

const describe = ({ role, seat, child }: Member): string => `${role} ${seat} (pid ${child.pid})`;

const how = ({ child }: Member): string => child.signalCode ?? `exit code ${child.exitCode}`;

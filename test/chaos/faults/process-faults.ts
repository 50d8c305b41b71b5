import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { FAILPOINTS } from '../../../src/engine/failpoints.ts';
import type { Draw } from '../draw.ts';
import { type Member, untilReady } from '../fleet.ts';
import type { Stage } from '../stage.ts';

/** Linux's device on which every write finds no room. */
const FULL = '/dev/full';
const FAILPOINT_MAX_MS = 2_500;
const RECONCILE_COMMANDS = 3;

export function anyWorker(stage: Stage, draw: Draw): Member | null {
  const [first, ...rest] = stage.fleet.members('worker');
  return first === undefined ? null : draw.pick([first, ...rest]);
}

export async function killWorker(stage: Stage, draw: Draw): Promise<void> {
  for (let kills = draw.whole(1, 3); kills > 0; kills -= 1) {
    const victim = anyWorker(stage, draw);
    if (victim === null) return;
    stage.note(`SIGKILL of seat ${victim.seat}`);
    await stage.fleet.replace(victim, 'SIGKILL', { emptyMs: draw.whole(0, 400) });
    await pause(draw.whole(50, 600));
  }
}

/** As where the machine goes down with everything on it. */
export async function killAll(stage: Stage, draw: Draw): Promise<void> {
  const emptyMs = draw.whole(0, 2_500);
  stage.note(`SIGKILL of every worker, back in ${emptyMs} ms`);
  const victims = stage.fleet.members('worker');
  await Promise.all(victims.map((one) => stage.fleet.replace(one, 'SIGKILL', { emptyMs })));
}

export async function shutDownWorker(stage: Stage, draw: Draw): Promise<void> {
  const victim = anyWorker(stage, draw);
  // A worker that cannot say that it is ready may not be so yet.
  if (victim === null || victim.isMute) return;
  await untilReady(victim); // before that there is nothing to shut down
  stage.note(`SIGTERM to seat ${victim.seat}`);
  await stage.fleet.replace(victim, 'SIGTERM', { emptyMs: draw.whole(0, 500) });
}

/** Replaces a worker by one that dies at a named point, and that one by an ordinary one. */
export async function dieAtFailpoint(stage: Stage, draw: Draw): Promise<void> {
  const victim = anyWorker(stage, draw);
  if (victim === null) return;
  const { seat } = victim;
  const name = draw.pick([...FAILPOINTS] as [string, ...string[]]);
  const point = `${name}:${name.includes('batch') || name === 'before-commit' ? draw.whole(1, 20) : 1}`;
  const ordinary = stage.fleet.environmentOf(victim);
  stage.note(`seat ${seat} is to die at ${point}`);
  await stage.fleet.replace(victim, 'SIGKILL', {
    emptyMs: 0,
    environment: { TENANT_PURGE_FAILPOINT: point },
  });
  const doomed = stage.fleet.members('worker').find((member) => member.seat === seat);
  if (doomed === undefined) return;
  stage.fleet.expectDeath(doomed, ordinary);
  await Promise.race([doomed.exited, pause(FAILPOINT_MAX_MS, undefined, { ref: false })]);
  if (doomed.child.signalCode !== null || doomed.child.exitCode !== null) {
    stage.note(`seat ${seat} died at ${point}`);
    return;
  }
  stage.note(`seat ${seat} never came to ${point}`);
  await stage.fleet.replace(doomed, 'SIGKILL', { emptyMs: 0, environment: ordinary });
}

/** For how long a worker is frozen, from and to. */
export const FROZEN_MS = [1_500, 4_000] as const;

/** Beyond its lock: another worker takes the job, and then the first one wakes. */
export async function freezeWorker(stage: Stage, draw: Draw): Promise<void> {
  const victim = anyWorker(stage, draw);
  if (victim === null) return;
  const frozenMs = draw.whole(...FROZEN_MS);
  stage.note(`SIGSTOP of seat ${victim.seat} for ${frozenMs} ms`);
  victim.child.kill('SIGSTOP');
  await pause(frozenMs);
  victim.child.kill('SIGCONT');
  stage.note(`SIGCONT of seat ${victim.seat}`);
}

export async function fillLog(stage: Stage, draw: Draw): Promise<void> {
  const victim = anyWorker(stage, draw);
  if (victim === null || !existsSync(FULL)) return;
  stage.note(`seat ${victim.seat} gets a log without room`);
  await stage.fleet.replace(victim, 'SIGKILL', {
    emptyMs: 0,
    environment: { CHAOS_LOG: FULL },
  });
}

export async function reconcileInCrowds(stage: Stage, draw: Draw): Promise<void> {
  stage.note('two reconcilers begin');
  const proxies = stage.postgresProxies;
  for (let added = 0; added < 2; added += 1) {
    const port = proxies[added % proxies.length]?.port;
    stage.fleet.add({
      role: 'reconciler',
      environment: { DATABASE_URL: urlAt(stage.databaseUrl, port) },
    });
  }
  for (let commands = 0; commands < RECONCILE_COMMANDS; commands += 1) {
    await Promise.all([stage.fleet.command(['reconcile']), stage.fleet.command(['reconcile'])]);
    await pause(draw.whole(0, 300));
  }
}

function urlAt(databaseUrl: string, port: number | undefined): string {
  const url = new URL(databaseUrl);
  if (port !== undefined) url.port = String(port);
  return url.href;
}

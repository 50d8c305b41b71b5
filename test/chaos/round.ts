import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { redisChecksum } from '../support/catalogue-checksum.ts';
import { until } from '../support/until.ts';
import { isKeyOf } from './application.ts';
import { auditArchives, type Keys } from './audit-archive.ts';
import { auditLedger } from './audit-ledger.ts';
import { findOrphans, findSessions } from './audit-processes.ts';
import { auditRestore, type RestoreAudit } from './audit-restore.ts';
import {
  auditRows,
  findChanged,
  type Holdings,
  readBooked,
  readHoldings,
  readWritten,
  rememberContents,
} from './audit-rows.ts';
import { auditShown } from './audit-shown.ts';
import { auditStatuses } from './audit-statuses.ts';
import { gatherEvidence } from './evidence.ts';
import { inject } from './faults/inject.ts';
import type { FaultKind } from './faults/kinds.ts';
import { FROZEN_MS } from './faults/process-faults.ts';
import type { Programs } from './programs.ts';
import type { RoundResult } from './progress-file.ts';
import type { PlannedFault, RoundPlan } from './round-plan.ts';
import { endFleet, type Scene, setUp, tearDown } from './scene.ts';
import type { ChaosServers } from './servers.ts';
import type { Stage } from './stage.ts';

export interface RoundParts {
  readonly servers: ChaosServers;
  readonly programs: Programs;
  /** Where the evidence of a failed round is left. */
  readonly evidenceFolder: string;
  /** A round whose purges have not all ended by then has failed. */
  readonly limitMs: number;
  readonly onNote: (text: string) => void;
}

export type RoundOutcome = Omit<RoundResult, 'seed' | 'round' | 'only' | 'faults'>;

/** A fault is not waited for any longer while no row goes. */
const STANDSTILL_MAX_MS = 4_000;
const LOOK_EVERY_MS = 40;
/** With these keys of tenants go that nobody has archived. */
const LOSES_KEYS: readonly FaultKind[] = ['redis-flush', 'redis-crash'];

/** Builds an application, purges it under the plan's faults, and audits what is left. */
export async function runRound(plan: RoundPlan, parts: RoundParts): Promise<RoundOutcome> {
  const startedAt = performance.now();
  const scene = await setUp(plan, parts);
  const problems: string[] = [];
  const late: string[] = [];
  let end: Awaited<ReturnType<typeof audit>> | null = null;
  try {
    const before = await remember(scene, plan);
    const campaignId = await enqueue(scene, plan);
    const stage = { ...scene, campaignId };
    const faults = plan.faults.map(async (fault) => {
      try {
        if (!(await comeTo(stage, fault, before.doomedRows))) late.push(fault.kind);
        await inject(fault.kind, stage, fault.seed);
      } catch (error) {
        problems.push(`the fault ${fault.kind} could not be carried out: ${String(error)}`);
      }
    });
    await Promise.all(faults);
    problems.push(...(await untilEnded(stage, parts.limitMs)));
    if (problems.length === 0) problems.push(...(await auditShown(stage)));
    end = await audit(stage, before, problems);
    problems.push(...end.problems);
    if (problems.length > 0) {
      const folder = join(parts.evidenceFolder, `seed-${plan.seed}-round-${plan.round}`);
      await gatherEvidence(folder, stage, { plan, problems, notes: scene.notes });
      problems.push(`evidence: ${folder}`);
    }
  } finally {
    await tearDown(scene);
  }
  return {
    late,
    passed: problems.length === 0,
    problems,
    statuses: end.statuses,
    rows: end.rows,
    takeovers: end.takeovers,
    archived: plan.archives,
    restored: end.restore?.restored ?? null,
    rowsRestored: end.restore?.rowsRestored ?? 0,
    durationMs: Math.round(performance.now() - startedAt),
  };
}

interface Before {
  readonly holdings: Holdings;
  readonly keys: Keys;
  readonly doomedRows: number;
}

async function remember({ pool, redis }: Scene, plan: RoundPlan): Promise<Before> {
  const holdings = await readHoldings(pool);
  await rememberContents(pool);
  const doomed = plan.tenants.filter(({ kept }) => !kept).map(({ id }) => id);
  let doomedRows = 0;
  for (const owners of holdings.values()) {
    for (const id of doomed) doomedRows += owners.get(id)?.rows ?? 0;
  }
  return { holdings, keys: await redisChecksum(redis, { except: [] }), doomedRows };
}

/** The fleet starts beside the command, as it may. Gives the campaign. */
async function enqueue(scene: Scene, plan: RoundPlan): Promise<string> {
  for (let seat = 0; seat < plan.workers; seat += 1) {
    const shiftMs = plan.clockShiftsMs[seat] ?? 0;
    scene.fleet.add({
      role: 'worker',
      environment: {
        DATABASE_URL: scene.servers.postgresUrl(scene.database, scene.postgresProxies[seat]?.port),
        ...(shiftMs === 0 ? {} : { CHAOS_CLOCK_SHIFT_MS: String(shiftMs) }),
      },
    });
  }
  const kept = plan.tenants.filter(({ kept: isKept }) => isKept).map(({ id }) => id);
  const phrase = `DELETE ${plan.tenants.length - kept.length} TENANTS`;
  const confirmed = plan.archives ? [phrase] : [`${phrase} FOREVER`, '--no-archive'];
  const asked = ['enqueue', '--all-except', ...kept, '--json', '--confirm', ...confirmed];
  const { exitCode, stdout, stderr } = await scene.fleet.command(asked);
  if (exitCode !== 0) throw new Error(`enqueue ended with ${exitCode}:\n${stdout}\n${stderr}`);
  const { campaignId } = JSON.parse(stdout) as { readonly campaignId: string };
  // Older than the seconds which the enqueueing command itself has to add its jobs.
  await scene.pool.query(
    `update tenant_purge.purge set created_at = created_at - interval '1 minute'`,
  );
  scene.note('enqueued');
  return campaignId;
}

/** Waits for a fault's moment. False when every purge has ended before. */
async function comeTo(stage: Stage, fault: PlannedFault, doomedRows: number): Promise<boolean> {
  let gone = -1;
  let movedAt = performance.now();
  for (;;) {
    const seen = await look(stage);
    if (seen !== null && seen.live === 0) return false;
    if (seen !== null && seen.gone >= fault.moment * doomedRows) return true;
    if (seen !== null && seen.gone !== gone) {
      gone = seen.gone;
      movedAt = performance.now();
    }
    if (performance.now() - movedAt > STANDSTILL_MAX_MS) return true;
    await pause(LOOK_EVERY_MS);
  }
}

/** Null while PostgreSQL is away. */
async function look({ pool }: Stage): Promise<{ gone: number; live: number } | null> {
  try {
    const { rows } = await pool.query(
      `select (select coalesce(sum(rows), 0)::int from tenant_purge.batch
               where kind = 'delete' and stage <> 'redis') as gone,
              (select count(*)::int from tenant_purge.purge where status not in
               ('completed', 'cancelled', 'failed', 'refused', 'incomplete')) as live`,
    );
    return rows[0] ?? null;
  } catch {
    return null;
  }
}

async function untilEnded(stage: Stage, limitMs: number): Promise<string[]> {
  try {
    await until('every purge has ended', limitMs, async () =>
      (await look(stage))?.live === 0 ? true : null,
    );
    stage.note('every purge has ended');
    return [];
  } catch {
    const { rows } = await stage.pool.query(
      `select tenant_id, status, stage, fence, job_number, parked, worker, error->>'message' as error
       from tenant_purge.purge where status not in
       ('completed', 'cancelled', 'failed', 'refused', 'incomplete')`,
    );
    return rows.map((row) => `not ended after ${limitMs} ms: ${JSON.stringify(row)}`);
  }
}

async function audit(
  stage: Stage & Scene,
  before: Before,
  earlier: readonly string[],
): Promise<{
  problems: string[];
  statuses: Readonly<Record<string, number>>;
  rows: number;
  takeovers: number;
  /** Null where nothing was restored, for want of an archive or because something is wrong already. */
  restore: RestoreAudit | null;
}> {
  await endFleet(stage);
  const { pool, redis, plan } = stage;
  const problems = [
    ...stage.fleet.crashes,
    ...findOrphans(stage.mark),
    ...(await findSessions(pool)),
  ];
  const after = await readHoldings(pool);
  const [written, booked] = [await readWritten(pool), await readBooked(pool)];
  problems.push(...auditRows(plan.tenants, { before: before.holdings, after, written, booked }));
  problems.push(...(await findChanged(pool)));
  const isFrozen = plan.faults.some(({ kind }) => kind === 'freeze');
  problems.push(...(await auditLedger(pool, isFrozen ? FROZEN_MS[1] : 0)));
  const ends = await auditStatuses(pool, redis, plan.tenants, after);
  problems.push(...ends.problems);
  const doomed = plan.tenants.filter(({ kept }) => !kept).map(({ id }) => id);
  const keys = await redisChecksum(redis, { except: [] });
  for (const key of new Set([...keys.keys(), ...before.keys.keys()])) {
    if (doomed.some((id) => isKeyOf(id, key))) continue;
    if (keys.get(key) !== before.keys.get(key)) problems.push(`the key ${key} is not as it was`);
  }
  const seen = {
    before: before.holdings,
    after,
    written,
    keysBefore: before.keys,
    keysAfter: keys,
    keysLostTo: plan.faults.find(({ kind }) => LOSES_KEYS.includes(kind))?.kind ?? null,
  };
  if (plan.archives) problems.push(...(await auditArchives({ ...stage, ...seen })));
  const { rows } = await pool.query(
    'select coalesce(sum(fence - 1), 0)::int as n from tenant_purge.purge where fence > 0',
  );
  const isSound = earlier.length === 0 && problems.length === 0;
  const restore = plan.archives && isSound ? await auditRestore(stage, seen) : null;
  problems.push(...(restore?.problems ?? []));
  return {
    problems,
    restore,
    statuses: ends.statuses,
    rows: [...booked.values()].reduce((sum, one) => sum + one, 0),
    takeovers: rows[0]?.n ?? 0,
  };
}

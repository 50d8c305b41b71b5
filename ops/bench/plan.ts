import { Client } from 'pg';
import { makePlan } from '../../src/planner/make-plan.ts';
import type { PlanRules } from '../../src/planner/rules.ts';
import { readCatalogue } from '../../src/postgres/catalogue/catalogue-reader.ts';
import { inTransaction, openDatabase, READ_ONLY } from '../../src/postgres/database.ts';
import { median, round, timed } from './measure.ts';
import { planSchema } from './plan-schema.ts';
import { count, say } from './progress.ts';
import type { Servers } from './servers.ts';

const RUNS = 5;
const TABLES = 1_000;
const FOREIGN_KEYS = 2_000;
const PLANNING_MS_WANTED = 300;
/** A transaction that creates so much needs more locks than a server has by default. */
const STATEMENTS_AT_ONCE = 500;

const RULES: PlanRules = {
  tenant: {
    table: 'public.tenants',
    key: null,
    label: 'name',
    testColumn: null,
    columns: ['tenant_id'],
  },
  core: [],
  tables: {},
};

/** What the plan of a large schema costs; there is no plain way to compare it with. */
export interface PlanReport {
  readonly kind: 'plan';
  /** Medians, in milliseconds. */
  readonly catalogueMs: number;
  readonly planningMs: number;
  readonly wantedPlanningMs: number;
  readonly met: boolean;
  readonly catalogueRunsMs: readonly number[];
  readonly planningRunsMs: readonly number[];
  readonly tables: number;
  readonly foreignKeys: number;
  readonly levels: number;
  readonly hazards: number;
}

/** Reads and plans a schema of 1,000 tables and 2,000 keys, five times, each time from nothing. */
export async function benchPlan(servers: Servers, scale: number): Promise<PlanReport> {
  const schema = planSchema({
    tables: Math.round(TABLES * scale),
    keys: Math.round(FOREIGN_KEYS * scale),
  });
  say(`plan: ${count(schema.tables)} tables, ${count(schema.foreignKeys)} foreign keys`);
  const template = await servers.template((url) => create(url, schema.statements));
  try {
    return await template.withCopy(measure);
  } finally {
    await template.drop();
  }
}

async function create(url: string, statements: readonly string[]): Promise<void> {
  const client = new Client(url);
  await client.connect();
  try {
    for (let start = 0; start < statements.length; start += STATEMENTS_AT_ONCE) {
      await client.query(statements.slice(start, start + STATEMENTS_AT_ONCE).join(';\n'));
    }
  } finally {
    await client.end();
  }
}

async function measure(url: string): Promise<PlanReport> {
  const applicationName = 'tenant-purge-bench';
  const database = await openDatabase({ url, connectionsMax: 1, applicationName });
  try {
    const runs = [];
    for (let run = 1; run <= RUNS; run += 1) {
      const reading = await timed(() => inTransaction(database.pool, READ_ONLY, readCatalogue));
      const planning = await timed(async () => makePlan(reading.result, RULES));
      const catalogueMs = round(reading.seconds * 1_000, 1);
      const planningMs = round(planning.seconds * 1_000, 1);
      say(`plan ${run}: catalogue ${catalogueMs} ms, planning ${planningMs} ms`);
      runs.push({ catalogueMs, planningMs, catalogue: reading.result, plan: planning.result });
    }
    const [first] = runs;
    const planningMs = median(runs.map((run) => run.planningMs));
    return {
      kind: 'plan',
      catalogueMs: median(runs.map((run) => run.catalogueMs)),
      planningMs,
      wantedPlanningMs: PLANNING_MS_WANTED,
      met: planningMs <= PLANNING_MS_WANTED,
      catalogueRunsMs: runs.map((run) => run.catalogueMs),
      planningRunsMs: runs.map((run) => run.planningMs),
      tables: first?.catalogue.tables.length ?? 0,
      foreignKeys: first?.catalogue.foreignKeys.length ?? 0,
      levels: first?.plan.levels.length ?? 0,
      hazards: first?.plan.hazards.length ?? 0,
    };
  } finally {
    await database.close();
  }
}

/** For people; a line without the last newline. */
export const describePlanReport = (report: PlanReport): string =>
  `plan: catalogue ${report.catalogueMs} ms, planning ${report.planningMs} ms ` +
  `(wanted ≤ ${report.wantedPlanningMs} ms: ${report.met ? 'met' : 'MISSED'}); ` +
  `${count(report.tables)} tables, ${count(report.foreignKeys)} foreign keys, ` +
  `${count(report.levels)} levels, ${count(report.hazards)} hazards`;

import { LivePlan } from '../engine/live-plan.ts';
import type { PlanRules } from '../planner/rules.ts';
import { type Database, inTransaction, READ_ONLY } from '../postgres/database.ts';
import { readPlan } from '../postgres/read-plan.ts';

/** The plan of the database as it is, read again as the engine asks for it. */
export const livePlanOf = (database: Database, rules: PlanRules): LivePlan =>
  new LivePlan(() =>
    inTransaction(database.pool, READ_ONLY, async (client) => readPlan(client, rules)),
  );

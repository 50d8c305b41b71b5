import type { Draw } from '../draw.ts';
import type { Stage } from '../stage.ts';
import { insist } from './insist.ts';
import { watchStop } from './watch-stop.ts';

/** A tenant whose purge is under way, as far as there is one. */
async function anyDoomed(stage: Stage, draw: Draw): Promise<string> {
  const live = await stage.pool
    .query<{ tenant_id: string }>(
      `select tenant_id from tenant_purge.purge where ended_at is null
       order by status <> 'running', tenant_id`,
    )
    .then(({ rows }) => rows.map((row) => row.tenant_id))
    .catch(() => []);
  const doomed = stage.plan.tenants.filter(({ kept }) => !kept).map(({ id }) => id);
  const [first, ...rest] = live.length > 0 ? live.slice(0, 3) : doomed;
  if (first === undefined) throw new Error('nobody is doomed');
  return draw.pick([first, ...rest]);
}

export async function pauseOne(stage: Stage, draw: Draw): Promise<void> {
  const tenant = await anyDoomed(stage, draw);
  try {
    await watchStop(stage, { argv: ['pause', tenant], tenant, stillMs: draw.whole(0, 1_500) });
  } finally {
    await insist(stage, 'resume', tenant);
  }
}

export async function pauseAll(stage: Stage, draw: Draw): Promise<void> {
  const stillMs = draw.whole(300, 1_500);
  try {
    await watchStop(stage, { argv: ['pause', '--all'], tenant: null, stillMs });
  } finally {
    await insist(stage, 'resume', '--all');
  }
}

/** Operators at odds with each other; the last word is that everything goes on. */
export async function stormOfPauses(stage: Stage, draw: Draw): Promise<void> {
  const tenant = await anyDoomed(stage, draw);
  const words = [
    ['pause', tenant],
    ['resume', tenant],
    ['pause', '--all'],
    ['resume', '--all'],
    ['pause', stage.campaignId],
    ['resume', stage.campaignId],
  ] as const;
  const [first, ...rest] = words;
  for (let times = draw.whole(1, 3); times > 0; times -= 1) {
    const chosen = Array.from({ length: 3 }, () => draw.pick([first, ...rest]));
    stage.note(`at once: ${chosen.map((one) => one.join(' ')).join(', ')}`);
    await Promise.all(chosen.map((argv) => stage.fleet.command([...argv])));
  }
  await insist(stage, 'resume', '--all');
  await insist(stage, 'resume', stage.campaignId);
}

export async function cancelOne(stage: Stage, draw: Draw): Promise<void> {
  await insist(stage, 'cancel', await anyDoomed(stage, draw));
}

export async function cancelCampaign(stage: Stage, _draw: Draw): Promise<void> {
  await insist(stage, 'cancel', stage.campaignId);
}

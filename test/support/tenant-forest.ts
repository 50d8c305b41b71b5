import { Client } from 'pg';
import { expect } from 'vitest';
import type { PurgeRecord } from '../../src/domain/records.ts';
import { addTenant, createSmallApplication } from './small-application.ts';

/** Each tenant with the one above it. `other` and those below it are the control. */
export const FOREST = {
  top: null,
  left: 'top',
  right: 'top',
  left1: 'left',
  left2: 'left',
  right1: 'right',
  leaf: 'left1',
  other: null,
  other1: 'other',
  other2: 'other1',
} as const satisfies Record<string, string | null>;

/** The tree that tests purge, its top first. */
export const TREE = ['top', 'left', 'right', 'left1', 'left2', 'right1', 'leaf'];

/**
 * The small application with tenants that are trees by two keys: `parent_id`, and `root_id`, by which
 * a top refers to itself. Ids begin so that no order by id is the order of a tree.
 */
export async function createForest(url: string): Promise<void> {
  await createSmallApplication(url);
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(
      `alter table public.tenants add parent_id text references public.tenants,
         add root_id text references public.tenants`,
    );
    await client.query('create index on public.tenants (parent_id)');
    await client.query('create index on public.tenants (root_id)');
    for (const id of Object.keys(FOREST)) await addTenant(client, id, 2);
    for (const [id, parent] of Object.entries(FOREST)) {
      const root = id.startsWith('other') ? 'other' : 'top';
      await client.query('update public.tenants set parent_id = $2, root_id = $3 where id = $1', [
        id,
        parent,
        root,
      ]);
    }
  } finally {
    await client.end();
  }
}

/** Every tenant was claimed only after those below it had completed. */
export function expectLeavesFirst(purges: readonly PurgeRecord[]): void {
  for (const [id, parent] of Object.entries(FOREST)) {
    const below = purges.find(({ tenantId }) => tenantId === id);
    const above = purges.find(({ tenantId }) => tenantId === parent);
    if (below === undefined || above === undefined) continue;
    const isAfter = (above.startedAt?.getTime() ?? 0) >= (below.endedAt?.getTime() ?? Infinity);
    expect([id, isAfter]).toEqual([id, true]);
  }
}

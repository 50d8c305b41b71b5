import type { PurgeWorld } from './purge-world.ts';
import { until } from './until.ts';
import type { WorkerProcess } from './worker-process.ts';

/**
 * Freezes a worker process inside a batch of the doomed tenant's: its DELETE waits for a row of the
 * small application, then is through uncommitted.
 */
export async function freezeInBatch(world: PurgeWorld): Promise<WorkerProcess> {
  const holder = await world.pool.connect();
  try {
    await holder.query('begin');
    await holder.query(
      `select from public.messages where ctid = (select max(m.ctid) from public.messages m
       join public.conversations c on c.id = m.conversation_id where c.tenant_id = 'doomed')
       for update`,
    );
    const worker = await world.spawnWorker();
    await until('the delete waits for the row', 90_000, async () =>
      (await world.value(
        `select count(*)::int from pg_stat_activity where wait_event_type = 'Lock'
         and query ~ 'delete from' and datname = current_database()`,
      )) === 0
        ? null
        : true,
    );
    worker.kill('SIGSTOP');
    return worker;
  } finally {
    await holder.query('rollback');
    holder.release();
  }
}

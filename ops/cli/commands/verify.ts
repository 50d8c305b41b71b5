import { EXIT } from '../../../src/domain/errors.ts';
import { asPurgeId, asTenantId, isUuid, type TenantId } from '../../../src/domain/ids.ts';
import { verifyTenant } from '../../../src/engine/campaign/verify-tenant.ts';
import { defineCommand } from '../command.ts';
import { type LedgerView, openLedger, withObserver } from '../open.ts';
import { renderTable } from '../output/table.ts';
import { formatNumber } from '../output/text.ts';

/** What is left of a tenant, by fresh queries. Works without any ledger. */
export const verify = defineCommand<{ readonly target: string }>({
  usage: 'verify <target>',
  summary: 'Look afresh for rows and Redis keys of a purge or tenant; exit 4 where any are left',
  examples: ['verify 31c06fc4-db22-4740-83ea-48ac14f25810', 'verify 42 --json'],
  describe: (command) => command,
  validate: (_raw, [target = '']) => ({ target }),
  run: async (session, { target }) =>
    withObserver(session, async (observer) => {
      const ledger = await openLedger(observer);
      const tenantId = await tenantOf(ledger, target);
      const { exists, residue } = await verifyTenant(observer.prepare, tenantId);
      const purged =
        ledger === null ? [] : await ledger.purges.select({ kind: 'tenant', id: tenantId });
      const known = exists || purged.length > 0;
      const clean = residue.length === 0;
      return {
        exitCode: clean ? EXIT.done : EXIT.residue,
        document: { tenantId, exists, known, clean, residue },
        text: [
          clean
            ? session.colors.green(`Nothing is left of tenant ${tenantId}: no row, no Redis key.`)
            : session.colors.red(`Something is left of tenant ${tenantId}:`),
          ...(clean
            ? []
            : [
                renderTable(
                  [{ head: 'table' }, { head: 'rows or keys', align: 'right' }],
                  residue.map(({ table, count }) => [table, formatNumber(count)]),
                  session.columns,
                ),
              ]),
          ...(known
            ? []
            : ['Mind: neither the tenant table nor the ledger has ever heard of this id.']),
          ...(observer.keyspace === null
            ? ['Redis was not looked at: the configuration names no redis.keys.']
            : []),
          ...(clean ? [] : [`Next: tenant-purge enqueue --tenant ${tenantId} --dry-run`]),
        ].join('\n'),
      };
    }),
});

/** A purge's id stands for its tenant; anything else is a tenant's id. */
async function tenantOf(ledger: LedgerView | null, target: string): Promise<TenantId> {
  const uuid = target.toLowerCase();
  if (ledger !== null && isUuid(uuid)) {
    const purge = await ledger.purges.find(asPurgeId(uuid));
    if (purge !== null) return purge.tenantId;
  }
  return asTenantId(target);
}

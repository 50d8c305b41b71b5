import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { PurgeError } from '../../domain/errors.ts';
import { asPurgeId, type CampaignId, type PurgeId, type TenantId } from '../../domain/ids.ts';
import type { Plan } from '../../domain/plan.ts';
import { LIVE_STATUSES } from '../../domain/purge.ts';
import type { CampaignRecord } from '../../domain/records.ts';
import type { Database } from '../database.ts';
import { readFault } from '../sqlstate.ts';
import { appendEvent } from './events.ts';
import { toCampaignRecord } from './rows.ts';

/** One tenant of a campaign, counted. */
interface PurgeRequest {
  readonly tenantId: TenantId;
  readonly tenantLabel: string;
  readonly rowsExpected: Readonly<Record<string, number>>;
  /** Tenants of the same campaign whose purges must be completed before this one begins. */
  readonly waitsFor?: readonly TenantId[];
}

interface CampaignRequest extends Omit<CampaignRecord, 'id' | 'createdAt' | 'planFingerprint'> {
  readonly plan: Plan;
  readonly purges: readonly PurgeRequest[];
  /** Milliseconds until the purges are due; 0 for at once. */
  readonly delayMs: number;
}

/** What `enqueue` has just created; each purge wants its first job. */
interface CreatedCampaign {
  readonly id: CampaignId;
  readonly purges: readonly { readonly purgeId: PurgeId; readonly tenantId: TenantId }[];
}

/** Rows a statement inserts at once; bounds its parameters. */
const CHUNK = 500;
/** Campaigns kept in memory. */
const KNOWN_MAX = 100;

export class CampaignStore {
  readonly #database: Database;
  readonly #known = new Map<CampaignId, CampaignRecord>();

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Writes plan, campaign, purges, what they wait for, and events in one transaction: all of it or
   * nothing. The purges come back in the order of the request. Calling it twice for the same tenants
   * fails the second time.
   * @throws PurgeError TENANT_BUSY when a tenant has a live purge (the database's unique index)
   */
  async create(request: CampaignRequest): Promise<CreatedCampaign> {
    try {
      return await this.#database.ledger.transaction().execute(async (trx) => {
        await trx
          .insertInto('tenant_purge.plan')
          .values({ fingerprint: request.plan.fingerprint, plan: JSON.stringify(request.plan) })
          .onConflict((conflict) => conflict.column('fingerprint').doNothing())
          .execute();
        const campaign = await trx
          .insertInto('tenant_purge.campaign')
          .values({
            operator: request.operator,
            environment: request.environment,
            database_identity: request.databaseIdentity,
            redis_identity: request.redisIdentity,
            redis_endpoint: request.redisEndpoint,
            plan_fingerprint: request.plan.fingerprint,
            allowed: [...request.allowed],
            kept: [...request.kept],
            archive: request.archive,
            before: JSON.stringify(request.before),
          })
          .returning('id')
          .executeTakeFirstOrThrow();
        // The server's clock: a host whose clock runs ahead must not hold its purges back.
        const dueAt = sql<Date>`clock_timestamp() + ${request.delayMs} * interval '1 millisecond'`;
        const created = request.purges.map(({ tenantId }) => ({
          purgeId: asPurgeId(randomUUID()),
          tenantId,
        }));
        const idOf = new Map(created.map(({ tenantId, purgeId }) => [tenantId, purgeId]));
        for (let start = 0; start < request.purges.length; start += CHUNK) {
          await trx
            .insertInto('tenant_purge.purge')
            .values(
              request.purges.slice(start, start + CHUNK).map((purge, at) => ({
                id: created[start + at]?.purgeId ?? randomUUID(),
                campaign_id: campaign.id,
                tenant_table: request.plan.tenant.table,
                tenant_id: purge.tenantId,
                tenant_label: purge.tenantLabel,
                status: request.delayMs > 0 ? ('scheduled' as const) : ('queued' as const),
                rows_expected: JSON.stringify(purge.rowsExpected),
                rows_total: Object.values(purge.rowsExpected).reduce((sum, rows) => sum + rows, 0),
                due_at: dueAt,
                waits_for: (purge.waitsFor ?? []).flatMap((id) => idOf.get(id) ?? []),
              })),
            )
            .execute();
        }
        await appendEvent(trx, {
          kind: 'enqueued',
          actor: request.operator,
          campaignId: campaign.id,
          details: { purges: created.length, delayMs: request.delayMs },
        });
        return { id: campaign.id as CampaignId, purges: created };
      });
    } catch (error) {
      if ((error as { constraint?: unknown }).constraint !== 'purge_live') throw error;
      const tenantId = busyTenantOf(error, request.plan.tenant.table);
      throw new PurgeError(
        'TENANT_BUSY',
        `${tenantId === null ? 'A tenant of the list' : `Tenant ${tenantId}`} got a live purge meanwhile; nothing was enqueued.`,
        { cause: error, details: tenantId === null ? {} : { tenantId } },
      );
    }
  }

  /**
   * A campaign that a purge names. A campaign never changes, so the last ones are kept in memory:
   * each of 1,845 purges asks for the same one.
   */
  async get(id: CampaignId): Promise<CampaignRecord> {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const campaign = await this.find(id);
    if (campaign === null) throw new PurgeError('NOT_FOUND', `The ledger has no campaign ${id}.`);
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(id, campaign);
    return campaign;
  }

  async find(id: CampaignId): Promise<CampaignRecord | null> {
    const row = await this.#database.ledger
      .selectFrom('tenant_purge.campaign')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
    return row === undefined ? null : toCampaignRecord(row);
  }

  /** Newest first. */
  async list(limit: number): Promise<CampaignRecord[]> {
    const rows = await this.#database.ledger
      .selectFrom('tenant_purge.campaign')
      .selectAll()
      .orderBy('created_at', 'desc')
      .orderBy('id')
      .limit(limit)
      .execute();
    return rows.map(toCampaignRecord);
  }

  /** The newest campaign, or null. */
  async latest(): Promise<CampaignRecord | null> {
    const row = await this.#database.ledger
      .selectFrom('tenant_purge.campaign')
      .selectAll()
      .orderBy('created_at', 'desc')
      .limit(1)
      .executeTakeFirst();
    return row === undefined ? null : toCampaignRecord(row);
  }

  /** The plan a campaign was approved with. */
  async plan(fingerprint: string): Promise<Plan> {
    const row = await this.#database.ledger
      .selectFrom('tenant_purge.plan')
      .select('plan')
      .where('fingerprint', '=', fingerprint)
      .executeTakeFirst();
    if (row !== undefined) return row.plan;
    throw new PurgeError('NOT_FOUND', `The ledger has no plan ${fingerprint}.`);
  }

  /** The tenants that have a live purge, of whichever table. */
  async busyTenants(): Promise<{ readonly tenantTable: string; readonly id: TenantId }[]> {
    const rows = await this.#database.ledger
      .selectFrom('tenant_purge.purge')
      .select(['tenant_table', 'tenant_id'])
      .where('status', 'in', [...LIVE_STATUSES])
      .execute();
    return rows.map((row) => ({ tenantTable: row.tenant_table, id: row.tenant_id as TenantId }));
  }

  /** Of these ids those that had a purge before, per tenant table, with the label they had then. */
  async formerTenants(
    ids: readonly string[],
  ): Promise<{ readonly tenantTable: string; readonly id: TenantId; readonly label: string }[]> {
    const rows = await this.#database.ledger
      .selectFrom('tenant_purge.purge')
      .distinctOn(['tenant_table', 'tenant_id'])
      .select(['tenant_table', 'tenant_id', 'tenant_label'])
      .where(sql<boolean>`tenant_id = any(${[...ids]}::text[])`)
      .orderBy('tenant_table')
      .orderBy('tenant_id')
      .orderBy('created_at', 'desc')
      .execute();
    return rows.map((row) => ({
      tenantTable: row.tenant_table,
      id: row.tenant_id as TenantId,
      label: row.tenant_label,
    }));
  }
}

/** The server names the key that is there twice. */
function busyTenantOf(error: unknown, tenantTable: string): string | null {
  const key = readFault(error).key ?? '';
  const before = `(tenant_table, tenant_id) = (${tenantTable}, `;
  return key.startsWith(before) ? key.slice(before.length, -1) : null;
}

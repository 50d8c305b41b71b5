import type { ColumnType, Generated } from 'kysely';
import type { ErrorReport } from '../../domain/errors.ts';
import type { Plan } from '../../domain/plan.ts';
import type { PurgeStatus, Stage } from '../../domain/purge.ts';
import type { CampaignCounts } from '../../domain/records.ts';
import type { Residue } from '../../domain/report.ts';

/** Written as JSON text, read back as a value. */
type Json<Value> = ColumnType<Value, string, string>;
type Timestamp = ColumnType<Date, Date | undefined, Date>;

/** The ledger's tables as Kysely sees them; snake_case stays in this room. */
export interface LedgerTables {
  'tenant_purge.identity': { one: Generated<boolean>; id: Generated<string> };
  'tenant_purge.control': {
    one: Generated<boolean>;
    stopped: boolean;
    changed_by: string | null;
    changed_at: Date | null;
    queue_release_due: Generated<boolean>;
  };
  'tenant_purge.plan': { fingerprint: string; plan: Json<Plan>; created_at: Generated<Date> };
  'tenant_purge.campaign': {
    id: Generated<string>;
    created_at: Generated<Date>;
    operator: string;
    environment: string;
    database_identity: string;
    redis_identity: string;
    redis_endpoint: string;
    plan_fingerprint: string;
    allowed: string[];
    kept: string[];
    archive: boolean;
    before: Json<CampaignCounts>;
  };
  'tenant_purge.purge': {
    id: Generated<string>;
    campaign_id: string;
    tenant_table: string;
    tenant_id: string;
    tenant_label: string;
    status: Generated<PurgeStatus>;
    stage: Generated<Stage>;
    level: string | null;
    fence: Generated<number>;
    worker: string | null;
    job_number: Generated<number>;
    parked: Generated<boolean>;
    due_at: Timestamp;
    interruptions: Generated<number>;
    rows_expected: Json<Record<string, number>>;
    rows_total: number;
    rows_deleted: Generated<number>;
    redis_waiting_since: Date | null;
    sweep_id: number | null;
    swept: Generated<boolean>;
    redis_keys_deleted: Generated<number>;
    redis_residue: Generated<number>;
    residue: ColumnType<Residue[], string | undefined, string>;
    error: ColumnType<ErrorReport | null, string | null | undefined, string | null>;
    created_at: Generated<Date>;
    claimed_at: Date | null;
    started_at: Date | null;
    ended_at: Date | null;
    waits_for: Generated<string[]>;
    bell_due: Generated<boolean>;
    stop_after_level: 'pause' | 'cancel' | null;
  };
  'tenant_purge.checkpoint': {
    purge_id: string;
    step: string;
    pass: number;
    leaf: string;
    filenode: number;
    next_block: number;
    done: boolean;
    rows: number;
  };
  'tenant_purge.batch': {
    id: Generated<number>;
    purge_id: string;
    fence: number;
    stage: Stage;
    level: string;
    kind: 'delete' | 'clear';
    table_name: string;
    leaf: string | null;
    range: string | null;
    rows: number;
    duration_ms: number;
    worker: string;
    wal_lsn: Generated<string>;
    segment: string | null;
    at: Generated<Date>;
  };
  'tenant_purge.event': {
    id: Generated<number>;
    at: Generated<Date>;
    purge_id: string | null;
    campaign_id: string | null;
    kind: string;
    actor: string;
    fence: number | null;
    details: ColumnType<Record<string, unknown>, string | undefined, never>;
  };
  'tenant_purge.sweep': {
    id: Generated<number>;
    epoch: Generated<number>;
    holder: string;
    cursor: string | null;
    keys_scanned: Generated<number>;
    keys_deleted: Generated<number>;
    started_at: Generated<Date>;
    heartbeat_at: Generated<Date>;
    finished_at: Date | null;
  };
  'tenant_purge.tuning': {
    scope: string;
    target_ms: number | null;
    max_rows: number | null;
    max_rows_per_sec: number | null;
    changed_by: string;
    changed_at: Generated<Date>;
  };
  'tenant_purge.throttled': {
    purge_id: string;
    fence: number;
    reasons: string[];
    since: Generated<Date>;
    seen_at: Generated<Date>;
  };
}

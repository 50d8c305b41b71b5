import { emailDomain } from '../domain/test-data/email-domains.ts';
import { plainAddress } from './client-address.ts';
import { type Log, type Query, withinTime } from './clients.ts';
import type { Metrics, Outcome } from './metrics.ts';
import { describeReason, type Reason } from './reason.ts';
import { redactPayload } from './redact.ts';
import type { TenantCreationRequest } from './request.ts';

/** Installed by `tenant-purge prevention install`. */
export const LOG_TABLE = 'tenant_purge.test_data_prevention_logs';

const WRITE_MAX_MS = 5_000;
/** Rows of one statement. */
const BATCH_ROWS = 100;
/** Rows that wait: in a flood of refusals PostgreSQL gets one statement at a time, and memory a bound. */
const WAITING_MAX = 2_000;

const INSERT = `INSERT INTO ${LOG_TABLE}
  (reference, endpoint, outcome, rule, reason, ip, email_domain, payload)
  SELECT reference, endpoint, outcome, rule, reason, ip, email_domain, payload
  FROM jsonb_to_recordset($1::jsonb) AS r(reference uuid, endpoint text, outcome text, rule text,
    reason text, ip inet, email_domain text, payload jsonb)`;

interface LogEntry {
  readonly reference: string;
  readonly outcome: Exclude<Outcome, 'allowed'>;
  readonly reasons: readonly Reason[];
  readonly request: TenantCreationRequest;
  /** Who overruled, or why a token did not. */
  readonly override: string | null;
}

/** Keeps what the guard refused: a line in the application's log, and a row. Nobody waits for either. */
export class PreventionLog {
  readonly #log: Log;
  readonly #query: Query | null;
  readonly #metrics: Metrics;
  readonly #waiting: LogRow[] = [];
  #writing: Promise<void> | null = null;
  #settling = 0;

  constructor(log: Log, query: Query | null, metrics: Metrics) {
    this.#log = log;
    this.#query = query;
    this.#metrics = metrics;
  }

  /** Returns at once. A row that cannot be written is counted as lost, and the log says so. */
  write(entry: LogEntry): void {
    const row = toRow(entry);
    const { reasons, override } = entry;
    this.#log.warn({ ...row, reasons, override }, `tenant creation ${entry.outcome}`);
    if (this.#query === null) return;
    if (this.#waiting.length >= WAITING_MAX) {
      this.#metrics.logLost(1);
      return;
    }
    this.#waiting.push(row);
    this.#writing ??= this.#writeAll(this.#query);
  }

  /**
   * When everything written so far is in the table, or lost: a database that does not answer is asked
   * once more at most, since whoever waits wants to end.
   */
  async settle(): Promise<void> {
    this.#settling += 1;
    await this.#writing;
    this.#settling -= 1;
  }

  async #writeAll(query: Query): Promise<void> {
    // What comes in the same turn goes in one statement.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const rows = this.#waiting.splice(0, BATCH_ROWS);
      try {
        await withinTime(query(INSERT, [JSON.stringify(rows)]), WRITE_MAX_MS, 'PostgreSQL');
      } catch (err) {
        if (this.#settling > 0) rows.push(...this.#waiting.splice(0));
        this.#metrics.logLost(rows.length);
        this.#log.error({ err, rows: rows.length }, `rows of ${LOG_TABLE} could not be written`);
      }
    }
    this.#writing = null;
  }
}

/** As its columns are called. */
interface LogRow {
  readonly reference: string;
  readonly endpoint: string | null;
  readonly outcome: string;
  readonly rule: string;
  readonly reason: string;
  readonly ip: string | null;
  readonly email_domain: string | null;
  readonly payload: Readonly<Record<string, string>>;
}

const ENDPOINT_LENGTH_MAX = 200;

/** Whatever the request holds: it was refused, perhaps because it cannot be read. */
function toRow({ reference, outcome, reasons, request, override }: LogEntry): LogRow {
  const { endpoint, ip, email, name, subdomain, payload }: Readonly<Record<string, unknown>> = {
    ...request,
  };
  const said = reasons.map(describeReason).join('; ');
  return {
    reference,
    endpoint: typeof endpoint === 'string' ? plain(endpoint) : null,
    outcome,
    rule: reasons[0]?.code ?? 'none',
    reason: plain(override === null ? said : `${said}; ${override}`, 1_000),
    ip: typeof ip === 'string' ? plainAddress(ip) : null,
    email_domain: typeof email === 'string' ? emailDomain(email) : null,
    payload: redactPayload(payload ?? { name, subdomain }),
  };
}

const plain = (text: string, lengthMax = ENDPOINT_LENGTH_MAX): string =>
  Buffer.from(text.slice(0, lengthMax).replaceAll('\0', '')).toString();

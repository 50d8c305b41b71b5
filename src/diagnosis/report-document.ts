import type { DiagnosisHead, DiagnosisSink, DiagnosisSummary } from './diagnose.ts';
import type { TenantEntry } from './tally.ts';

/** What tells a report from other JSON, e.g. for `enqueue --from`. */
export const REPORT_KIND = 'diagnosis';
export const REPORT_VERSION = 1;

/** Takes text; resolves when there is room for more. */
export type WriteText = (text: string) => Promise<void>;

/**
 * The report as one JSON document, written as it comes to be: the head, `tenants` with one entry a line,
 * and at the end, once everything was counted, the summary. Never the whole in memory.
 */
export class ReportDocument implements DiagnosisSink {
  readonly #write: WriteText;
  readonly #environment: string | null;
  #entries = 0;

  /** @param environment where it is made: a copy of a database by its files has the identity of the original */
  constructor(write: WriteText, environment: string | null = null) {
    this.#write = write;
    this.#environment = environment;
  }

  async begin(head: DiagnosisHead): Promise<void> {
    const environment = this.#environment === null ? {} : { environment: this.#environment };
    const fields = { kind: REPORT_KIND, version: REPORT_VERSION, ...environment, ...head };
    await this.#write(`${JSON.stringify(fields).slice(0, -1)},\n"tenants":[`);
  }

  async tenants(entries: readonly TenantEntry[]): Promise<void> {
    if (entries.length === 0) return;
    const lines = entries.map((entry) => JSON.stringify(entry)).join(',\n');
    await this.#write(`${this.#entries === 0 ? '\n' : ',\n'}${lines}`);
    this.#entries += entries.length;
  }

  async end({
    totals,
    redis,
    sections,
    dangling,
    sources,
    warnings,
  }: DiagnosisSummary): Promise<void> {
    const fields = { totals, redis, sections, dangling, sources, warnings };
    await this.#write(`\n],\n${JSON.stringify(fields, null, 1).slice(2)}\n`);
  }
}

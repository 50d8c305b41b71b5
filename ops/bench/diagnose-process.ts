/**
 * One diagnosis in a process of its own, so that its memory is its own: reads the configuration file named
 * first, writes the report to the file named second, and tells the figures to the benchmark.
 */
import { open } from 'node:fs/promises';
import { loadConfig } from '../../src/config/load.ts';
import { ReportDocument } from '../../src/diagnosis/report-document.ts';
import { diagnoseTenants } from '../../src/runtime/diagnose.ts';
import { timed } from './measure.ts';

process.once('disconnect', () => process.exit());

const [, , configFile = '', reportFile = ''] = process.argv;
const config = await loadConfig({ file: configFile });
const rssBeforeKib = process.resourceUsage().maxRSS;
const file = await open(reportFile, 'w', 0o600);
const document = new ReportDocument(async (text) => {
  await file.write(text);
});
const { seconds, result } = await timed(async () => {
  const found = await diagnoseTenants(config, document, { asOf: null });
  await document.end(found.summary);
  return found.summary;
});
await file.close();

/** What the benchmark hears. */
export interface DiagnoseFigures {
  readonly seconds: number;
  /** Of this process, from its start. */
  readonly cpuSeconds: number;
  readonly rssBeforeKib: number;
  readonly rssPeakKib: number;
  readonly tenants: number;
  readonly purge: number;
  readonly danglingRows: number;
}

const figures: DiagnoseFigures = {
  seconds,
  cpuSeconds: (process.cpuUsage().user + process.cpuUsage().system) / 1_000_000,
  rssBeforeKib,
  rssPeakKib: process.resourceUsage().maxRSS,
  tenants: result.totals.tenants,
  purge: result.totals.recommended.purge,
  danglingRows: result.dangling.reduce((sum, { rows }) => sum + rows, 0),
};
process.send?.(figures, () => process.disconnect());

/**
 * One restore as a process of its own, so that its memory is its own. Arguments: configuration file,
 * purge; prints seconds, from opening the archive to the last commit, and the most that was resident.
 */
import { loadConfig } from '../../src/config/load.ts';
import { asPurgeId } from '../../src/domain/ids.ts';
import { noFailpoint } from '../../src/engine/failpoints.ts';
import { openDatabase } from '../../src/postgres/database.ts';
import { PurgeStore } from '../../src/postgres/ledger/purges.ts';
import { restorePurge } from '../../src/runtime/restore.ts';
import { timed } from './measure.ts';

const [file = '', id = ''] = process.argv.slice(2);
const config = await loadConfig({ file });
const database = await openDatabase({
  url: config.databaseUrl,
  connectionsMax: config.batch.connections + 2,
  applicationName: 'tenant-purge bench',
});
const purge = await new PurgeStore(database).find(asPurgeId(id));
if (purge === null) throw new Error(`no purge ${id}`);
const phases: Record<string, number> = {};
const began = performance.now();
let phase = '';
const { seconds, result } = await timed(() =>
  restorePurge(config, database, {
    purge,
    rules: null,
    operator: 'benchmark',
    holder: 'benchmark',
    dryRun: false,
    into: null,
    failpoint: noFailpoint,
    confirm: () => Promise.resolve(),
    signal: new AbortController().signal,
    onWarning: () => undefined,
    onState: (state) => {
      if (state.phase === phase) return;
      phase = state.phase;
      phases[phase] = (performance.now() - began) / 1_000;
    },
  }),
);
await database.close();
const rssMaxMib = Math.round(process.resourceUsage().maxRSS / 1_024);
process.stdout.write(
  `${JSON.stringify({ seconds, rssMaxMib, phases, rows: result.rowsRestored })}\n`,
);

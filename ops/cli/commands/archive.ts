import { defineGroup } from '../command-group.ts';
import { archiveCheck } from './archive-check.ts';
import { archiveCreate } from './archive-create.ts';
import { archiveExpire } from './archive-expire.ts';
import { archiveExport } from './archive-export.ts';
import { archiveList } from './archive-list.ts';

/** Around the archives of purges: what is there, whether it is sound, and how it ends. */
export const archive = defineGroup({
  name: 'archive',
  summary: 'List, check, expire, create and export archives',
  examples: ['archive list', 'archive check --all', 'archive expire --dry-run'],
  commands: [archiveList, archiveCheck, archiveExpire, archiveCreate, archiveExport],
});

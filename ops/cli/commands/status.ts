import { z } from 'zod';
import { findTarget, notFound } from '../../../src/engine/campaign/find-target.ts';
import { defineCommand, readOptions } from '../command.ts';
import { withLedgerDesk } from './ledger-desk.ts';
import { showAll, showNothing } from './status-all.ts';
import { showCampaign } from './status-campaign.ts';
import { showPurge } from './status-purge.ts';

const optionsSchema = z.object({ watch: z.boolean().default(false) });

interface Options {
  readonly target: string | null;
  readonly watch: boolean;
}

/** What is going on. Only looks; it does not even create the ledger, and works while Redis is away. */
export const status = defineCommand<Options>({
  usage: 'status [target]',
  summary: 'Progress of all campaigns, or of one campaign, purge or tenant',
  examples: [
    'status',
    'status 31c06fc4-db22-4740-83ea-48ac14f25810 --watch',
    'status --json | jq .purges',
  ],
  describe: (command) =>
    command.option('--watch', 'until it has ended; with --json one document at the end'),
  validate: (raw, [target]) => ({ ...readOptions(optionsSchema, raw), target: target ?? null }),
  handlesInterrupt: true,
  run: async (session, options) =>
    withLedgerDesk(session, async (desk) => {
      const { ledger } = desk;
      if (ledger === null) {
        if (options.target === null) return showNothing(session);
        throw notFound(options.target);
      }
      const parts = { desk, ledger };
      if (options.target === null) return showAll(session, parts, options);
      const target = await findTarget(ledger, options.target);
      switch (target.kind) {
        case 'campaign':
          return showCampaign(session, parts, target.campaign, options);
        case 'purge':
          return showPurge(session, parts, target.purge, options);
        default:
          return target satisfies never;
      }
    }),
});

import { keySegmentName, SWEEPS_FOLDER } from '../../archive/file-name.ts';
import { SegmentWriter } from '../../archive/segment-writer.ts';
import type { SweepArchiving } from '../sweep.ts';
import type { ArchiveParts } from './archive-parts.ts';
import { archiveKeys } from './key-lines.ts';

/**
 * Archives the keys of a sweep: one segment for all its purges, since a pipeline meets keys of many
 * tenants. Every pipeline's keys are durable, and the ledger says where, before they are unlinked.
 */
export function makeSweepArchiving(parts: ArchiveParts): SweepArchiving {
  return {
    async begin(claim) {
      const archiving = await parts.ledger.archiving(claim.purges.map(({ purgeId }) => purgeId));
      if (archiving.size === 0) return null;
      const purges = claim.purges.filter(({ purgeId }) => archiving.has(purgeId));
      await parts.ledger.joinSweep(claim.id, [...archiving]);
      const writer = new SegmentWriter({
        store: parts.store,
        folder: SWEEPS_FOLDER,
        nameOf: (part) => keySegmentName(claim.id, claim.epoch, part),
      });
      return {
        tenantIds: new Set(purges.map(({ tenantId }) => tenantId)),
        keep: (keys) =>
          archiveKeys(writer, keys, (chunk) =>
            parts.ledger.addKeys({ ...chunk, sweepId: claim.id, keys: keys.length }),
          ),
        close: () => writer.close(),
      };
    },
  };
}

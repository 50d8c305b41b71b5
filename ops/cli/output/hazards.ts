import { type Hazard, type HazardSeverity, mergeSettlements } from '../../../src/domain/hazard.ts';
import type { Colors } from '../io.ts';
import { plural, wrap } from './text.ts';

const HEADINGS: readonly (readonly [HazardSeverity, string])[] = [
  ['blocks', 'BLOCKS the purge until it is settled'],
  ['allow', 'must be accepted with --allow TYPE'],
  ['info', 'good to know'],
];
/** Of one severity; the rest is counted. */
const SHOWN_MAX = 40;

/** Hazards, the worst first, each with its remedy. */
export function renderHazards(hazards: readonly Hazard[], colors: Colors, columns: number): string {
  if (hazards.length === 0) return colors.green('No hazards.');
  const blocks: string[] = [];
  for (const [severity, heading] of HEADINGS) {
    const found = hazards.filter((hazard) => hazard.severity === severity);
    if (found.length === 0) continue;
    const paint =
      severity === 'blocks' ? colors.red : severity === 'allow' ? colors.yellow : colors.dim;
    blocks.push(paint(colors.bold(`${plural(found.length, 'hazard')}: ${heading}`)));
    for (const hazard of found.slice(0, SHOWN_MAX)) {
      blocks.push(
        wrap(`${paint(hazard.type)}  ${hazard.message}`, columns, '  '),
        wrap(`→ ${hazard.remedy}`, columns, '    '),
      );
    }
    if (found.length > SHOWN_MAX) {
      blocks.push(`  … and ${found.length - SHOWN_MAX} more; --json lists all`);
    }
  }
  const settlement = mergeSettlements(hazards.filter(({ severity }) => severity === 'blocks'));
  if (Object.keys(settlement).length > 0) {
    blocks.push(
      '',
      wrap('To settle what one answer suggests itself for, read and add to purge.config:', columns),
      // Not wrapped: it is to be copied.
      JSON.stringify(settlement, null, 2),
    );
  }
  return blocks.join('\n');
}

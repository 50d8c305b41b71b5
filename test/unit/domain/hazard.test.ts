import { expect, it } from 'vitest';
import { type Hazard, type HazardType, hazardsInTheWay } from '../../../src/domain/hazard.ts';

const hazard = (type: HazardType, severity: Hazard['severity']): Hazard => ({
  type,
  severity,
  table: null,
  message: 'Something is so.',
  remedy: 'Settle it.',
});

const cycle = hazard('OWNER_AMBIGUOUS', 'blocks');
const unindexed = hazard('FK_WITHOUT_INDEX', 'allow');
const trigger = hazard('TRIGGER', 'info');
const all = [cycle, unindexed, trigger];

it('stands in the way by its severity: info never does', () => {
  expect(hazardsInTheWay(all, [])).toEqual({ blocking: [cycle], notAllowed: [unindexed] });
});

it('is out of the way once its type is allowed by name', () => {
  expect(hazardsInTheWay(all, ['FK_WITHOUT_INDEX']).notAllowed).toEqual([]);
  expect(hazardsInTheWay(all, ['TRIGGER']).notAllowed).toEqual([unindexed]);
});

it('blocks whatever is allowed where its severity says so', () => {
  expect(hazardsInTheWay(all, ['OWNER_AMBIGUOUS']).blocking).toEqual([cycle]);
});

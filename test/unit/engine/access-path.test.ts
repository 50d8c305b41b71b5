import { expect, it } from 'vitest';
import { chooseAccessPath } from '../../../src/engine/access-path.ts';

const leaf = { blocks: 10_000, estimatedRows: 350_000, hasTenantIndex: true, tenantRows: 1_000 };

it('takes the index for a small tenant in a large table', () => {
  expect(chooseAccessPath(leaf)).toBe('index');
});

it('visits the heap for a tenant that owns a good part of it', () => {
  expect(chooseAccessPath({ ...leaf, tenantRows: 35_000 })).toBe('heap');
  expect(chooseAccessPath({ ...leaf, tenantRows: 34_999 })).toBe('index');
});

it('visits the heap where no index leads with the tenant', () => {
  expect(chooseAccessPath({ ...leaf, hasTenantIndex: false })).toBe('heap');
});

it('visits the heap of a table that is read in one batch anyway', () => {
  expect(chooseAccessPath({ ...leaf, blocks: 64, tenantRows: 1 })).toBe('heap');
});

it('guesses the rows of a table that was never analysed from its blocks', () => {
  expect(chooseAccessPath({ ...leaf, estimatedRows: -1 })).toBe('index');
  expect(chooseAccessPath({ ...leaf, estimatedRows: -1, tenantRows: 100_000 })).toBe('heap');
});

import { expect, it } from 'vitest';
import { confirmationPhrase, expiryPhrase } from '../../../src/domain/confirmation.ts';
import { asPurgeId, asTenantId } from '../../../src/domain/ids.ts';

const phraseFor = (...ids: string[]): string => confirmationPhrase(ids.map(asTenantId));

it('names the tenant where one goes', () => {
  expect(phraseFor('31c06fc4-db22-4740-83ea-48ac14f25810')).toBe(
    'DELETE 31c06fc4-db22-4740-83ea-48ac14f25810',
  );
});

it('names the number where several go, so that 30 approved tenants open no door for 750', () => {
  expect(phraseFor('1', '2')).toBe('DELETE 2 TENANTS');
  expect(phraseFor(...Array.from({ length: 750 }, (_, id) => String(id)))).toBe(
    'DELETE 750 TENANTS',
  );
});

it('is never the phrase of one tenant where there is none', () => {
  expect(phraseFor()).toBe('DELETE 0 TENANTS');
});

it('says FOREVER where nothing is archived, so that no phrase serves for both', () => {
  const ids = ['1', '2'].map(asTenantId);
  expect(confirmationPhrase(ids, { archive: false })).toBe('DELETE 2 TENANTS FOREVER');
  expect(confirmationPhrase(ids.slice(0, 1), { archive: false })).toBe('DELETE 1 FOREVER');
  expect(confirmationPhrase(ids, { archive: true })).toBe(phraseFor('1', '2'));
});

it('names the archive that is thrown away, or how many', () => {
  const ids = ['31c06fc4-db22-4740-83ea-48ac14f25810', '41c06fc4-db22-4740-83ea-48ac14f25810'].map(
    asPurgeId,
  );
  expect(expiryPhrase(ids.slice(0, 1))).toBe('EXPIRE 31c06fc4-db22-4740-83ea-48ac14f25810');
  expect(expiryPhrase(ids)).toBe('EXPIRE 2 ARCHIVES');
});

import { expect, it } from 'vitest';
import { confirmationPhrase } from '../../../src/domain/confirmation.ts';
import { asTenantId } from '../../../src/domain/ids.ts';

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

import { describe, expect, it } from 'vitest';
import { PurgeError } from '../../../src/domain/errors.ts';
import { deleteSteps, type Plan } from '../../../src/domain/plan.ts';
import type { CatalogueForeignKey, CatalogueTable } from '../../../src/planner/catalogue.ts';
import { hazardLines, key, levelLines, pathsOf, plan, table } from '../../support/catalogue.ts';

const users = table('users', 'id! tenant_id! profile_id', {
  indexes: [{ name: 'u', columns: ['profile_id'], unique: true, usable: true }],
});
const profiles = table('profiles', 'id!');
const keys = [key('users(tenant_id) → tenants'), key('users(profile_id) → profiles')];
const follow = ['public.users.profile_id'];

const followed = (
  tables: readonly CatalogueTable[] = [],
  more: readonly CatalogueForeignKey[] = [],
  rules: Parameters<typeof plan>[2] = {},
): Plan => plan([users, profiles, ...tables], [...keys, ...more], { follow, ...rules });

const stepOf = (made: Plan, relation: string) =>
  deleteSteps(made).find((step) => step.table === `public.${relation}`);

describe('a one-to-one parent', () => {
  it('stays behind by default, which is reported with what to write', () => {
    const made = plan([users, profiles], keys);
    expect(hazardLines(made)).toEqual(['ORPHANED_PARENT info public.profiles']);
    expect(made.hazards[0]?.remedy).toContain('"follow": ["public.users.profile_id"]');
    const shared = plan([{ ...users, indexes: [] }, profiles], keys);
    expect(shared.hazards).toEqual([]);
    const kept = plan([users, profiles], keys, {
      tables: { 'public.profiles': { onPurge: 'keep' } },
    });
    expect(kept.hazards).toEqual([]);
  });

  it('goes after the row that refers to it, where the configuration follows the key', () => {
    const made = followed();
    expect(levelLines(made)).toEqual([
      'dependents 1: users',
      'dependents 2: profiles',
      'tenant: tenants',
    ]);
    expect(pathsOf(made)['public.profiles']).toBe(
      'id ← public.users(profile_id).tenant_id by configuration',
    );
    expect(made.hazards).toEqual([]);
  });

  it('is remembered by the row, and goes only if nothing refers to it any more', () => {
    const made = followed(
      [table('badges', 'id! profile_id')],
      [key('badges(profile_id) → profiles', 'SET NULL')],
    );
    expect(stepOf(made, 'users')?.remembers).toEqual([
      {
        foreignKey: 'public.users.profile_id_fkey',
        columns: ['profile_id'],
        parent: 'public.profiles',
      },
    ]);
    expect(stepOf(made, 'users')?.unlessReferenced).toBeNull();
    expect(stepOf(made, 'profiles')?.unlessReferenced?.map(({ relation }) => relation)).toEqual([
      'public.badges',
      'public.users',
    ]);
    expect(made.references.map((check) => check.parent.table)).toEqual(['public.tenants']);
  });

  it('has its own children go before the row by which it is found', () => {
    const made = followed(
      [table('photos', 'id! profile_id!')],
      [key('photos(profile_id) → profiles')],
    );
    expect(levelLines(made)).toEqual([
      'dependents 1: photos',
      'dependents 2: users',
      'dependents 3: profiles',
      'tenant: tenants',
    ]);
    expect(pathsOf(made)['public.photos']).toBe(
      'profile_id → public.profiles.id ← public.users(profile_id).tenant_id by parent',
    );
  });

  it('of a one-to-one parent goes after that', () => {
    const made = followed([table('faces', 'id!')], [key('profiles(id) → faces')], {
      follow: [...follow, 'public.profiles.id'],
    });
    expect(levelLines(made).slice(0, 3)).toEqual([
      'dependents 1: users',
      'dependents 2: profiles',
      'dependents 3: faces',
    ]);
  });

  it('of the tenant row itself goes after it', () => {
    const made = plan(
      [table('orgs', 'id! address_id!'), table('addresses', 'id!')],
      [key('orgs(address_id) → addresses')],
      { tenant: { table: 'public.orgs' }, follow: ['public.orgs.address_id'] },
    );
    expect(levelLines(made)).toEqual(['tenant 1: orgs', 'tenant 2: addresses']);
    expect(made.hazards).toEqual([]);
  });

  it('loses its reference back while its row can still be found', () => {
    const made = plan(
      [users, table('profiles', 'id! user_id')],
      [...keys, key('profiles(user_id) → users')],
      { follow },
    );
    expect(levelLines(made)).toEqual([
      'dependents 1: profiles.user_id=NULL',
      'dependents 2: users',
      'dependents 3: profiles',
      'tenant: tenants',
    ]);
  });

  it('is refused where no key starts at the column, with the nearest', () => {
    const make = (): Plan => followed([], [], { follow: ['public.users.profil_id'] });
    expect(make).toThrow(PurgeError);
    expect(make).toThrow(
      /no foreign key starts at public\.users\.profil_id.*public\.users\.profile_id\?/,
    );
  });
});

/**
 * Branded identifiers. Ids of two kinds that look alike once cost a company 883 customers' sites;
 * here the compiler keeps them apart.
 */
type Brand<Base, Name extends string> = Base & { readonly __brand: Name };

/** The tenant's key as PostgreSQL prints it (`key::text`): `42`, a uuid in lower case, a slug. */
export type TenantId = Brand<string, 'TenantId'>;
/** uuid of one purge: the deletion of one tenant. */
export type PurgeId = Brand<string, 'PurgeId'>;
/** uuid of one campaign: the purges asked for together. */
export type CampaignId = Brand<string, 'CampaignId'>;
/** `host:pid:slot` of the worker that holds a purge; for people, never for locking. */
export type WorkerId = Brand<string, 'WorkerId'>;
/** Schema-qualified table, each part quoted only where PostgreSQL needs it: `public.agents`. */
export type TableName = Brand<string, 'TableName'>;
/** SHA-256 in hex over everything about the catalogue that matters to a plan. */
export type Fingerprint = Brand<string, 'Fingerprint'>;
/** Token of the worker that holds a purge: one more at each claim. */
export type Epoch = Brand<number, 'Epoch'>;

export const asTenantId = (text: string): TenantId => text as TenantId;
export const asPurgeId = (text: string): PurgeId => text as PurgeId;
export const asCampaignId = (text: string): CampaignId => text as CampaignId;
export const asWorkerId = (text: string): WorkerId => text as WorkerId;
export const asFingerprint = (text: string): Fingerprint => text as Fingerprint;
export const asEpoch = (value: number): Epoch => value as Epoch;

/** Takes text that is already in the form of `tableName()`, e.g. read back from the ledger. */
export const asTableName = (text: string): TableName => text as TableName;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** True for the text form PostgreSQL gives a uuid; ids of purges and campaigns have it. */
export const isUuid = (text: string): boolean => UUID.test(text);

/**
 * Tenants that must never go. Written by people, so upper and lower case do not matter: a uuid pasted
 * in capitals protects as well.
 */
export class KeepList {
  readonly #ids: ReadonlySet<string>;

  constructor(ids: readonly string[]) {
    this.#ids = new Set(ids.map((id) => id.toLowerCase()));
  }

  has(tenantId: string): boolean {
    return this.#ids.has(tenantId.toLowerCase());
  }
}

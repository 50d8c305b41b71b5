import type { Doubt, OrphanFindings, OrphanVerdict, SkipReason } from '../../domain/orphans.ts';

/** Tenants whose keys one run takes, and whose counts are held: about 15 MB of ids. */
export const TENANTS_MAX = 100_000;
const TOP = 20;
const SAMPLES = 5;

/** Counts what a pass meets; its memory is bounded however many keys and tenants there are. */
export class OrphanTally {
  readonly #keysById = new Map<string, number>();
  readonly #tenantsMax: number;
  readonly #doubts: Record<Doubt, number> = {
    'no-id': 0,
    'several-ids': 0,
    'another-spelling': 0,
  };
  readonly #skips: Record<SkipReason, number> = {
    kept: 0,
    'live-purge': 0,
    restorable: 0,
    'not-confirmed': 0,
  };
  readonly #doubtful = new Set<string>();
  readonly #skippedIds = new Set<string>();
  #scanned = 0;
  #owned = 0;
  #beyond = 0;

  constructor(tenantsMax = TENANTS_MAX) {
    this.#tenantsMax = tenantsMax;
  }

  scanned(keys: number): void {
    this.#scanned += keys;
  }

  owned(): void {
    this.#owned += 1;
  }

  /** @param key byte text */
  doubt(reason: Doubt, key: string): void {
    this.#doubts[reason] += 1;
    if (this.#doubtful.size < SAMPLES) this.#doubtful.add(key);
  }

  skip(reason: SkipReason, id: string): void {
    this.#skips[reason] += 1;
    if (this.#skippedIds.size < SAMPLES) this.#skippedIds.add(id);
  }

  orphan(id: string): void {
    const keys = this.#keysById.get(id);
    if (keys === undefined && this.#keysById.size >= this.#tenantsMax) this.#beyond += 1;
    else this.#keysById.set(id, (keys ?? 0) + 1);
  }

  /** Books a key by what its id is. */
  book(verdict: OrphanVerdict, id: string, key: string): void {
    switch (verdict) {
      case 'owned':
        this.owned();
        break;
      case 'orphan':
        this.orphan(id);
        break;
      case 'another-spelling':
        this.doubt(verdict, key);
        break;
      case 'kept':
      case 'live-purge':
      case 'restorable':
        this.skip(verdict, id);
        break;
      default:
        verdict satisfies never;
    }
  }

  tenantIds(): string[] {
    return [...this.#keysById.keys()];
  }

  findings(): OrphanFindings {
    const most = [...this.#keysById]
      .map(([tenantId, keys]) => ({ tenantId, keys }))
      .sort((left, right) => right.keys - left.keys || (left.tenantId < right.tenantId ? -1 : 1));
    return {
      scanned: this.#scanned,
      owned: this.#owned,
      orphans: {
        keys: sum([...this.#keysById.values()]),
        tenants: most.length,
        top: most.slice(0, TOP),
        beyond: this.#beyond,
      },
      undecided: {
        keys: sum(Object.values(this.#doubts)),
        reasons: { ...this.#doubts },
        samples: [...this.#doubtful],
      },
      skipped: {
        keys: sum(Object.values(this.#skips)),
        reasons: { ...this.#skips },
        samples: [...this.#skippedIds],
      },
    };
  }
}

const sum = (counts: readonly number[]): number => counts.reduce((total, one) => total + one, 0);

/** What a restore tells while it is under way. */
export interface RestoreState {
  readonly phase: 'checking' | 'restoring' | 'linking' | 'verifying' | 'changing back' | 'keys';
  readonly table: string | null;
  /** Of the phase. */
  readonly done: number;
  readonly total: number;
}

/** Fire and forget. */
export type OnRestoreState = (state: RestoreState) => void;

/** Counts the rows of one phase after the other. */
export class Progress {
  readonly #tell: OnRestoreState;
  #state: RestoreState = { phase: 'checking', table: null, done: 0, total: 0 };

  constructor(tell: OnRestoreState) {
    this.#tell = tell;
  }

  enter(phase: RestoreState['phase'], total: number, done = 0): void {
    this.#show({ phase, table: null, done, total });
  }

  at(table: string): void {
    this.#show({ ...this.#state, table });
  }

  add(rows: number): void {
    this.#show({ ...this.#state, done: this.#state.done + rows });
  }

  #show(state: RestoreState): void {
    this.#state = state;
    this.#tell(state);
  }
}

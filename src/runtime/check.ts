/** `mind`: it works, and may hurt one day. */
type Verdict = 'right' | 'mind' | 'wrong';

/** One thing that `doctor` has looked at. */
export interface Check {
  readonly name: string;
  readonly verdict: Verdict;
  readonly message: string;
  readonly remedy: string | null;
}

export const right = (name: string, message: string): Check => ({
  name,
  verdict: 'right',
  message,
  remedy: null,
});
export const mind = (name: string, message: string, remedy: string): Check => ({
  name,
  verdict: 'mind',
  message,
  remedy,
});
export const wrong = (name: string, message: string, remedy: string): Check => ({
  name,
  verdict: 'wrong',
  message,
  remedy,
});

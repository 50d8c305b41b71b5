/** How often a rule was right, counted case by case. */
export class Accuracy {
  readonly #counts = new Map<
    string,
    { right: number; wrong: number; missed: number; spared: number }
  >();

  /** One case of a rule: should it hit, and does it? */
  add(rule: string, { should, does }: { readonly should: boolean; readonly does: boolean }): void {
    const counts = this.#counts.get(rule) ?? { right: 0, wrong: 0, missed: 0, spared: 0 };
    this.#counts.set(rule, counts);
    if (should && does) counts.right += 1;
    else if (does) counts.wrong += 1;
    else if (should) counts.missed += 1;
    else counts.spared += 1;
  }

  /**
   * Per rule: of what it hit the share that it should (precision), and of what it should hit the share that
   * it did (recall); with the number of cases that it must hit and must not. NaN without any.
   */
  rules(): { rule: string; precision: number; recall: number; hits: number; nearMisses: number }[] {
    return [...this.#counts].map(([rule, { right, wrong, missed, spared }]) => ({
      rule,
      precision: right / (right + wrong),
      recall: right / (right + missed),
      hits: right + missed,
      nearMisses: wrong + spared,
    }));
  }

  /** For the test's output. */
  print(title: string): void {
    const lines = this.rules().map(
      ({ rule, precision, recall, hits, nearMisses }) =>
        `  ${rule.padEnd(26)} precision ${precision.toFixed(3)}  recall ${recall.toFixed(3)}  ${hits} to hit, ${nearMisses} not`,
    );
    process.stdout.write(`${title}\n${lines.join('\n')}\n`);
  }
}

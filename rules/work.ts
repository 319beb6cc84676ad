/**
 * How much a check may still do, in steps of well under a microsecond. Checks stop when it is used up: then they may miss
 * something; they never say anything wrong for it.
 */
export class Work {
  #left: number;

  constructor(steps: number) {
    this.#left = steps;
  }

  /** @returns false when there is nothing left to spend */
  spend(steps: number): boolean {
    this.#left -= steps;
    return this.#left >= 0;
  }
}

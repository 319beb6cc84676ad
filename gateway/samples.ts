/** Numbers that are collected to be ranked: 8 bytes each, kept all, so that percentiles are exact. */
export class Samples {
  #values = new Float64Array(1024);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(value: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Float64Array(2 * this.#count);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#count] = value;
    this.#count++;
  }

  /**
   * @param shares each 0..1
   * @returns for each share the smallest value that at least that part of all values does not exceed (nearest rank);
   * null without values
   */
  percentiles(...shares: number[]): number[] | null {
    if (this.#count === 0) return null;
    const sorted = this.#values.slice(0, this.#count).sort();
    return shares.map((share) => sorted[Math.max(0, Math.ceil(share * this.#count) - 1)]!);
  }
}

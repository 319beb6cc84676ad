/**
 * Keys of a fixed number of int32 words, each with a deadline. A hash table with open addressing, half full at the most;
 * `isAlive` allocates nothing.
 */
export class KeyTable {
  readonly #words: number;
  #keys: Int32Array;
  /** Infinity: the key stays. NaN: the slot is empty. */
  #deadlinesNs: Float64Array;
  #size = 0;

  /** @param words of a key */
  constructor(words: number) {
    this.#words = words;
    this.#keys = new Int32Array(FIRST_SLOTS * words);
    this.#deadlinesNs = new Float64Array(FIRST_SLOTS).fill(Number.NaN);
  }

  /** Keys that are stored, also those that have expired and were not dropped yet. */
  get size(): number {
    return this.#size;
  }

  /**
   * @param now one number, the time in ns: handed over in memory, because a number that is no small integer would be
   * allocated for the call
   * @returns whether the key is stored and its deadline lies after `now`
   */
  isAlive(key: Int32Array, now: Float64Array): boolean {
    const slot = this.#find(key);
    return slot >= 0 && now[0]! < this.#deadlinesNs[slot]!;
  }

  has(key: Int32Array): boolean {
    return this.#find(key) >= 0;
  }

  /** Stores a copy of the key, or gives the one that is stored another deadline. @param deadlineNs Infinity: it stays */
  put(key: Int32Array, deadlineNs: number): void {
    const known = this.#find(key);
    if (known >= 0) {
      this.#deadlinesNs[known] = deadlineNs;
      return;
    }
    if (2 * (this.#size + 1) > this.#deadlinesNs.length) this.#rebuild(2 * this.#deadlinesNs.length, -Infinity);
    this.#insert(key, deadlineNs);
  }

  /** @returns whether the key was stored */
  delete(key: Int32Array): boolean {
    let hole = this.#find(key);
    if (hole < 0) return false;
    const mask = this.#deadlinesNs.length - 1;
    // Later keys of the run move up where that brings them no further than their own slot, so that no search ends early.
    for (let slot = (hole + 1) & mask; !Number.isNaN(this.#deadlinesNs[slot]!); slot = (slot + 1) & mask) {
      const home = this.#hash(this.#keys, slot * this.#words) & mask;
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      this.#keys.copyWithin(hole * this.#words, slot * this.#words, (slot + 1) * this.#words);
      this.#deadlinesNs[hole] = this.#deadlinesNs[slot]!;
      hole = slot;
    }
    this.#deadlinesNs[hole] = Number.NaN;
    this.#size--;
    return true;
  }

  /** Forgets the keys whose deadline is not after `nowNs`. */
  dropExpired(nowNs: number): void {
    this.#rebuild(this.#deadlinesNs.length, nowNs);
  }

  /** Shows a copy of every stored key. */
  forEach(visit: (key: Int32Array, deadlineNs: number) => void): void {
    this.#deadlinesNs.forEach((deadlineNs, slot) => {
      if (!Number.isNaN(deadlineNs)) visit(this.#keys.slice(slot * this.#words, (slot + 1) * this.#words), deadlineNs);
    });
  }

  copy(): KeyTable {
    const copy = new KeyTable(this.#words);
    copy.#keys = this.#keys.slice();
    copy.#deadlinesNs = this.#deadlinesNs.slice();
    copy.#size = this.#size;
    return copy;
  }

  #rebuild(slots: number, nowNs: number): void {
    const keys = this.#keys;
    const deadlinesNs = this.#deadlinesNs;
    this.#keys = new Int32Array(slots * this.#words);
    this.#deadlinesNs = new Float64Array(slots).fill(Number.NaN);
    this.#size = 0;
    for (let slot = 0; slot < deadlinesNs.length; slot++) {
      // An empty slot's NaN is after nothing.
      if (!(nowNs < deadlinesNs[slot]!)) continue;
      this.#insert(keys.subarray(slot * this.#words, (slot + 1) * this.#words), deadlinesNs[slot]!);
    }
  }

  #insert(key: Int32Array, deadlineNs: number): void {
    const mask = this.#deadlinesNs.length - 1;
    let slot = this.#hash(key, 0) & mask;
    while (!Number.isNaN(this.#deadlinesNs[slot]!)) slot = (slot + 1) & mask;
    this.#keys.set(key, slot * this.#words);
    this.#deadlinesNs[slot] = deadlineNs;
    this.#size++;
  }

  #find(key: Int32Array): number {
    const mask = this.#deadlinesNs.length - 1;
    let slot = this.#hash(key, 0) & mask;
    while (!Number.isNaN(this.#deadlinesNs[slot]!)) {
      if (this.#isKey(key, slot)) return slot;
      slot = (slot + 1) & mask;
    }
    return -1;
  }

  #isKey(key: Int32Array, slot: number): boolean {
    const base = slot * this.#words;
    for (let i = 0; i < this.#words; i++) if (this.#keys[base + i] !== key[i]) return false;
    return true;
  }

  #hash(words: Int32Array, base: number): number {
    let h = SEED;
    for (let i = 0; i < this.#words; i++) {
      h = Math.imul(h ^ words[base + i]!, 0x85ebca6b);
      h ^= h >>> 15;
    }
    h = Math.imul(h, 0xc2b2ae35);
    return h ^ (h >>> 16);
  }
}

/** A power of two, as every later number of slots. */
const FIRST_SLOTS = 16;
const SEED = 0x2545f491;

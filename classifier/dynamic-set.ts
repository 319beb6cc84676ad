import type { FieldName, Interval, SetType } from '../rules/rule.ts';
import { SET_TYPE_BITS } from '../rules/rule.ts';
import { wordsOf } from './field.ts';
import { KeyTable } from './key-table.ts';

/** A field of each type: a key has the words of its values, as `wordsOf` splits them. */
const FIELD_OF: Readonly<Record<SetType, FieldName>> = {
  ipv4_addr: 'ip.saddr',
  ipv6_addr: 'ip6.saddr',
  ether_addr: 'ether.saddr',
  inet_service: 'th.sport',
  inet_proto: 'meta.l4proto',
};

export interface LiveElement {
  /** One for each of the set's types. */
  readonly intervals: readonly Interval[];
  /** From then on it is gone; null: it stays. */
  readonly deadlineNs: number | null;
}

interface Range {
  readonly low: Int32Array;
  readonly high: Int32Array;
  deadlineNs: number;
}

/**
 * The elements of a set that come and go while the rules stay. An element with a timeout is gone at exactly its deadline. Single
 * values lie in a hash table; elements with a prefix or range are tried one after another.
 */
export class DynamicSet {
  readonly types: readonly SetType[];
  /** Words of a key: those of each field's value, one field after another. */
  readonly keyWords: number;
  readonly maxElements: number;
  /** For elements that are added without a timeout; null: they stay. */
  readonly timeoutNs: number | null;
  /** Elements that found the set full. */
  refused = 0;
  #exact: KeyTable;
  #ranges: Range[] = [];
  /** Where each field's words begin in a key, and at last where they end. */
  readonly #starts: Int32Array;

  constructor(types: readonly SetType[], maxElements: number, timeoutNs: number | null = null) {
    this.types = types;
    this.maxElements = maxElements;
    this.timeoutNs = timeoutNs;
    this.#starts = new Int32Array(types.length + 1);
    types.forEach((type, i) => {
      this.#starts[i + 1] = this.#starts[i]! + wordsOf(FIELD_OF[type], 0n).length;
    });
    this.keyWords = this.#starts[types.length]!;
    this.#exact = new KeyTable(this.keyWords);
  }

  /**
   * HOT: allocates nothing.
   * @param key `keyWords` words; more may follow
   * @param now as `LiveState.now`
   */
  has(key: Int32Array, now: Float64Array): boolean {
    if (this.#exact.size > 0 && this.#exact.isAlive(key, now)) return true;
    for (let i = 0; i < this.#ranges.length; i++) {
      const range = this.#ranges[i]!;
      if (now[0]! < range.deadlineNs && this.#isInside(key, range)) return true;
    }
    return false;
  }

  /**
   * Adds an element; one that is there already gets a new deadline instead, as with nft's `update`.
   * @param intervals one for each of the set's types
   * @param timeoutNs null: the set's own, without one the element stays
   * @returns false if the set is full of elements that have not expired: nothing was added, `refused` counts it
   */
  add(intervals: readonly Interval[], timeoutNs: number | null, nowNs: number): boolean {
    const deadlineNs = nowNs + (timeoutNs ?? this.timeoutNs ?? Number.POSITIVE_INFINITY);
    const low = this.#keyOf(intervals, 'low');
    if (isExact(intervals)) {
      if (!this.#exact.has(low) && !this.#makeRoom(nowNs)) return false;
      this.#exact.put(low, deadlineNs);
      return true;
    }
    const high = this.#keyOf(intervals, 'high');
    const known = this.#findRange(low, high);
    if (known >= 0) {
      this.#ranges[known]!.deadlineNs = deadlineNs;
      return true;
    }
    // Every range costs time at each lookup, so expired ones go as soon as another comes.
    this.#ranges = this.#ranges.filter((range) => nowNs < range.deadlineNs);
    if (!this.#makeRoom(nowNs)) return false;
    this.#ranges.push({ low, high, deadlineNs });
    return true;
  }

  /** @returns whether an element of exactly these intervals was there and had not expired */
  delete(intervals: readonly Interval[], nowNs: number): boolean {
    const low = this.#keyOf(intervals, 'low');
    if (isExact(intervals)) {
      const wasAlive = this.#exact.isAlive(low, Float64Array.of(nowNs));
      this.#exact.delete(low);
      return wasAlive;
    }
    const known = this.#findRange(low, this.#keyOf(intervals, 'high'));
    if (known < 0) return false;
    return nowNs < this.#ranges.splice(known, 1)[0]!.deadlineNs;
  }

  clear(): void {
    this.#exact = new KeyTable(this.keyWords);
    this.#ranges = [];
  }

  /** @returns the elements that have not expired, by value */
  list(nowNs: number): LiveElement[] {
    const { elements } = this.page(0, Number.POSITIVE_INFINITY, nowNs);
    return elements.sort((a, b) => compareIntervals(a.intervals, b.intervals));
  }

  /**
   * Elements that have not expired, in no order that means anything; while the set does not change it is the same one.
   * @param from how many to leave out
   * @returns up to `limit` of them, and how many there are
   */
  page(from: number, limit: number, nowNs: number): { readonly elements: LiveElement[]; readonly total: number } {
    const elements: LiveElement[] = [];
    let total = 0;
    const add = (low: Int32Array, high: Int32Array, deadlineNs: number) => {
      if (!(nowNs < deadlineNs)) return;
      if (total >= from && total < from + limit) elements.push(this.#elementOf(low, high, deadlineNs));
      total++;
    };
    this.#exact.forEach((key, deadlineNs) => {
      add(key, key, deadlineNs);
    });
    for (const { low, high, deadlineNs } of this.#ranges) add(low, high, deadlineNs);
    return { elements, total };
  }

  /** Takes the elements of a set of the same types, which must not be used again. */
  takeOver(other: DynamicSet): void {
    this.#exact = other.#exact;
    this.#ranges = other.#ranges;
    this.refused = other.refused;
  }

  /** Has the elements that a set of the same types has now. */
  copyFrom(other: DynamicSet): void {
    this.#exact = other.#exact.copy();
    this.#ranges = other.#ranges.map((range) => ({ ...range }));
    this.refused = other.refused;
  }

  #elementOf(low: Int32Array, high: Int32Array, deadlineNs: number): LiveElement {
    return {
      intervals: this.types.map((_, i) => ({ low: this.#valueOf(low, i), high: this.#valueOf(high, i) })),
      deadlineNs: deadlineNs === Number.POSITIVE_INFINITY ? null : deadlineNs,
    };
  }

  #makeRoom(nowNs: number): boolean {
    if (this.#exact.size + this.#ranges.length < this.maxElements) return true;
    this.#exact.dropExpired(nowNs);
    this.#ranges = this.#ranges.filter((range) => nowNs < range.deadlineNs);
    if (this.#exact.size + this.#ranges.length < this.maxElements) return true;
    this.refused++;
    return false;
  }

  #keyOf(intervals: readonly Interval[], end: 'low' | 'high'): Int32Array {
    const key = new Int32Array(this.keyWords);
    intervals.forEach((interval, i) => {
      key.set(wordsOf(FIELD_OF[this.types[i]!], interval[end]), this.#starts[i]!);
    });
    return key;
  }

  #valueOf(key: Int32Array, field: number): bigint {
    const from = this.#starts[field]!;
    const to = this.#starts[field + 1]!;
    const lastBits = SET_TYPE_BITS[this.types[field]!] - 32 * (to - from - 1);
    let value = 0n;
    for (let i = from; i < to; i++) {
      const bits = i === to - 1 ? lastBits : 32;
      value = (value << BigInt(bits)) | BigInt.asUintN(bits, BigInt(key[i]!));
    }
    return value;
  }

  #findRange(low: Int32Array, high: Int32Array): number {
    return this.#ranges.findIndex((range) => isEqual(range.low, low) && isEqual(range.high, high));
  }

  #isInside(key: Int32Array, range: Range): boolean {
    for (let i = 0; i < this.types.length; i++) {
      const from = this.#starts[i]!;
      const to = this.#starts[i + 1]!;
      if (compareWords(key, range.low, from, to) < 0 || compareWords(key, range.high, from, to) > 0) return false;
    }
    return true;
  }
}

/** @returns below, at or above 0 as `a` is below, at or above `b`, unsigned */
function compareWords(a: Int32Array, b: Int32Array, from: number, to: number): number {
  for (let i = from; i < to; i++) {
    // Flipping the top bit makes the signed comparison of int32 an unsigned one, without leaving int32.
    const left = a[i]! ^ 0x80000000;
    const right = b[i]! ^ 0x80000000;
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}

function isExact(intervals: readonly Interval[]): boolean {
  return intervals.every(({ low, high }) => low === high);
}

function isEqual(a: Int32Array, b: Int32Array): boolean {
  return a.every((word, i) => word === b[i]);
}

function compareIntervals(a: readonly Interval[], b: readonly Interval[]): number {
  for (const [i, { low, high }] of a.entries()) {
    const other = b[i]!;
    if (low !== other.low) return low < other.low ? -1 : 1;
    if (high !== other.high) return high < other.high ? -1 : 1;
  }
  return 0;
}

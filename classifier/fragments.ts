import { FLOW_KEY_WORDS, flowKey, hashFlowKey } from './flow-key.ts';
import type { Parsed } from './parsed.ts';
import { REASON, type Reason } from './verdict.ts';

/** Packets in fragments that are followed at once; the oldest gives way, and its later fragments are held. */
const MAX_PACKETS = 1024;
/** Linux keeps an incomplete packet this long (ipfrag_time). */
const TIMEOUT_NS = 30e9;
/** A packet is at most 65,535 bytes in units of 8: one bit each (RFC 791 §3.1). */
const MAP_WORDS = 8192 / 32;
const BUCKETS = 4096;

/**
 * Remembers what was decided about first fragments, so that later ones, which have no ports, share their fate.
 * Bounded in packets and time, allocates only when it is made. An overlap (RFC 5722) spoils the whole packet.
 */
export class FragmentTable {
  readonly #keys = new Int32Array(MAX_PACKETS * FLOW_KEY_WORDS);
  readonly #maps = new Int32Array(MAX_PACKETS * MAP_WORDS);
  readonly #decisions = new Int32Array(MAX_PACKETS);
  readonly #spoiled = new Uint8Array(MAX_PACKETS);
  /** Counts up with every packet: the least is the oldest. */
  readonly #order = new Float64Array(MAX_PACKETS);
  readonly #bornNs = new Float64Array(MAX_PACKETS);
  readonly #seenUnits = new Int32Array(MAX_PACKETS);
  /** Where the furthest fragment ends. */
  readonly #endUnits = new Int32Array(MAX_PACKETS);
  /** Units of the whole packet, 0 until the last fragment was seen. */
  readonly #allUnits = new Int32Array(MAX_PACKETS);
  /** In a bucket, or among the free entries, the one that follows. */
  readonly #next = new Int32Array(MAX_PACKETS);
  readonly #bucket = new Int32Array(MAX_PACKETS);
  readonly #buckets = new Int32Array(BUCKETS).fill(-1);
  readonly #key = new Int32Array(FLOW_KEY_WORDS);
  #free = -1;
  #packets = 0;
  /** What was decided about the first fragment of the packet that `follow` found. */
  decision = 0;

  constructor() {
    this.clear();
  }

  /**
   * Records the first fragment of a packet and what was decided about it.
   * @returns 0, or the reason for which the fragment is held
   */
  begin(p: Parsed, decision: number, now: Float64Array): Reason | 0 {
    const known = this.#find(p, now);
    if (known >= 0) {
      this.#spoiled[known] = 1;
      return REASON.fragmentOverlap;
    }
    const entry = this.#take();
    const bucket = hashFlowKey(this.#key) & (BUCKETS - 1);
    this.#keys.set(this.#key, entry * FLOW_KEY_WORDS);
    this.#maps.fill(0, entry * MAP_WORDS, (entry + 1) * MAP_WORDS);
    this.#order[entry] = this.#packets++;
    this.#spoiled[entry] = 0;
    this.#decisions[entry] = decision;
    this.#bornNs[entry] = now[0]!;
    this.#seenUnits[entry] = 0;
    this.#endUnits[entry] = 0;
    this.#allUnits[entry] = 0;
    this.#next[entry] = this.#buckets[bucket]!;
    this.#bucket[entry] = bucket;
    this.#buckets[bucket] = entry;
    this.#mark(entry, p);
    return 0;
  }

  /**
   * Judges a later fragment; `decision` is then what was recorded for its first one.
   * @returns 0, or the reason for which it is held
   */
  follow(p: Parsed, now: Float64Array): Reason | 0 {
    const entry = this.#find(p, now);
    if (entry < 0) return REASON.fragmentUnknown;
    if (this.#spoiled[entry] === 1 || !this.#mark(entry, p)) {
      this.#spoiled[entry] = 1;
      return REASON.fragmentOverlap;
    }
    this.decision = this.#decisions[entry]!;
    if (this.#seenUnits[entry] === this.#allUnits[entry]) this.#forget(entry);
    return 0;
  }

  /** Forgets every packet: their later fragments are held. Decisions of one rule set mean nothing to the next. */
  clear(): void {
    this.#buckets.fill(-1);
    for (let entry = 0; entry < MAX_PACKETS; entry++) this.#next[entry] = entry - 1;
    this.#free = MAX_PACKETS - 1;
  }

  #find(p: Parsed, now: Float64Array): number {
    flowKey(this.#key, p);
    let entry = this.#buckets[hashFlowKey(this.#key) & (BUCKETS - 1)]!;
    while (entry >= 0 && !this.#isKey(entry)) entry = this.#next[entry]!;
    if (entry >= 0 && now[0]! - this.#bornNs[entry]! > TIMEOUT_NS) {
      this.#forget(entry);
      return -1;
    }
    return entry;
  }

  #isKey(entry: number): boolean {
    const base = entry * FLOW_KEY_WORDS;
    for (let i = 0; i < FLOW_KEY_WORDS; i++) if (this.#keys[base + i] !== this.#key[i]) return false;
    return true;
  }

  /** @returns a free entry; where there is none, the oldest packet's */
  #take(): number {
    if (this.#free < 0) this.#forget(this.#oldest());
    const entry = this.#free;
    this.#free = this.#next[entry]!;
    return entry;
  }

  #oldest(): number {
    let oldest = 0;
    for (let i = 1; i < MAX_PACKETS; i++) if (this.#order[i]! < this.#order[oldest]!) oldest = i;
    return oldest;
  }

  #forget(entry: number): void {
    const bucket = this.#bucket[entry]!;
    if (this.#buckets[bucket] === entry) {
      this.#buckets[bucket] = this.#next[entry]!;
    } else {
      let at = this.#buckets[bucket]!;
      while (this.#next[at] !== entry) at = this.#next[at]!;
      this.#next[at] = this.#next[entry]!;
    }
    this.#next[entry] = this.#free;
    this.#free = entry;
  }

  /**
   * Marks the fragment's bytes as seen.
   * @returns false when it overlaps what was seen, or contradicts where the packet ends
   */
  #mark(entry: number, p: Parsed): boolean {
    const from = p.fragOffset >> 3;
    const to = (p.fragOffset + p.fragLength + 7) >> 3;
    const all = this.#allUnits[entry]!;
    if (all > 0 && (to > all || p.moreFrags === 0)) return false;
    const base = entry * MAP_WORDS;
    for (let unit = from; unit < to; unit++) {
      const word = base + (unit >> 5);
      const bit = 1 << (unit & 31);
      if ((this.#maps[word]! & bit) !== 0) return false;
      this.#maps[word]! |= bit;
    }
    this.#seenUnits[entry]! += to - from;
    if (to > this.#endUnits[entry]!) this.#endUnits[entry] = to;
    if (p.moreFrags === 0) this.#allUnits[entry] = to;
    return p.moreFrags === 1 || this.#endUnits[entry] === to;
  }
}

import { type Box, covers } from './box.ts';
import type { Rule } from './rule.ts';
import type { Work } from './work.ts';

/** A box of frames that a rule decides. */
export interface Entry {
  readonly rule: Rule;
  readonly box: Box;
}

/** More than so many candidates at one place are not kept: a warning may then be missed, none is ever wrong. */
const MAX_CANDIDATES = 64;
/** A side with more intervals than this is filed under the one interval that spans them. */
const MAX_FILED = 32;
/** Intervals of wider sides are filed under the one subtree around them. */
const MAX_CUT_BITS = 32;
/** Only so many combinations of sides are looked at for one box. */
const MAX_GROUPS = 512;
/** Bucket of the boxes without any side. */
const NO_KEY = '';

/**
 * Finds, among earlier boxes, one that covers a later one, without trying each. Boxes with the same sides form a group; in a
 * group they are filed under one side (the one that tells them apart best) in a binary tree of its values, so that the
 * boxes around a value are on the path from its leaf to the root. A group is looked up by its rarest side.
 */
export class CoverIndex {
  /** How many of the boxes have a side of this name. */
  readonly uses: ReadonlyMap<string, number>;
  readonly #groups = new Map<string, Group>();
  readonly #buckets = new Map<string, Group[]>();

  /** @param boxes all that will ever be added; adding comes later, in rule order */
  constructor(boxes: readonly Box[]) {
    const uses = new Map<string, number>();
    for (const box of boxes) for (const key of box.keys()) uses.set(key, (uses.get(key) ?? 0) + 1);
    this.uses = uses;
    const members = new Map<string, Box[]>();
    for (const box of boxes) append(members, groupId(box), box);
    for (const [id, alike] of members) {
      const group = new Group(alike);
      this.#groups.set(id, group);
      append(this.#buckets, this.#rarest(alike[0]!), group);
    }
  }

  #rarest(box: Box): string {
    return [...box.keys()].sort((a, b) => this.uses.get(a)! - this.uses.get(b)!)[0] ?? NO_KEY;
  }

  add(entry: Entry): void {
    this.#groups.get(groupId(entry.box))!.add(entry);
  }

  /** @returns the entry of the earliest rule that covers the box; null also when the work is used up */
  find(box: Box, work: Work): Entry | null {
    let best: Entry | null = null;
    let groups = 0;
    for (const key of [NO_KEY, ...box.keys()]) {
      for (const group of this.#buckets.get(key) ?? []) {
        if (++groups > MAX_GROUPS || !work.spend(1)) return best;
        const found = group.find(box, work);
        if (found !== null && (best === null || found.rule.handle < best.rule.handle)) best = found;
      }
    }
    return best;
  }
}

function append<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [item]);
  else list.push(item);
}

function groupId(box: Box): string {
  return [...box.keys()].sort().join('\n');
}

class Group {
  readonly #keys: readonly string[];
  /** The side that the boxes are filed under; null if they have none. */
  readonly #pivot: string | null;
  readonly #nodes = new Map<bigint, Entry[]>();
  readonly #levels = new Set<bigint>();

  /** @param boxes all that will ever be added; at least one */
  constructor(boxes: readonly Box[]) {
    this.#keys = [...boxes[0]!.keys()];
    const spread = new Map(this.#keys.map((key) => [key, new Set(boxes.map((box) => box.get(key)!.set[0]!.low)).size]));
    this.#pivot = [...this.#keys].sort((a, b) => spread.get(b)! - spread.get(a)!)[0] ?? null;
  }

  add(entry: Entry): void {
    if (this.#pivot === null) {
      this.#file(1n, 0n, entry);
      return;
    }
    const { bits, set } = entry.box.get(this.#pivot)!;
    if (set.length > MAX_FILED) this.#fileInterval(set[0]!.low, set.at(-1)!.high, bits, entry);
    else for (const { low, high } of set) this.#fileInterval(low, high, bits, entry);
  }

  find(box: Box, work: Work): Entry | null {
    if (!this.#keys.every((key) => box.has(key))) return null;
    if (this.#pivot === null) return this.#best(1n, box, work, null);
    const { bits, set } = box.get(this.#pivot)!;
    const leaf = (1n << BigInt(bits)) | set[0]!.low;
    let best: Entry | null = null;
    for (const level of this.#levels) best = this.#best(leaf >> level, box, work, best);
    return best;
  }

  #best(node: bigint, box: Box, work: Work, best: Entry | null): Entry | null {
    for (const candidate of this.#nodes.get(node) ?? []) {
      if (best !== null && best.rule.handle <= candidate.rule.handle) break;
      if (!work.spend(costOf(candidate.box))) break;
      if (covers(candidate.box, box)) return candidate;
    }
    return best;
  }

  /** Under the fewest whole subtrees that make up the interval. Node 1 is the root, 2n and 2n+1 are the children of n. */
  #fileInterval(from: bigint, to: bigint, bits: number, entry: Entry): void {
    const leaves = 1n << BigInt(bits);
    let low = leaves + from;
    let high = leaves + to + 1n;
    if (bits > MAX_CUT_BITS) {
      // Ends at any bit would take hundreds of subtrees; a prefix still takes one.
      const level = from === to ? 0n : BigInt((from ^ to).toString(2).length);
      this.#file(low >> level, level, entry);
      return;
    }
    for (let level = 0n; low < high; level++) {
      if ((low & 1n) === 1n) this.#file(low++, level, entry);
      if ((high & 1n) === 1n) this.#file(--high, level, entry);
      low >>= 1n;
      high >>= 1n;
    }
  }

  #file(node: bigint, level: bigint, entry: Entry): void {
    this.#levels.add(level);
    const candidates = this.#nodes.get(node);
    if (candidates === undefined) this.#nodes.set(node, [entry]);
    else if (candidates.length < MAX_CANDIDATES) candidates.push(entry);
  }
}

/** Comparing a long list takes longer. */
function costOf(box: Box): number {
  let cost = 0;
  for (const { set } of box.values()) cost += set.length;
  return cost;
}

import { type Region, type RegionKey, widthOf } from './region.ts';
import type { Interval } from './rule.ts';

/** More than so many candidates at one place are not kept: a warning may then be missed, none is ever wrong. */
const MAX_CANDIDATES = 16;

/**
 * Finds, among earlier regions, one that covers a later one, without trying each. Regions with the same fields form a group; in
 * a group they are filed under one of the fields (the one that tells them apart best) in a binary tree of that field's values, so
 * that the regions around a value are on the path from its leaf to the root.
 */
export class CoverIndex {
  readonly #groups = new Map<string, Group>();

  /** @param regions all that will ever be added or asked for; adding comes later, in rule order */
  constructor(regions: readonly Region[]) {
    for (const region of regions) {
      const id = groupId(region);
      const group = this.#groups.get(id);
      if (group === undefined) this.#groups.set(id, new Group(region));
      else group.note(region);
    }
  }

  add(region: Region): void {
    if (region.exact) this.#groups.get(groupId(region))!.add(region);
  }

  /** @returns the region of the earliest rule that covers this one */
  find(region: Region): Region | null {
    let best: Region | null = null;
    for (const group of this.#groups.values()) {
      const found = group.find(region);
      if (found !== null && (best === null || found.rule.handle < best.rule.handle)) best = found;
    }
    return best;
  }
}

function groupId(region: Region): string {
  return `${region.headers} ${region.apps} ${[...region.sides.keys()].sort().join(' ')}`;
}

class Group {
  readonly #sample: Region;
  /** Distinct starts of each side among the group's regions: the pivot is the field with the most. */
  readonly #starts = new Map<RegionKey, Set<bigint>>();
  readonly #nodes = new Map<bigint, Region[]>();
  readonly #levels = new Set<bigint>();
  #pivot: RegionKey | null = null;
  #isEmpty = true;

  constructor(sample: Region) {
    this.#sample = sample;
    this.note(sample);
  }

  note(region: Region): void {
    for (const [key, side] of region.sides) {
      const starts = this.#starts.get(key) ?? new Set();
      this.#starts.set(key, starts.add(side[0]?.low ?? 0n));
    }
  }

  add(region: Region): void {
    if (this.#isEmpty) {
      const bySpread = [...this.#starts].sort((a, b) => b[1].size - a[1].size);
      this.#pivot = bySpread[0]?.[0] ?? null;
      this.#isEmpty = false;
    }
    if (this.#pivot === null) this.#file(1n, 0n, region);
    else
      for (const interval of region.sides.get(this.#pivot)!) this.#fileInterval(interval, widthOf(this.#pivot), region);
  }

  find(region: Region): Region | null {
    const sample = this.#sample;
    if (this.#isEmpty || (sample.headers & ~region.headers) !== 0 || (sample.apps & ~region.apps) !== 0) return null;
    if (this.#pivot === null) return this.#best(1n, region, null);
    // Without this side the region reaches over all values; nothing in the group does.
    const side = region.sides.get(this.#pivot)?.[0];
    if (side === undefined) return null;
    const leaf = (1n << BigInt(widthOf(this.#pivot))) | side.low;
    let best: Region | null = null;
    for (const level of this.#levels) best = this.#best(leaf >> level, region, best);
    return best;
  }

  #best(node: bigint, region: Region, best: Region | null): Region | null {
    const found = this.#nodes.get(node)?.find((candidate) => candidate.covers(region)) ?? null;
    if (found === null) return best;
    return best === null || found.rule.handle < best.rule.handle ? found : best;
  }

  /** Under the fewest whole subtrees that make up the interval. Node 1 is the root, 2n and 2n+1 are the children of n. */
  #fileInterval(interval: Interval, width: number, region: Region): void {
    const leaves = 1n << BigInt(width);
    let low = leaves + interval.low;
    let high = leaves + interval.high + 1n;
    for (let level = 0n; low < high; level++) {
      if ((low & 1n) === 1n) this.#file(low++, level, region);
      if ((high & 1n) === 1n) this.#file(--high, level, region);
      low >>= 1n;
      high >>= 1n;
    }
  }

  #file(node: bigint, level: bigint, region: Region): void {
    this.#levels.add(level);
    const candidates = this.#nodes.get(node);
    if (candidates === undefined) this.#nodes.set(node, [region]);
    else if (candidates.length < MAX_CANDIDATES) candidates.push(region);
  }
}

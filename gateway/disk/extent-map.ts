/** Extents in a leaf of the map. */
const LEAF = 128;
/** A leaf that shrinks below this is joined with a neighbour, if there is room. */
const SMALL = LEAF / 4;
/** Numbers of an extent: first byte, byte behind the last one, where its bytes are. */
const STRIDE = 3;

/** Where bytes are that no log holds: they are zero, and the image may have a hole there or must not. */
export const ZERO = { hole: -1, kept: -2 } as const;

/** Of `visit`: nothing is known of these bytes. */
export const GAP = -3;

export type VisitExtent = (from: number, to: number, at: number) => void;

class Leaf {
  readonly numbers = new Float64Array(STRIDE * LEAF);
  count = 0;

  from(index: number): number {
    return this.numbers[STRIDE * index]!;
  }

  to(index: number): number {
    return this.numbers[STRIDE * index + 1]!;
  }

  at(index: number): number {
    return this.numbers[STRIDE * index + 2]!;
  }

  put(index: number, from: number, to: number, at: number): void {
    this.numbers[STRIDE * index] = from;
    this.numbers[STRIDE * index + 1] = to;
    this.numbers[STRIDE * index + 2] = at;
  }

  insert(index: number, from: number, to: number, at: number): void {
    this.numbers.copyWithin(STRIDE * (index + 1), STRIDE * index, STRIDE * this.count);
    this.put(index, from, to, at);
    this.count++;
  }

  remove(index: number, count: number): void {
    this.numbers.copyWithin(STRIDE * index, STRIDE * (index + count), STRIDE * this.count);
    this.count -= count;
  }

  /** Takes over what another one has from `index` on. */
  append(other: Leaf, index: number): void {
    this.numbers.set(other.numbers.subarray(STRIDE * index, STRIDE * other.count), STRIDE * this.count);
    this.count += other.count - index;
    other.count = index;
  }
}

/**
 * Which bytes of a disk were written, and where they are now: extents that do not overlap, by their first byte. An address `at` is a
 * place in the redo log, of the extent's first byte, or one of `ZERO`. A B+ tree of two levels: a change costs a logarithm and the
 * move of a leaf or of the list of leaves.
 */
export class ExtentMap {
  #leaves: Leaf[] = [];
  #size = 0;

  /** Extents. */
  get size(): number {
    return this.#size;
  }

  /** Bytes `from` to `to`, exclusive, are at `at` from now on, whatever was known of them. */
  set(from: number, to: number, at: number): void {
    if (from >= to) return;
    this.#split(from);
    this.#split(to);
    this.#removeWhole(from, to);
    this.#insert(from, to, at);
  }

  /** Calls back for every extent and every gap between `from` and `to`, in order, cut to that range. */
  visit(from: number, to: number, each: VisitExtent): void {
    let next = from;
    let leafIndex = this.#leafOf(from);
    let index = leafIndex < this.#leaves.length ? this.#indexIn(this.#leaves[leafIndex]!, from) : 0;
    for (; leafIndex < this.#leaves.length; leafIndex++, index = 0) {
      const leaf = this.#leaves[leafIndex]!;
      for (; index < leaf.count; index++) {
        const start = leaf.from(index);
        if (start >= to) {
          if (next < to) each(next, to, GAP);
          return;
        }
        if (start > next) each(next, start, GAP);
        const first = Math.max(start, next);
        const end = Math.min(leaf.to(index), to);
        const at = leaf.at(index);
        each(first, end, at < 0 ? at : at + (first - start));
        next = end;
      }
    }
    if (next < to) each(next, to, GAP);
  }

  /** Calls back for every extent, in order. The map must not change meanwhile. */
  forEach(each: VisitExtent): void {
    for (const leaf of this.#leaves) {
      for (let index = 0; index < leaf.count; index++) each(leaf.from(index), leaf.to(index), leaf.at(index));
    }
  }

  /** First leaf with an extent that ends behind `position`. */
  #leafOf(position: number): number {
    let low = 0;
    let high = this.#leaves.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const leaf = this.#leaves[middle]!;
      if (leaf.to(leaf.count - 1) > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** First extent of a leaf that ends behind `position`. */
  #indexIn(leaf: Leaf, position: number): number {
    let low = 0;
    let high = leaf.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (leaf.to(middle) > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Afterwards no extent goes across `position`. */
  #split(position: number): void {
    const leafIndex = this.#leafOf(position);
    if (leafIndex === this.#leaves.length) return;
    const leaf = this.#leaves[leafIndex]!;
    const index = this.#indexIn(leaf, position);
    const from = leaf.from(index);
    if (from >= position) return;
    const at = leaf.at(index);
    const to = leaf.to(index);
    leaf.put(index, from, position, at);
    this.#insertAt(leafIndex, index + 1, position, to, at < 0 ? at : at + (position - from));
  }

  /** Removes extents that lie between `from` and `to`; none goes across either. */
  #removeWhole(from: number, to: number): void {
    const first = this.#leafOf(from);
    if (first === this.#leaves.length) return;
    let index = this.#indexIn(this.#leaves[first]!, from);
    let leafIndex = first;
    for (; leafIndex < this.#leaves.length; leafIndex++, index = 0) {
      const leaf = this.#leaves[leafIndex]!;
      let end = index;
      while (end < leaf.count && leaf.from(end) < to) end++;
      const goesOn = end === leaf.count;
      this.#size -= end - index;
      leaf.remove(index, end - index);
      if (!goesOn) break;
    }
    const last = Math.min(leafIndex, this.#leaves.length - 1);
    const left = this.#leaves.slice(first, last + 1).filter((leaf) => leaf.count > 0);
    if (left.length <= last - first) this.#leaves.splice(first, last - first + 1, ...left);
    this.#join(first);
    this.#join(first - 1);
  }

  /** Joins a leaf and the next one where one of them is small. */
  #join(leafIndex: number): void {
    const leaf = this.#leaves[leafIndex];
    const next = this.#leaves[leafIndex + 1];
    if (leaf === undefined || next === undefined) return;
    if (Math.min(leaf.count, next.count) >= SMALL || leaf.count + next.count > LEAF - SMALL) return;
    leaf.append(next, 0);
    this.#leaves.splice(leafIndex + 1, 1);
  }

  /** Nothing is known of `from` to `to`. */
  #insert(from: number, to: number, at: number): void {
    const leafIndex = this.#leafOf(from);
    if (leafIndex === this.#leaves.length) {
      if (leafIndex === 0) this.#leaves.push(new Leaf());
      const last = this.#leaves.length - 1;
      this.#insertAt(last, this.#leaves[last]!.count, from, to, at);
    } else {
      this.#insertAt(leafIndex, this.#indexIn(this.#leaves[leafIndex]!, from), from, to, at);
    }
  }

  #insertAt(leafIndex: number, index: number, from: number, to: number, at: number): void {
    const leaf = this.#leaves[leafIndex]!;
    this.#size++;
    if (leaf.count < LEAF) {
      leaf.insert(index, from, to, at);
      return;
    }
    // Written in order, a disk fills its leaves.
    const half = index === LEAF && leafIndex === this.#leaves.length - 1 ? LEAF : LEAF / 2;
    const next = new Leaf();
    next.append(leaf, half);
    this.#leaves.splice(leafIndex + 1, 0, next);
    if (index <= half && leaf.count < LEAF) leaf.insert(index, from, to, at);
    else next.insert(index - half, from, to, at);
  }
}

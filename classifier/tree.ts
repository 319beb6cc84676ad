import type { Box } from './box.ts';
import { EMPTY_LEAF, MAX_DEPTH, NODE, NONE } from './matcher.ts';

/*
 * The trees that narrow a frame down to a few rules.
 *
 * A node cuts one word into equal cells, whose width is a power of two so that a shift finds the cell. Boxes that lie in
 * few cells go down into those; boxes that would lie in many go to the node's `rest`, a tree of its own which is asked
 * too. So no rule is copied often, whatever the rules are, and the tables stay proportional to their number.
 *
 *     node: word | low | span | shift | first child | rest | first rule
 *     distance = key[word] - low;  distance > span: only `rest`;  else children[first child + (distance >>> shift)]
 */

/** Comparing this many rules costs less than a further node. */
const LEAF_RULES = 4;
/** A box in more cells than this goes to the rest. */
const MAX_COPIES = 8;
const MAX_CELLS = 1 << 14;
/** Leaf entries per box, and a few more for small sets, beyond which nothing is cut any more. */
const BUDGET_PER_BOX = 12;
const BUDGET_FLOOR = 4096;
const ALL_ONES = 0xffffffff;
const IN_REST = -1;

/** `low` to `low + span` of one word in cells `2 ** shift` wide. */
interface Cut {
  readonly column: number;
  readonly low: number;
  readonly span: number;
  readonly shift: number;
  readonly cells: number;
}

export class TreeBuilder {
  readonly nodes: number[] = [];
  readonly children: number[] = [];
  readonly leaves: number[] = [NONE];
  readonly #counts = new Int32Array(MAX_CELLS);
  // What follows is set anew for each tree.
  #words!: readonly number[];
  #rules!: Int32Array;
  /** By column (a word that some box limits), then by box. */
  #lows!: readonly Uint32Array[];
  #highs!: readonly Uint32Array[];
  /** By column: the part of the word's values that the present node is asked about. */
  #regionLow!: number[];
  #regionHigh!: number[];
  /** By box: the cells of the cut that `#locate` last looked at. */
  #firstCell!: Int32Array;
  #lastCell!: Int32Array;
  #budget!: number;

  /**
   * @param boxes in the order of their rules
   * @returns a node reference
   */
  build(boxes: readonly Box[]): number {
    this.#words = [...new Set(boxes.flatMap((box) => box.ranges.map((range) => range.word)))];
    this.#rules = Int32Array.from(boxes, (box) => box.rule);
    this.#lows = this.#words.map(() => new Uint32Array(boxes.length));
    this.#highs = this.#words.map(() => new Uint32Array(boxes.length).fill(ALL_ONES));
    this.#regionLow = this.#words.map(() => 0);
    this.#regionHigh = this.#words.map(() => ALL_ONES);
    this.#firstCell = new Int32Array(boxes.length);
    this.#lastCell = new Int32Array(boxes.length);
    this.#budget = boxes.length * BUDGET_PER_BOX + BUDGET_FLOOR;
    const possible: number[] = [];
    for (let i = 0; i < boxes.length; i++) if (this.#place(i, boxes[i]!)) possible.push(i);
    return this.#split(Int32Array.from(possible), 0);
  }

  /** @returns false if the box is empty: two matches of its rule exclude each other */
  #place(index: number, box: Box): boolean {
    for (const { word, low, high } of box.ranges) {
      const column = this.#words.indexOf(word);
      const lows = this.#lows[column]!;
      const highs = this.#highs[column]!;
      lows[index] = Math.max(lows[index]!, low);
      highs[index] = Math.min(highs[index]!, high);
      if (lows[index]! > highs[index]!) return false;
    }
    return true;
  }

  #split(ids: Int32Array, depth: number): number {
    if (ids.length === 0) return EMPTY_LEAF;
    // Every node puts at most one rest on the matcher's stack, so this also bounds that.
    if (ids.length <= LEAF_RULES || depth === MAX_DEPTH || this.#budget <= 0) return this.#leaf(ids);
    const cut = this.#bestCut(ids);
    return cut === null ? this.#leaf(ids) : this.#node(ids, cut, depth);
  }

  #leaf(ids: Int32Array): number {
    const at = this.leaves.length;
    let last = -1;
    for (const id of ids) {
      const rule = this.#rules[id]!;
      if (rule !== last) this.leaves.push(rule);
      last = rule;
    }
    this.leaves.push(NONE);
    this.#budget -= ids.length;
    return ~at;
  }

  #node(ids: Int32Array, cut: Cut, depth: number): number {
    const { column } = cut;
    const { cells, rest } = this.#deal(ids, cut);
    const at = this.nodes.length;
    const firstChild = this.children.length;
    this.nodes.push(this.#words[column]!, cut.low | 0, cut.span | 0, cut.shift, firstChild, EMPTY_LEAF, 0, 0);
    for (let i = 0; i < cells.length; i++) this.children.push(EMPTY_LEAF);
    this.nodes[at + NODE.firstRule] = this.#rules[ids[0]!]!;
    this.nodes[at + NODE.rest] = this.#split(rest, depth + 1);
    const regionLow = this.#regionLow[column]!;
    const regionHigh = this.#regionHigh[column]!;
    for (let i = 0; i < cells.length; ) {
      // Neighbours with the same boxes share a child.
      let next = i + 1;
      while (next < cells.length && isSame(cells[i]!, cells[next]!)) next++;
      this.#regionLow[column] = cut.low + i * 2 ** cut.shift;
      this.#regionHigh[column] = Math.min(cut.low + next * 2 ** cut.shift - 1, cut.low + cut.span);
      const child = this.#split(cells[i]!, depth + 1);
      for (; i < next; i++) this.children[firstChild + i] = child;
    }
    this.#regionLow[column] = regionLow;
    this.#regionHigh[column] = regionHigh;
    return at;
  }

  #bestCut(ids: Int32Array): Cut | null {
    let best: Cut | null = null;
    // A node costs about as much as comparing one rule: less gain than that is none.
    let bestScore = ids.length - 1;
    for (let column = 0; column < this.#words.length; column++) {
      const cut = this.#cutOf(ids, column);
      if (cut === null) continue;
      const score = this.#score(ids, cut);
      if (score < bestScore) {
        best = cut;
        bestScore = score;
      }
    }
    return best;
  }

  /** A cut of one word with about two cells for each box that limits it here; null if fewer than two boxes do. */
  #cutOf(ids: Int32Array, column: number): Cut | null {
    const lows = this.#lows[column]!;
    const highs = this.#highs[column]!;
    const regionLow = this.#regionLow[column]!;
    const regionHigh = this.#regionHigh[column]!;
    let hullLow = ALL_ONES;
    let hullHigh = 0;
    let limiting = 0;
    for (const id of ids) {
      const low = Math.max(lows[id]!, regionLow);
      const high = Math.min(highs[id]!, regionHigh);
      if (low === regionLow && high === regionHigh) continue;
      limiting++;
      hullLow = Math.min(hullLow, low);
      hullHigh = Math.max(hullHigh, high);
    }
    if (limiting < 2) return null;
    const maxCells = Math.min(MAX_CELLS, 2 ** Math.ceil(Math.log2(limiting * 2)));
    let low = hullLow;
    let shift = 0;
    // Cells start at multiples of their width, so that a prefix does not straddle two.
    while ((hullHigh - low) / 2 ** shift >= maxCells) {
      shift++;
      low = Math.max(regionLow, hullLow - (hullLow % 2 ** shift));
    }
    const span = hullHigh - low;
    return { column, low, span, shift, cells: Math.floor(span / 2 ** shift) + 1 };
  }

  /** Sets the cells of each box, or IN_REST for one that lies in too many or beyond the cut's ends. */
  #locate(ids: Int32Array, cut: Cut): void {
    const lows = this.#lows[cut.column]!;
    const highs = this.#highs[cut.column]!;
    const regionLow = this.#regionLow[cut.column]!;
    const regionHigh = this.#regionHigh[cut.column]!;
    const end = cut.low + cut.span;
    for (const id of ids) {
      const low = Math.max(lows[id]!, regionLow);
      const high = Math.min(highs[id]!, regionHigh);
      const first = (low - cut.low) >>> cut.shift;
      const last = (high - cut.low) >>> cut.shift;
      const isOutside = low < cut.low || high > end;
      this.#firstCell[id] = isOutside || last - first >= MAX_COPIES ? IN_REST : first;
      this.#lastCell[id] = last;
    }
  }

  /** Sets `#counts` of the cells. @returns the number of boxes in the rest */
  #count(ids: Int32Array, cut: Cut): number {
    const counts = this.#counts.fill(0, 0, cut.cells);
    this.#locate(ids, cut);
    let rest = 0;
    for (const id of ids) {
      const first = this.#firstCell[id]!;
      if (first === IN_REST) rest++;
      else for (let cell = first; cell <= this.#lastCell[id]!; cell++) counts[cell]!++;
    }
    return rest;
  }

  /** How many boxes are left to look at, on average over the boxes that a cell holds. */
  #score(ids: Int32Array, cut: Cut): number {
    const rest = this.#count(ids, cut);
    let sum = 0;
    let squares = 0;
    for (const count of this.#counts.subarray(0, cut.cells)) {
      sum += count;
      squares += count * count;
    }
    return rest + squares / Math.max(sum, 1);
  }

  /** Boxes by cell and the rest, each in the order of the rules. */
  #deal(ids: Int32Array, cut: Cut): { readonly cells: Int32Array[]; readonly rest: Int32Array } {
    const rest = new Int32Array(this.#count(ids, cut));
    const cells = Array.from({ length: cut.cells }, (_, cell) => new Int32Array(this.#counts[cell]!));
    const filled = this.#counts.fill(0, 0, cut.cells);
    let inRest = 0;
    for (const id of ids) {
      const first = this.#firstCell[id]!;
      if (first === IN_REST) rest[inRest++] = id;
      else for (let cell = first; cell <= this.#lastCell[id]!; cell++) cells[cell]![filled[cell]!++] = id;
    }
    return { cells, rest };
  }
}

function isSame(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}

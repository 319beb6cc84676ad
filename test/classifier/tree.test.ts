import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Box } from '../../classifier/box.ts';
import { WORD } from '../../classifier/field.ts';
import { EMPTY_LEAF, MAX_DEPTH, NODE, NONE } from '../../classifier/matcher.ts';
import { TreeBuilder } from '../../classifier/tree.ts';

const PORT = WORD.dstPort;
const PROTO = WORD.proto;

/** A leaf is its list of rules. */
type Shown =
  | readonly number[]
  | { word: number; low: number; span: number; shift: number; first: number; cells: Shown[]; rest: Shown };

function box(rule: number, ...ranges: readonly (readonly [word: number, low: number, high: number])[]): Box {
  return { rule, ranges: ranges.map(([word, low, high]) => ({ word, low, high })) };
}

function nodeAt({ nodes }: TreeBuilder, at: number) {
  const [word, low, span, shift, children, rest, first] = nodes.slice(at, at + NODE.size) as number[];
  const cells = Math.floor((span! >>> 0) / 2 ** shift!) + 1;
  return {
    word: word!,
    low: low! >>> 0,
    span: span! >>> 0,
    shift: shift!,
    children: children!,
    rest: rest!,
    first: first!,
    cells,
  };
}

function leafAt({ leaves }: TreeBuilder, reference: number): number[] {
  return leaves.slice(~reference, leaves.indexOf(NONE, ~reference));
}

function show(tree: TreeBuilder, reference: number): Shown {
  if (reference < 0) return leafAt(tree, reference);
  const { word, low, span, shift, children, rest, first, cells } = nodeAt(tree, reference);
  return {
    ...{ word, low, span, shift, first, rest: show(tree, rest) },
    cells: Array.from({ length: cells }, (_, cell) => show(tree, tree.children[children + cell]!)),
  };
}

function built(boxes: readonly Box[]): Shown {
  const tree = new TreeBuilder();
  return show(tree, tree.build(boxes));
}

/** Rules 0, 10, 20, …, one for each value of a word. */
function values(word: number, ...all: readonly number[]): Box[] {
  return all.map((value, i) => box(i * 10, [word, value, value]));
}

describe('few rules', () => {
  test('are a leaf, in their order', () => {
    expect(built([])).toEqual([]);
    expect(built([box(1)])).toEqual([1]);
    expect(built(values(PORT, 10, 11, 12, 13))).toEqual([0, 10, 20, 30]);
  });

  test('without a box that is empty: its matches exclude each other', () => {
    expect(built([box(0, [PORT, 5, 9], [PORT, 10, 20]), box(10, [PORT, 5, 9], [PORT, 9, 20])])).toEqual([10]);
    expect(built([box(0, [PORT, 10, 20], [PORT, 5, 9]), box(10, [PORT, 9, 20], [PORT, 5, 9])])).toEqual([10]);
  });

  test('name a rule once, though it has several boxes', () => {
    expect(built([box(0, [PORT, 1, 1]), box(0, [PORT, 5, 5]), box(10, [PORT, 1, 1])])).toEqual([0, 10]);
  });
});

test('a builder begins with the empty leaf alone', () => {
  const { nodes, children, leaves } = new TreeBuilder();
  expect({ nodes, children, leaves }).toEqual({ nodes: [], children: [], leaves: [NONE] });
});

describe('a node', () => {
  test('has one cell for each of five neighbouring values', () => {
    expect(built(values(PORT, 10, 11, 12, 13, 14))).toEqual({
      ...{ word: PORT, low: 10, span: 4, shift: 0, first: 0, rest: [] },
      cells: [[0], [10], [20], [30], [40]],
    });
  });

  test('cuts a wide span into about two cells a rule, which start at multiples of their width', () => {
    // Five rules: at most 16 cells; 41 values need cells of 4, and 8 is the multiple of 4 below 10.
    expect(built(values(PORT, 10, 20, 30, 40, 50))).toEqual({
      ...{ word: PORT, low: 8, span: 42, shift: 2, first: 0, rest: [] },
      cells: [[0], [], [], [10], [], [20], [], [], [30], [], [40]],
    });
  });

  test('takes cells of one value up to the most that there may be', () => {
    // 16 cells for 16 values, and one value more makes them wider.
    expect(built(values(PORT, 10, 12, 14, 16, 25))).toMatchObject({ shift: 0, low: 10, span: 15 });
    expect(built(values(PORT, 10, 12, 14, 16, 26))).toMatchObject({ shift: 1, low: 10, span: 16 });
    expect(built(values(PORT, 11, 12, 14, 16, 27))).toMatchObject({ shift: 1, low: 10, span: 17 });
  });

  test('puts a range into each cell that it touches', () => {
    const ranges = [0, 100, 200, 300, 400].map((low, i) => box(i * 10, [PORT, low, low + 99]));
    expect(built(ranges)).toEqual({
      ...{ word: PORT, low: 0, span: 499, shift: 5, first: 0, rest: [] },
      cells: [
        [0],
        [0],
        [0],
        [0, 10],
        [10],
        [10],
        [10, 20],
        [20],
        [20],
        [20, 30],
        [30],
        [30],
        [30, 40],
        [40],
        [40],
        [40],
      ],
    });
  });

  test('leaves to its rest what does not limit the word', () => {
    expect(built([...values(PORT, 10, 11, 12, 13, 14, 15), box(100), box(110, [PROTO, 5, 5])])).toEqual({
      ...{ word: PORT, low: 10, span: 5, shift: 0, first: 0, rest: [100, 110] },
      cells: [[0], [10], [20], [30], [40], [50]],
    });
  });

  test('leaves to its rest what lies in more than eight cells', () => {
    const many = Array.from({ length: 20 }, (_, i) => 10 + i);
    const tree = built([...values(PORT, ...many), box(500, [PORT, 10, 17]), box(510, [PORT, 10, 18])]);
    expect(tree).toMatchObject({ rest: [510] });
    const { cells } = tree as { cells: Shown[] };
    expect(cells.slice(6, 10)).toEqual([[60, 500], [70, 500], [80], [90]]);
  });

  test('names the first of its rules', () => {
    expect(
      built(values(PORT, 10, 11, 12, 13, 14).map(({ ranges, rule }) => ({ rule: rule + 7, ranges }))),
    ).toMatchObject({
      first: 7,
    });
  });

  test('cuts the word that tells the rules apart best', () => {
    const two = [10, 11, 12, 13, 14, 15].map((port, i) => box(i * 10, [PROTO, i % 2, i % 2], [PORT, port, port]));
    expect(built(two)).toMatchObject({ word: PORT, cells: [[0], [10], [20], [30], [40], [50]] });
    const other = [10, 11, 12, 13, 14, 15].map((proto, i) => box(i * 10, [PROTO, proto, proto], [PORT, i % 2, i % 2]));
    expect(built(other)).toMatchObject({ word: PROTO, cells: [[0], [10], [20], [30], [40], [50]] });
  });

  test('is not made where no word tells rules apart, or only one rule limits a word', () => {
    expect(built([0, 10, 20, 30, 40, 50].map((rule) => box(rule, [PORT, 80, 80])))).toEqual([0, 10, 20, 30, 40, 50]);
    expect(built([box(0, [PORT, 80, 80]), ...[10, 20, 30, 40, 50].map((rule) => box(rule))])).toEqual([
      0, 10, 20, 30, 40, 50,
    ]);
  });

  test('is not made where it would save less than it costs', () => {
    // Two of five in cells of their own leave three and one to compare: a node and four comparisons, not five.
    const free = [20, 30, 40].map((rule) => box(rule));
    expect(built([...values(PORT, 10, 11), ...free])).toEqual([0, 10, 20, 30, 40]);
    const [low, high] = [box(0, [WORD.src0, 0, 0x3fffffff]), box(10, [WORD.src0, 0xc0000000, 0xffffffff])];
    // But where cells between them are left to three rules alone, two are enough.
    expect(built([low, high, ...free])).toEqual({
      ...{ word: WORD.src0, low: 0, span: 0xffffffff, shift: 30, first: 0, rest: [] },
      cells: [
        [0, 20, 30, 40],
        [20, 30, 40],
        [20, 30, 40],
        [10, 20, 30, 40],
      ],
    });
  });

  test('has children that cut another word', () => {
    const grid = [1, 2].flatMap((proto) =>
      [1, 2, 3, 4, 5].map((port) => box(proto * 100 + port, [PROTO, proto, proto], [PORT, port, port])),
    );
    expect(built(grid)).toEqual({
      ...{ word: PORT, low: 1, span: 4, shift: 0, first: 101, rest: [] },
      cells: [
        [101, 201],
        [102, 202],
        [103, 203],
        [104, 204],
        [105, 205],
      ],
    });
  });

  test('shares one child between neighbouring cells with the same rules', () => {
    const tree = new TreeBuilder();
    const ranges = [0, 100, 200, 300, 400].map((low, i) => box(i * 10, [PORT, low, low + 99]));
    const { children, cells } = nodeAt(tree, tree.build(ranges));
    const references = tree.children.slice(children, children + cells);
    expect(references).toHaveLength(16);
    expect(new Set(references).size).toBe(9);
    expect(references[0]).toBe(references[2]);
    expect(references[2]).not.toBe(references[3]);
  });

  test('has no more children in the table than cells, and the empty ones share the empty leaf', () => {
    const tree = new TreeBuilder();
    tree.build(values(PORT, 10, 20, 30, 40, 50));
    expect(tree.children).toHaveLength(11);
    expect(tree.children.filter((child) => child === EMPTY_LEAF)).toHaveLength(6);
    expect(tree.leaves.slice(0, 3)).toEqual([NONE, 0, NONE]);
  });

  test('cuts a cell that still holds many rules again, within the values of the cell', () => {
    // Two clusters far apart: the first cut is coarse, the second sees only one cluster.
    const ports = [...[0, 1, 2, 3, 4, 5].map((i) => 1000 + i), ...[0, 1, 2, 3, 4, 5].map((i) => 60000 + i)];
    const tree = built(values(PORT, ...ports)) as { shift: number; cells: Shown[]; low: number };
    expect(tree.shift).toBe(11);
    expect(tree.low).toBe(0);
    const inner = tree.cells.filter((cell) => !Array.isArray(cell) || cell.length > 0);
    expect(inner).toEqual([
      {
        ...{ word: PORT, low: 1000, span: 5, shift: 0, first: 0, rest: [] },
        cells: [[0], [10], [20], [30], [40], [50]],
      },
      {
        ...{ word: PORT, low: 60000, span: 5, shift: 0, first: 60, rest: [] },
        cells: [[60], [70], [80], [90], [100], [110]],
      },
    ]);
  });

  test('cuts at the borders of its cell, where rules reach over them', () => {
    // The wide ones cover whole cells of the first cut and limit nothing inside them.
    const near = [1000, 1001, 1002, 1003, 1004, 1005].map((port, i) => box(i * 10, [PORT, port, port]));
    const far = [60000, 60001, 60002, 60003, 60004, 60005].map((port, i) => box(100 + i * 10, [PORT, port, port]));
    const wide = [box(300, [PORT, 0, 4095]), box(310, [PORT, 0, 3000])];
    const tree = built([...near, ...far, ...wide]) as { cells: Shown[]; low: number; shift: number };
    expect(tree).toMatchObject({ low: 0, shift: 11 });
    const first = tree.cells[0] as { low: number; cells: Shown[]; rest: Shown };
    // Both fill the cell 0-2047, and so limit nothing inside it.
    expect(first).toMatchObject({ word: PORT, rest: [300, 310] });
    expect(tree.cells[1]).toEqual([300, 310]);
    expect(tree.cells[2]).toEqual([]);
  });

  test('sees of a range only what lies in its cell', () => {
    // One range comes from below into the cell from 59,392 to 61,439, one leaves it above.
    const near = [0, 1, 2, 3, 4, 5].map((port, i) => box(i * 10, [PORT, port, port]));
    const cellWith = (first: number, ...range: [number, number]) => {
      const far = near.map((_, i) => box(100 + i * 10, [PORT, first + i, first + i]));
      const tree = built([...near, ...far, box(300, [PORT, ...range])]) as { shift: number; cells: Shown[] };
      expect(tree).toMatchObject({ low: 0, shift: 11 });
      return tree.cells[29];
    };
    expect(cellWith(59394, 50000, 59395)).toMatchObject({ low: 59392, span: 7, shift: 0 });
    expect(cellWith(61432, 61434, 65535)).toMatchObject({ low: 61432, span: 7, shift: 0 });
  });

  test('works with unsigned 32-bit values', () => {
    const high = [0xfffffff0, 0xfffffff4, 0xfffffff8, 0xfffffffc, 0xffffffff];
    expect(built(values(WORD.src0, ...high))).toEqual({
      ...{ word: WORD.src0, low: 0xfffffff0, span: 15, shift: 0, first: 0, rest: [] },
      cells: [[0], [], [], [], [10], [], [], [], [20], [], [], [], [30], [], [], [40]],
    });
  });
});

/** What a frame with these words is compared with, and how many nodes that takes. */
function candidates(
  tree: TreeBuilder,
  root: number,
  key: ReadonlyMap<number, number>,
): { rules: number[]; depth: number } {
  const rules: number[] = [];
  let deepest = 0;
  const open: [number, number][] = [[root, 0]];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [reference, depth] = next;
    deepest = Math.max(deepest, depth);
    if (reference < 0) {
      rules.push(...leafAt(tree, reference));
      continue;
    }
    const { word, low, span, shift, children, rest } = nodeAt(tree, reference);
    open.push([rest, depth + 1]);
    const distance = (key.get(word)! - low) >>> 0;
    if (distance <= span) open.push([tree.children[children + (distance >>> shift)]!, depth + 1]);
  }
  return { rules, depth: deepest };
}

describe('a tree', () => {
  const arbitraryRange = fc
    .tuple(fc.constantFrom(PORT, PROTO, WORD.src0), fc.nat(40), fc.nat(40), fc.boolean())
    .map(([word, a, b, isHigh]): [number, number, number] => {
      const base = isHigh ? 0xffffffff - 80 : 0;
      return [word, base + Math.min(a, b), base + Math.max(a, b)];
    });
  const arbitraryBoxes = fc
    .array(fc.array(arbitraryRange, { maxLength: 3 }), { maxLength: 60 })
    .map((all) => all.map((ranges, i) => box(i * 10, ...ranges)));

  test('leads every key to all rules whose boxes hold it, in rising order within a leaf', () => {
    const value = fc.oneof(
      fc.nat(42),
      fc.nat(90).map((below) => 0xffffffff - below),
    );
    fc.assert(
      fc.property(
        arbitraryBoxes,
        fc.array(fc.tuple(value, value, value), { minLength: 1, maxLength: 20 }),
        (boxes, keys) => {
          const tree = new TreeBuilder();
          const root = tree.build(boxes);
          for (const [port, proto, src] of keys) {
            const key = new Map<number, number>([
              [PORT, port],
              [PROTO, proto],
              [WORD.src0, src],
            ]);
            const holds = boxes.filter(({ ranges }) =>
              ranges.every((r) => key.get(r.word)! >= r.low && key.get(r.word)! <= r.high),
            );
            const { rules, depth } = candidates(tree, root, key);
            for (const { rule } of holds) expect(rules).toContain(rule);
            expect(depth).toBeLessThanOrEqual(MAX_DEPTH);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('leaves at most four candidates of a thousand rules for single values, and the tables stay small', () => {
    const boxes = Array.from({ length: 1000 }, (_, i) => box(i * 10, [PORT, (i * 7919) % 65536, (i * 7919) % 65536]));
    const tree = new TreeBuilder();
    const root = tree.build(boxes);
    for (let i = 0; i < 1000; i++) {
      const { rules, depth } = candidates(tree, root, new Map([[PORT, (i * 7919) % 65536]]));
      expect(rules.length).toBeLessThanOrEqual(4);
      expect(depth).toBeLessThanOrEqual(3);
    }
    expect(tree.leaves.length).toBeLessThan(4000);
    expect(tree.nodes.length / NODE.size).toBeLessThan(40);
  });

  test('does not copy rules without end where they overlap everywhere', () => {
    const boxes = Array.from({ length: 400 }, (_, i) =>
      box(i * 10, [PORT, i, i + 300], [PROTO, 400 - i, 800 - i], [WORD.src0, i * 3, i * 5 + 900]),
    );
    const tree = new TreeBuilder();
    tree.build(boxes);
    // The budget: 12 entries a box and 4,096 besides; what was begun before it ran out comes on top.
    expect(tree.leaves.length).toBeGreaterThan(400);
    expect(tree.leaves.length).toBeLessThan(2 * (400 * 12 + 4096));
  });

  test('is not cut any more when there are twelve entries a box and 4,096 besides', () => {
    // Four quarters in each of eight words: a cut of one word copies all boxes of the others into each quarter.
    const quarters = [0, 1, 2, 3].map((i) => [i * 2 ** 30, (i + 1) * 2 ** 30 - 1] as const);
    const grid = Array.from({ length: 8 }, (_, word) =>
      quarters.map(([low, high]) => [word, low, high] as const),
    ).flat();
    // And many more, which only add to the number of boxes: they leave the grid to the rest of the first node.
    const more = Array.from({ length: 400 }, (_, port) => [PORT, port, port] as const);
    const tree = new TreeBuilder();
    tree.build([...grid, ...more].map((range, i) => box(i * 10, range)));
    const sizes: number[] = [];
    let size = 0;
    for (const rule of tree.leaves.slice(1)) {
      if (rule !== NONE) size++;
      else sizes.push(size);
      if (rule === NONE) size = 0;
    }
    // A leaf of the grid has one quarter of each word; the first that is not cut has all four of the last word.
    const whole = (432 * 12 + 4096) / 8;
    expect(sizes.slice(0, whole)).toEqual(Array(whole).fill(8));
    expect(sizes[whole]).toBe(11);
  });

  test('is never deeper than the matcher can wait for', () => {
    // Over and over half of a word's ranges lie in few cells and go down, and the wider half goes to the rest.
    const spread = (count: number, width: number) =>
      Array.from({ length: count }, (_, i) => Math.round((i * (1023 - width)) / (count - 1))).map((low) => [
        low,
        low + width,
      ]);
    const ranges = [spread(32, 0), spread(16, 100), spread(8, 200), spread(8, 400)].flat();
    // Clusters far apart must be cut twice; they come last, because that saves less.
    const clusters = [1000, 1001, 1002, 1003, 1004, 30000, 30001, 30002, 30003, 30004].map((value) => [value, value]);
    clusters.push(...[60000, 60001, 60002, 60003, 60004].map((value) => [value, value]));
    const boxes = Array.from({ length: 29 }, (_, word) =>
      (word < 22 ? ranges : clusters).map(([low, high]) => [word, low!, high!] as const),
    ).flat();
    const tree = new TreeBuilder();
    const root = tree.build(boxes.map((range, i) => box(i * 10, range)));
    const chain: number[] = [];
    let node = root;
    for (; node >= 0; node = nodeAt(tree, node).rest) chain.push(nodeAt(tree, node).word);
    expect(chain).toHaveLength(MAX_DEPTH);
    expect(chain.at(-1)).toBeGreaterThanOrEqual(22);
    expect(leafAt(tree, node).length).toBeGreaterThan(100);
    const depthOf = (shown: Shown): number =>
      'cells' in shown ? 1 + Math.max(depthOf(shown.rest), ...shown.cells.map(depthOf)) : 0;
    expect(depthOf(show(tree, root))).toBe(MAX_DEPTH);
  });

  test('may be built after another with the same builder, and does not change that', () => {
    const tree = new TreeBuilder();
    const first = tree.build(values(PORT, 10, 11, 12, 13, 14));
    const before = show(tree, first);
    const second = tree.build(values(PROTO, 1, 2, 3, 4, 5));
    expect(show(tree, first)).toEqual(before);
    expect(show(tree, second)).toMatchObject({ word: PROTO, low: 1 });
  });
});

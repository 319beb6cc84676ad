import fc from 'fast-check';
import { BufferRig, FRAME_BYTES, keyOf } from './buffer.ts';

interface Stored {
  readonly bytes: Uint8Array;
  readonly epoch: number;
  readonly flow: number | undefined;
  readonly behind: boolean;
  leaving: boolean;
}

type Op =
  | { readonly do: 'hold'; readonly flow: number; readonly length: number; readonly behind: boolean }
  | { readonly do: 'next' }
  | { readonly do: 'release'; readonly back: number }
  | { readonly do: 'discard'; readonly back: number }
  | { readonly do: 'leave'; readonly most: number };

const length = fc.oneof(fc.nat(FRAME_BYTES), fc.constantFrom(0, 1, FRAME_BYTES - 1, FRAME_BYTES));
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({
      do: fc.constant('hold'),
      flow: fc.integer({ min: -1, max: 6 }),
      length,
      behind: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('next') }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('release'), back: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('discard'), back: fc.nat(3) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('leave'), most: fc.oneof(fc.constant(99), fc.nat(3)) }) },
) as fc.Arbitrary<Op>;

/** `expect` would take most of the time. */
function same(seen: readonly unknown[], expected: readonly unknown[]): void {
  if (seen.some((value, i) => value !== expected[i]) || seen.length !== expected.length) {
    throw new Error(`the buffer has ${seen.join(' ')}, the list has ${expected.join(' ')}`);
  }
}

function sameBytes(seen: readonly Uint8Array[], expected: readonly Uint8Array[]): void {
  same(
    seen.map((bytes) => bytes.join()),
    expected.map((bytes) => bytes.join()),
  );
}

/** Plays the operations on a buffer and on a list, and compares every byte. */
function play(limitFrames: number, limitBytes: number, ops: readonly Op[]): void {
  const rig = new BufferRig({ limitFrames, limitBytes });
  let list: Stored[] = [];
  let open = 1;
  let serial = 0;
  for (const step of ops) {
    if (step.do === 'next') {
      open++;
    } else if (step.do === 'hold') {
      const flow = step.flow < 0 ? undefined : step.flow;
      const earlier = list.filter((s) => flow !== undefined && s.flow === flow);
      const behind = step.behind && earlier.length > 0;
      const bytes = Uint8Array.from({ length: step.length }, (_, i) => serial * 31 + i * 7);
      serial++;
      const fits =
        list.length < limitFrames && list.reduce((sum, s) => sum + s.bytes.length, bytes.length) <= limitBytes;
      const how = { epoch: open, behind, ...(flow === undefined ? {} : { flow }) };
      same([rig.hold(bytes, how) === 0], [fits]);
      if (fits) list.push({ bytes, epoch: open, flow, behind, leaving: behind && earlier.every((s) => s.leaving) });
    } else if (step.do === 'release') {
      const epoch = open - step.back;
      let freed = 0;
      list.forEach((s, i) => {
        const isBlocked = list.slice(0, i).some((t) => !t.leaving && t.flow !== undefined && t.flow === s.flow);
        if (s.leaving || (s.epoch > epoch && !(s.behind && !isBlocked))) return;
        s.leaving = true;
        freed++;
      });
      rig.buffer.releaseThrough(epoch, 0);
      same([rig.buffer.changedFrames], [freed]);
    } else if (step.do === 'discard') {
      const epoch = open - step.back;
      rig.buffer.discardAfter(epoch);
      const kept = list.filter((s) => s.epoch <= epoch);
      same([rig.buffer.changedFrames], [list.length - kept.length]);
      list = kept;
    } else {
      const due = list.filter((s) => s.leaving).slice(0, step.most);
      sameBytes(
        rig.leave(0, step.most),
        due.map((s) => s.bytes),
      );
      list = list.filter((s) => !due.includes(s));
    }
    const bytes = list.reduce((sum, s) => sum + s.bytes.length, 0);
    const leaving = list.filter((s) => s.leaving).length;
    const { buffer } = rig;
    same([buffer.frames, buffer.bytes, buffer.leavingFrames], [list.length, bytes, leaving]);
    for (let flow = 0; flow <= 6; flow++) {
      same([flow, buffer.flows.find(keyOf(flow)) >= 0], [flow, list.some((s) => s.flow === flow)]);
    }
  }
  rig.buffer.releaseThrough(Number.POSITIVE_INFINITY, 0);
  sameBytes(
    rig.leave(),
    list.map((s) => s.bytes),
  );
  same([rig.buffer.frames, rig.buffer.bytes, rig.buffer.leavingFrames], [0, 0, 0]);
}

/** Anything, in any order. */
export const mixedOperations = fc.property(
  fc.integer({ min: 1, max: 20 }),
  fc.integer({ min: FRAME_BYTES, max: 12 * FRAME_BYTES }),
  fc.array(op, { maxLength: 200, size: 'max' }),
  play,
);

/**
 * Several flows are held, one epoch each, then one frame that stays. While it is the youngest that waits, epoch after
 * epoch commits and frees what piled up behind it: each leaves a gap, until the ring must close them.
 */
export const gapsBehindOneThatStays = fc.property(
  fc.integer({ min: 2, max: 6 }),
  fc.array(length, { minLength: 1, maxLength: 40 }),
  fc.nat(300),
  (flows, sizes, turns) => {
    let at = 0;
    const size = () => sizes[at++ % sizes.length]!;
    const ops: Op[] = [];
    // Fill the ring to some point first, so that the wrap may come anywhere.
    for (let i = 0; i < turns; i++) {
      ops.push(
        { do: 'hold', flow: -1, length: size(), behind: false },
        { do: 'release', back: 0 },
        { do: 'leave', most: 1 },
      );
    }
    for (let flow = 0; flow < flows; flow++) {
      ops.push({ do: 'hold', flow, length: size(), behind: false }, { do: 'next' });
    }
    ops.push({ do: 'hold', flow: -1, length: size(), behind: false });
    for (let flow = 0; flow < flows; flow++) {
      for (let i = 0; i < 40; i++) ops.push({ do: 'hold', flow, length: size(), behind: true });
      ops.push({ do: 'release', back: flows - flow }, { do: 'leave', most: 99 });
    }
    for (let i = 0; i < 40; i++) ops.push({ do: 'hold', flow: 6, length: size(), behind: false });
    play(20, 12 * FRAME_BYTES, ops);
  },
);

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FRAME_BYTES } from '../../support/buffer.ts';
import { runs, SEED } from '../../support/runs.ts';
import { type Found, SteppedBuffer } from '../../support/stepped-buffer.ts';

interface Held {
  readonly serial: number;
  readonly bytes: Uint8Array;
  readonly flow: number | null;
  label: number;
}

type Op =
  | { readonly do: 'hold'; readonly flow: number; readonly length: number; readonly behind: boolean }
  | { readonly do: 'leave'; readonly most: number }
  | { readonly do: 'commit' | 'abort' | 'rollback'; readonly which: number }
  | { readonly do: 'seal' }
  | { readonly do: 'start' }
  | { readonly do: 'stop' };

const length = fc.oneof(fc.nat(FRAME_BYTES), fc.constantFrom(0, 1, FRAME_BYTES - 1, FRAME_BYTES));
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({
      do: fc.constant('hold'),
      flow: fc.integer({ min: -1, max: 3 }),
      length,
      behind: fc.boolean(),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('leave'), most: fc.oneof(fc.constant(99), fc.nat(3)) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('commit', 'abort', 'rollback'), which: fc.nat(5) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('seal', 'seal', 'seal', 'seal', 'start', 'stop') }) },
) as fc.Arbitrary<Op>;

/** Plays operations, and recovers at every store what a process killed there would leave. */
class Play {
  readonly rig: SteppedBuffer;
  stores = 0;
  #list: Held[] = [];
  #serial = 1;
  /** What may be found while an operation runs; each a list of frames by their serial numbers. */
  #isRight: (serials: readonly number[], found: Found) => boolean = () => true;
  #labels: (term: number) => (frame: Held) => number = () => (frame) => frame.label;
  /** Frames that are lent to the port. */
  #lent: readonly number[] = [];

  constructor(limitFrames: number) {
    const limits = {
      limitFrames,
      limitBytes: limitFrames * 40 + FRAME_BYTES,
      unclassifiedShare: 1,
      behindShare: 1,
      sealReserveFrames: 0,
      sealReserveBytes: 0,
    };
    this.rig = new SteppedBuffer(limits, FRAME_BYTES);
    this.rig.onStore = () => this.#look();
  }

  apply(step: Op): void {
    const { epochs } = this.rig;
    if (step.do === 'hold') this.#hold(step);
    else if (step.do === 'leave') this.#leave(step.most);
    else if (step.do === 'start' || epochs.state !== 'on') this.#start();
    else if (step.do === 'stop') this.#stop();
    else this.#ask(step);
    this.#settle();
  }

  #ask(step: Extract<Op, { which: number } | { do: 'seal' }>): void {
    const { epochs } = this.rig;
    const same = serialsOf(this.#list);
    this.#isRight = (serials) => equal(serials, same);
    const sealed = epochs.sealedEpochs;
    const target = 'which' in step ? sealed[step.which % Math.max(1, sealed.length)] : undefined;
    if (step.do === 'seal') {
      epochs.seal(epochs.term, epochs.openEpoch);
      this.rig.publish();
    } else if (target !== undefined && step.do === 'abort') {
      epochs.abort(epochs.term, target);
      this.rig.publish();
    } else if (target !== undefined && step.do === 'commit') {
      this.#commit(target);
    } else if (step.do === 'rollback') {
      this.#rollback(target ?? epochs.committedEpoch);
    }
  }

  /** Looks once more when nothing is under way. */
  #settle(): void {
    const same = serialsOf(this.#list);
    this.#isRight = (serials) => equal(serials, same);
    this.#labels = () => (frame) => frame.label;
    this.#lent = [];
    this.#look();
  }

  #start(): void {
    const { epochs, buffer } = this.rig;
    this.#changeTerm((frame) => (frame.label <= epochs.committedEpoch ? 0 : 1));
    buffer.relabel(epochs.committedEpoch);
    epochs.start('now');
    this.rig.publish();
    this.#relabel();
  }

  #stop(): void {
    const { epochs, buffer } = this.rig;
    const { committedEpoch, term } = epochs;
    // The term is the same afterwards; the state tells which labels are in force.
    const before = new Map(this.#list.map((frame) => [frame.serial, frame.label]));
    const after = new Map(this.#list.map((frame) => [frame.serial, frame.label <= committedEpoch ? 0 : 1]));
    const same = serialsOf(this.#list);
    this.#isRight = (serials) => equal(serials, same);
    this.#labels = () => (frame) => {
      const isOn = this.rig.found().state.epochs.state === 'on';
      return (isOn ? before : after).get(frame.serial)!;
    };
    epochs.stop(term, 'waiting');
    buffer.relabel(committedEpoch);
    this.rig.publish();
    for (const frame of this.#list) frame.label = after.get(frame.serial)!;
  }

  #hold({ flow: number, length: size, behind }: Extract<Op, { do: 'hold' }>): void {
    const flow = number < 0 ? null : number;
    const isBehind = behind && flow !== null && this.#list.some((frame) => frame.flow === flow);
    const serial = this.#serial++;
    const bytes = Uint8Array.from({ length: size }, (_, i) => serial * 31 + i * 7);
    const before = serialsOf(this.#list);
    const frame = { serial, bytes, flow, label: this.rig.epochs.openEpoch };
    this.#list.push(frame);
    this.#isRight = (serials) => equal(serials, before) || equal(serials, [...before, serial]);
    if (this.rig.hold(serial, bytes, flow, isBehind) !== 0) this.#list.pop();
  }

  #commit(epoch: number): void {
    const { epochs, buffer } = this.rig;
    epochs.commit(epochs.term, epoch);
    this.rig.publish();
    buffer.releaseThrough(epoch, 0);
  }

  #rollback(epoch: number): void {
    const { epochs, buffer } = this.rig;
    const { term } = epochs;
    const commits = epochs.rollback(term, epoch);
    const all = serialsOf(this.#list);
    const kept = this.#list.filter((frame) => frame.label <= epoch);
    const keptSerials = serialsOf(kept);
    this.#changeTerm((frame) => (frame.label <= epoch ? 0 : Number.POSITIVE_INFINITY));
    this.#isRight = (serials, { state, frames }) => {
      if (state.epochs.term === term) return equal(serials, all);
      const whole = serials.filter((_, i) => frames.labels[i] !== Number.POSITIVE_INFINITY);
      return equal(whole, keptSerials);
    };
    buffer.relabel(epoch, Number.POSITIVE_INFINITY);
    this.rig.publish();
    buffer.discardAfter(epoch);
    this.#relabel();
    this.#list = kept;
    if (commits) buffer.releaseThrough(epoch, 0);
  }

  #leave(most: number): void {
    const { buffer, out } = this.rig;
    const before = serialsOf(this.#list);
    this.#isRight = (serials) => equal(serials, before);
    const count = buffer.collect(out, 0);
    const lent = Array.from({ length: count }, (_, i) => out.arrivalNs[i]!);
    this.#lent = lent;
    const taken = lent.slice(0, most);
    // They are marked one after another.
    this.#isRight = (serials) => {
      const missing = before.filter((serial) => !serials.includes(serial));
      return equal(missing, taken.slice(0, missing.length)) && serials.length + missing.length === before.length;
    };
    buffer.left(out, taken.length);
    this.#list = this.#list.filter((frame) => !taken.includes(frame.serial));
  }

  #before = new Map<number, number>();
  #after = new Map<number, number>();

  #changeTerm(next: (frame: Held) => number): void {
    const { term } = this.rig.found().state.epochs;
    const same = serialsOf(this.#list);
    this.#before = new Map(this.#list.map((frame) => [frame.serial, frame.label]));
    this.#after = new Map(this.#list.map((frame) => [frame.serial, next(frame)]));
    this.#isRight = (serials) => equal(serials, same);
    this.#labels = (inForce) => (frame) => (inForce === term ? this.#before : this.#after).get(frame.serial)!;
  }

  #relabel(): void {
    for (const frame of this.#list) frame.label = this.#after.get(frame.serial)!;
  }

  #look(): void {
    this.stores++;
    const found = this.rig.found();
    const { frames, state } = found;
    const { records } = frames.table;
    const serials = frames.order.map((at) => records.arrivalNs[at]!);
    if (!this.#isRight(serials, found)) throw new Error(`found ${serials.join(' ')}`);
    const labelOf = this.#labels(state.epochs.term);
    const view = frames.bytes;
    frames.order.forEach((at, i) => {
      const frame = this.#list.find((one) => one.serial === serials[i]);
      if (frame === undefined) throw new Error(`frame ${serials[i]} was never held`);
      const place = frames.ring + records.place[at]!;
      const bytes = view.subarray(place, place + records.length[at]!);
      if (!equal(bytes, frame.bytes)) throw new Error(`frame ${frame.serial} has other bytes`);
      if (records.pair[at] !== frame.serial % 3) throw new Error(`frame ${frame.serial} has another pair of ports`);
      if (frames.labels[i] !== labelOf(frame)) {
        throw new Error(`frame ${frame.serial} has label ${frames.labels[i]}, not ${labelOf(frame)}`);
      }
    });
    const lent = this.#lent.filter((serial) => serials.includes(serial));
    if (frames.resentFrames > 0 && frames.resentFrames !== lent.length) {
      throw new Error(`${frames.resentFrames} frames may be sent twice, not ${lent.length}`);
    }
  }
}

function serialsOf(list: readonly Held[]): number[] {
  return list.map((frame) => frame.serial);
}

function equal(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return a.length === b.length;
}

test('whatever store the process dies before, exactly the frames that are stored are found, with the labels of the term in force', () => {
  let stores = 0;
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 12 }), fc.array(op, { maxLength: 120, size: 'max' }), (limitFrames, ops) => {
      const play = new Play(limitFrames);
      play.apply({ do: 'start' });
      for (const step of ops) play.apply(step);
      stores += play.stores;
    }),
    { numRuns: runs(40), ...SEED },
  );
  expect(stores).toBeGreaterThan(1000);
});

/** Something that waits behind a frame of flow 0 that has left already, and then leaves from the middle: a gap. */
test('also while frames are moved together over gaps, small ones and large ones', () => {
  let moves = 0;
  fc.assert(
    fc.property(
      fc.array(length, { minLength: 1, maxLength: 40 }),
      fc.array(length, { minLength: 1, maxLength: 40 }),
      fc.boolean(),
      (gaps, sizes, isRestarted) => {
        let at = 0;
        const size = () => sizes[at++ % sizes.length]!;
        const play = new Play(12);
        const hold = (flow: number, bytes: number, behind = false) => {
          play.apply({ do: 'hold', flow, length: bytes, behind });
        };
        play.apply({ do: 'start' });
        hold(0, size());
        play.apply({ do: 'seal' });
        for (let i = 0; i < 5; i++) {
          hold(-1, size());
          hold(0, gaps[i % gaps.length]!, true);
        }
        play.apply({ do: 'commit', which: 0 });
        play.apply({ do: 'leave', most: 99 });
        // What stays may leave now and is not taken; what comes after it may not.
        play.apply({ do: 'seal' });
        hold(-1, size());
        play.apply({ do: 'commit', which: 0 });
        if (isRestarted) play.apply({ do: 'start' });
        for (let i = 0; i < 8; i++) hold(i % 3, size());
        play.apply({ do: 'leave', most: 3 });
        for (let i = 0; i < 8; i++) hold(i % 3, size());
        play.apply({ do: 'rollback', which: 0 });
        moves += play.rig.moves;
      },
    ),
    { numRuns: runs(40), ...SEED },
  );
  expect(moves).toBeGreaterThan(0);
});

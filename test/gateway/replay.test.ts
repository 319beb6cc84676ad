import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { REASON_NAMES } from '../../classifier/verdict.ts';
import { Replay, type ReplayOptions } from '../../gateway/replay.ts';
import { VmAddresses } from '../../gateway/vm-addresses.ts';
import type { CaptureRecord } from '../../pcaps/record.ts';
import { Judge, type NaiveOptions, NaiveReplay } from '../support/naive-replay.ts';
import {
  generationOfText,
  MIXED_RULES,
  recordOf,
  recordsOf,
  replayFrame,
  timedFrames,
  VM_MAC,
} from '../support/replay-frames.ts';

const MS = 1e6;
const generation = generationOfText(MIXED_RULES);
/** Rules whose verdicts hang on time, on the direction and on what else a frame's class says. */
const RICH_RULES = `
class data    pass
class control hold
set media { type inet_service; flags timeout; elements = { 16384 timeout 150ms, 16385 } }
outbound {
  udp sport 53 udp length < 40               class data ordered
  udp sport 53                               class control ordered
  udp sport @media                           class data
  tcp sport 9000 tcp flags & fin != 0        class data guard
  tcp sport 9000 tcp flags & syn == 0        class data
  default                                    class control
}
inbound {
  udp dport 16384 udp length >= 40           drop
  udp dport @media                           class data
}
`;
const rich = generationOfText(RICH_RULES);
const vm = new VmAddresses([VM_MAC]);

const PLAIN: ReplayOptions & { drain: boolean } = {
  generation,
  vm,
  epochNs: 100 * MS,
  commitDelayNs: 20 * MS,
  failAtNs: null,
  pacing: 'burst',
  overflow: 'drop',
  limitBytes: 2 ** 20,
  limitFrames: 1024,
  verifyChecksums: false,
  drain: true,
};

interface Left {
  readonly hex: string;
  readonly atNs: number;
  readonly epoch: number;
  readonly reason: string;
}

function since(first: CaptureRecord | undefined, seconds: number, nanoseconds: number): number {
  return (seconds - (first?.seconds ?? 0)) * 1e9 + nanoseconds - (first?.nanoseconds ?? 0);
}

/** @returns the run and what left, at nanoseconds after the first record that has a time */
function replayed(records: readonly CaptureRecord[], options: Partial<ReplayOptions & { drain: boolean }>) {
  const all = { ...PLAIN, ...options };
  const left: Left[] = [];
  const first = records.find((record) => record.hasTime);
  const run = new Replay(all);
  run.sink = (batch, i, seconds, nanoseconds) => {
    const bytes = batch.slab.bytes.subarray(batch.offset[i]!, batch.offset[i]! + batch.length[i]!);
    left.push({
      hex: Buffer.from(bytes).toString('hex'),
      // What leaves before any record had a time leaves at the start, which is written as 1970.
      atNs: seconds < 1e9 && first !== undefined ? 0 : since(first, seconds, nanoseconds),
      epoch: batch.epoch[i]!,
      reason: REASON_NAMES[batch.reason[i]!]!,
    });
  };
  for (const record of records) run.frame(record);
  if (all.drain) run.drain();
  return { run, left };
}

type ExpectOptions = Partial<NaiveOptions & Pick<ReplayOptions, 'generation'>>;

function expected(records: readonly CaptureRecord[], options: ExpectOptions) {
  const judge = new Judge(options.generation ?? generation, vm);
  const frames = records.map((record) => judge.judge(record));
  const naive = new NaiveReplay(frames, { ...PLAIN, ...options });
  const left = naive.departures.map(({ frame, atNs, epoch, reason }) => ({
    hex: frames[frame]!.bytes.toString('hex'),
    atNs,
    epoch,
    reason,
  }));
  return { naive, left };
}

function expectEqual(records: readonly CaptureRecord[], options: ExpectOptions): void {
  const { naive, left } = expected(records, options);
  const { run, left: really } = replayed(records, options);
  const { counters } = run.vm;
  expect(really).toEqual(left);
  expect({
    passed: counters.get('passed'),
    held: counters.get('held'),
    released: counters.get('released'),
    discarded: counters.get('discarded'),
    dropped: counters.get('dropped'),
    inbound: counters.get('inbound'),
    inboundDropped: counters.get('inboundDropped'),
    inboundPassed: counters.get('inboundPassed'),
    stillHeld: run.vm.stillHeld,
    peakFrames: run.vm.txBuffer.occupancy.peakFrames,
    peakBytes: run.vm.txBuffer.occupancy.peakBytes,
    sealed: run.host.sealed,
    committed: run.host.committed,
    reasons: counters.reasonsByName(),
  }).toEqual({
    ...naive.counts,
    inboundDropped: naive.inboundDropped,
    inboundPassed: naive.counts.inbound - naive.inboundDropped,
    stillHeld: naive.waiting.length,
    peakFrames: naive.peakFrames,
    peakBytes: naive.peakBytes,
    sealed: naive.sealed,
    committed: naive.committed,
    reasons: naive.reasons,
  });
  const percentiles = run.delaysNs.percentiles(0.5, 0.99, 1);
  const [p50, p99, max] = percentiles ?? [];
  expect(percentiles === null ? null : { p50: p50! / 1e3, p99: p99! / 1e3, max: max! / 1e3 }).toEqual(naive.delayUs());
  expect(Math.max(...run.timeline.frames)).toBe(naive.peakFrames);
  expect(Math.max(...run.timeline.bytes)).toBe(naive.peakBytes);
}

const schedules = fc.record({
  frames: timedFrames,
  generation: fc.constantFrom(generation, rich),
  epochNs: fc.constantFrom(1 * MS, 10 * MS, 40 * MS, 100 * MS, 33_333_333),
  commitDelayNs: fc.constantFrom(0, 7 * MS, 20 * MS, 100 * MS, 250 * MS, 1000 * MS),
  failAtNs: fc.oneof(
    { weight: 2, arbitrary: fc.constant(null) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 100 }).map((tens) => tens * 10 * MS) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 3000 * MS }) },
  ),
  pacing: fc.constantFrom('burst', 'paced'),
  drain: fc.boolean(),
  limitFrames: fc.constantFrom(1, 2, 8, 17, 1024),
  limitBytes: fc.constantFrom(2 ** 18, 2 ** 20),
});

describe('a replay', () => {
  test('does to every frame what the arithmetic of epochs says', () => {
    fc.assert(
      fc.property(schedules, ({ frames, ...options }) => expectEqual(recordsOf(frames), options)),
      { numRuns: 500 },
    );
  });

  test('with a failure at the very instant of a frame, a seal or a commit: the failure comes first', () => {
    const at = (ms: number) => ms * MS;
    const frames = [0, 50, 50, 100, 20, 80, 20, 30, 150].map((step, i) => ({
      kind: (['syn', 'data', 'dns', 'media'] as const)[i % 4]!,
      flow: 0,
      stepNs: at(step),
    }));
    const records = recordsOf(frames);
    for (let ms = 0; ms <= 700; ms += 10) {
      for (const drain of [true, false]) {
        for (const commitDelayNs of [0, at(20), at(250)]) {
          expectEqual(records, { failAtNs: at(ms), drain, commitDelayNs });
        }
      }
    }
    const { left, run } = replayed(records, { failAtNs: at(120) });
    expect(left.every(({ epoch, reason }) => epoch === 1 && reason !== 'default')).toBe(true);
    expect(run.vm.counters.get('released')).toBe(0);
  });

  test('lets nothing of an epoch out that was not committed when the VM failed', () => {
    // A frame that only waited behind another may leave before its own epoch commits: its verdict is pass.
    const HELD_REASONS = ['default', 'truncated', 'guard'];
    fc.assert(
      fc.property(schedules, fc.integer({ min: 0, max: 2000 * MS }), ({ frames, ...options }, failAtNs) => {
        const { left, run } = replayed(recordsOf(frames), { ...options, failAtNs });
        const committed = run.vm.epochs.committedEpoch;
        for (const { epoch, reason, atNs } of left) {
          if (HELD_REASONS.includes(reason)) expect(epoch).toBeLessThanOrEqual(committed);
          if (atNs >= failAtNs) expect(epoch).toBeLessThanOrEqual(committed);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('with backpressure loses no frame but those that nothing could classify', () => {
    fc.assert(
      fc.property(schedules, ({ frames, ...options }) => {
        const limits = { limitFrames: Math.max(2, options.limitFrames), limitBytes: 2 ** 20 };
        const { run } = replayed(recordsOf(frames), {
          ...options,
          ...limits,
          failAtNs: null,
          overflow: 'backpressure',
        });
        const { counters, stillHeld } = run.vm;
        const reasons = counters.reasonsByName();
        for (const lost of ['buffer-full', 'behind-full', 'seal-overflow'] as const)
          expect(reasons[lost]).toBeUndefined();
        const gone = counters.get('passed') + counters.get('released') + counters.get('dropped');
        expect(gone + stillHeld).toBe(counters.get('outbound'));
        expect(counters.get('outbound') + counters.get('inbound')).toBe(frames.length);
        expect(counters.get('held')).toBe(counters.get('released') + stillHeld);
        expect(Object.values(reasons).reduce((sum, count) => sum + count, 0)).toBe(frames.length);
        if (options.drain) expect(stillHeld).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test('with backpressure makes a frame wait until a commit has made room', () => {
    const records = recordsOf([0, 1, 1, 1].map((ms) => ({ kind: 'dns' as const, flow: 0, stepNs: ms * MS })));
    const { left } = replayed(records, { limitFrames: 2, overflow: 'backpressure' });
    // The third comes with the seal at 100 ms into its reserve; the fourth after it, in epoch 2.
    expect(left.map(({ atNs, epoch }) => [atNs / MS, epoch])).toEqual([
      [120, 1],
      [120, 1],
      [120, 1],
      [220, 2],
    ]);
  });

  test('refuses a buffer in which backpressure would wait for ever, and one beyond 4 GiB', () => {
    for (const limits of [{ limitFrames: 1 }, { limitBytes: 2 ** 18 }]) {
      expect(() => replayed([], { ...limits, overflow: 'backpressure' })).toThrow(RangeError);
    }
    expect(() => replayed([], { limitBytes: 2 ** 32 })).toThrow('4 GiB');
    expect(() => replayed([], { limitBytes: 1 })).toThrow(RangeError);
  });

  test('gives frames before the first record with a time the time of that record', () => {
    const timed = (kind: 'dns' | 'media', stepNs: number | null) => ({ kind, flow: 0, stepNs });
    const records = recordsOf([timed('dns', null), timed('media', null), timed('media', 0), timed('dns', 5 * MS)]);
    expectEqual(records, {});
    expect(replayed(records, {}).left.map(({ atNs }) => atNs / MS)).toEqual([0, 0, 120, 120]);
  });

  test('of no frames comes to nothing', () => {
    const { run, left } = replayed([], {});
    expect(left).toEqual([]);
    expect([run.frames, run.host.opened, run.host.sealed, run.host.committed]).toEqual([0, 0, 0, 0]);
    expect(run.delaysNs.percentiles(0.5)).toBeNull();
  });
});

describe('a replay with an inbound block', () => {
  test('passes and drops what the VM would get, at once, and counts it by rule and reason', () => {
    const records = recordsOf(
      [0, 10, 0, 10, 0].map((ms, i) => ({ kind: i === 1 ? 'media' : 'inbound', flow: i % 2, stepNs: ms * MS })),
    );
    // Serials make payloads of 7, 8, 9, … bytes; number 2 gets a long one.
    records[2] = recordOf(replayFrame('inbound', 0, 30));
    records[2].hasTime = false;
    const { run } = replayed(records, { generation: rich });
    const { counters, ruleCounters } = run.vm;
    expect(
      ['inbound', 'inboundPassed', 'inboundDropped', 'outbound'].map((name) => counters.get(name as 'inbound')),
    ).toEqual([4, 3, 1, 1]);
    const inbound = ruleCounters.list().filter(({ direction }) => direction === 'inbound');
    expect(inbound.map(({ handle, class: name, verdict, frames }) => [handle, name, verdict, frames])).toEqual([
      [7, null, 'drop', 1],
      [8, 'data', 'pass', 3],
    ]);
    expect(counters.reasonsByName()).toEqual({ rule: 5 });
  });

  test('looks up what a set holds at the time of the frame', () => {
    const at = (kind: 'media' | 'inbound', ms: number) => ({ kind, flow: 0, stepNs: ms * MS });
    const records = recordsOf([at('media', 0), at('inbound', 149), at('media', 0), at('media', 1), at('inbound', 0)]);
    const { run, left } = replayed(records, { generation: rich, epochNs: 1000 * MS });
    expect(run.vm.counters.reasonsByName()).toEqual({ rule: 3, default: 1, inbound: 1 });
    expect(left.map(({ reason }) => reason)).toEqual(['rule', 'rule', 'default']);
    // The same rules again begin anew.
    expect(replayed(records, { generation: rich }).run.vm.counters.reasonsByName()).toMatchObject({ rule: 3 });
  });
});

describe('long silence and short epochs', () => {
  const YEARS = 50 * 365 * 86_400;

  function pair(gapSeconds: number): CaptureRecord[] {
    return [0, gapSeconds].map((seconds, i) => {
      const record = recordOf(replayFrame('dns', 0, i));
      record.hasTime = true;
      record.seconds = seconds;
      return record;
    });
  }

  test('a gap of 50 years counts its epochs as if each had been sealed and committed', () => {
    for (const commitDelayNs of [0, 20 * MS, 100 * MS, 3_456 * MS]) {
      const { run, left } = replayed(pair(YEARS), { commitDelayNs });
      const epochs = YEARS * 10 + 1;
      expect([run.host.opened, run.host.sealed, run.host.committed]).toEqual([epochs + 1, epochs, epochs]);
      expect(left.map(({ epoch }) => epoch)).toEqual([1, epochs]);
      expect(run.delaysNs.percentiles(0, 1)).toEqual([100 * MS + commitDelayNs, 100 * MS + commitDelayNs]);
    }
  });

  test('without a drain, as many are committed as were due by the last frame', () => {
    const { run } = replayed(pair(YEARS), { commitDelayNs: 250 * MS, drain: false });
    expect([run.host.sealed, run.host.committed]).toEqual([YEARS * 10, YEARS * 10 - 3]);
  });

  test('a failure within the gap stops the count there', () => {
    const { run } = replayed(pair(YEARS), { commitDelayNs: 250 * MS, failAtNs: 1000 * 1e9 });
    // Epoch k commits at k · 100 + 250 ms; what is due at the instant of the failure is too late.
    expect([run.host.sealed, run.host.committed]).toEqual([9999, 9997]);
    expect(run.vm.counters.reasonsByName()).toMatchObject({ 'vm-failed': 1 });
  });

  test('epochs of a nanosecond are counted, and cost no more than the frames', () => {
    const frames = Array.from({ length: 2000 }, () => ({ kind: 'dns' as const, flow: 0, stepNs: 5 * MS }));
    for (const commitDelayNs of [0, 1, 20 * MS, 60e9]) {
      const { run } = replayed(recordsOf(frames), { epochNs: 1, commitDelayNs, limitFrames: 4096 });
      // The first frame is the start.
      expect(run.host.sealed).toBe(1999 * 5 * MS + 1);
      expect(run.vm.counters.get('released')).toBe(2000);
      expect(run.delaysNs.percentiles(0, 1)).toEqual([commitDelayNs + 1, commitDelayNs + 1]);
    }
  });

  test('a time that no epoch number could tell counts as the last one that can', () => {
    for (const epochNs of [1, 100 * MS]) {
      const { run, left } = replayed(pair(1.8e19), { epochNs });
      expect(left).toHaveLength(2);
      expect(run.host.sealed).toBe(2 ** 50 + 1);
      expect(Number.isSafeInteger(run.vm.epochs.openEpoch)).toBe(true);
    }
  });

  test('a paced release is cut short by the very next commit, also of an epoch without frames', () => {
    const step = (kind: 'syn' | 'data' | 'dns', ms: number) => ({ kind, flow: 0, stepNs: ms * MS });
    // The frame at 2390 ms waits behind the first one; freed at 2600, it would leave 2390 ms later.
    const records = recordsOf([step('syn', 0), step('data', 2390), step('dns', 9000)]);
    const options = { pacing: 'paced' as const, commitDelayNs: 2500 * MS };
    expectEqual(records, options);
    expect(replayed(records, options).left.map(({ atNs }) => atNs / MS)).toEqual([2600, 2700, 13_900]);
  });
});

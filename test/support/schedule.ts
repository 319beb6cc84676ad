import fc from 'fast-check';
import { type FrameSpec, KINDS, LONGEST_PAD, SLOT_BYTES } from './frames.ts';
import { RULE_SET_COUNT } from './judge.ts';
import type { ModelOptions } from './model.ts';

type HostRequest = 'seal' | 'commit' | 'abort' | 'rollback' | 'failover';

/** An epoch as a distance from the open one, or the nth that is sealed (the open one if none is). */
type Target = { readonly fromOpen: number } | { readonly nthSealed: number };

/** One step. `vm` says to which of two VMs; `term` is a distance from the one in force. */
export type Step =
  | { readonly do: 'send' | 'burst'; readonly vm: number; readonly frames: readonly FrameSpec[] }
  | { readonly do: 'inbound'; readonly vm: number; readonly frames: readonly FrameSpec[] }
  | { readonly do: 'turn' | 'pump' | 'fail'; readonly vm: number }
  | { readonly do: 'drain' | 'drainInside'; readonly vm: number; readonly frames: number }
  | { readonly do: 'wait'; readonly vm: number; readonly ns: number }
  | {
      readonly do: HostRequest;
      readonly vm: number;
      readonly epoch: Target;
      readonly term: number;
      readonly isLate: boolean;
    }
  | { readonly do: 'start'; readonly vm: number; readonly holdFrom: 'now' | 'first-seal'; readonly leaseMs: number }
  | {
      readonly do: 'takeover';
      readonly vm: number;
      readonly term: number;
      readonly epoch: number;
      readonly leaseMs: number;
    }
  | { readonly do: 'quiesce'; readonly vm: number; readonly term: number; readonly leaseMs: number }
  | { readonly do: 'resume'; readonly vm: number; readonly term: number }
  | { readonly do: 'stop'; readonly vm: number; readonly term: number; readonly held: 'release' | 'discard' | 'keep' }
  | { readonly do: 'swap'; readonly vm: number; readonly ruleSet: number };

export interface Schedule {
  readonly options: ModelOptions;
  readonly steps: readonly Step[];
}

const frameSpec: fc.Arbitrary<FrameSpec> = fc.record({
  kind: fc.oneof(
    { weight: 6, arbitrary: fc.constant('tcp' as const) },
    { weight: 3, arbitrary: fc.constant('udp' as const) },
    { weight: 4, arbitrary: fc.constantFrom(...KINDS) },
  ),
  flow: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(2) }),
  colour: fc.oneof({ weight: 3, arbitrary: fc.nat(1) }, { weight: 1, arbitrary: fc.nat(3) }),
  vlan: fc.constantFrom(0, 0, 0, 10, 20),
  pad: fc.oneof(fc.nat(8), fc.nat(LONGEST_PAD), fc.constant(LONGEST_PAD)),
});

const vm = fc.constantFrom(0, 0, 0, 1);
const term = fc.oneof({ weight: 12, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(-1, 1, -2) });
const isLate = fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) });

/** 0: none. */
const leaseMs = fc.constantFrom(0, 0, 0, 1, 5);

const nthSealed = fc.record({ nthSealed: fc.nat(4) });
const goBack = fc.oneof(nthSealed, fc.record({ fromOpen: fc.integer({ min: -4, max: -1 }) }));

function request(name: HostRequest, usual: fc.Arbitrary<Target>): fc.Arbitrary<Step> {
  const anyEpoch = fc.record({ fromOpen: fc.integer({ min: -8, max: 2 }) });
  const epoch = fc.oneof({ weight: 8, arbitrary: usual }, { weight: 1, arbitrary: anyEpoch });
  return fc.record({ do: fc.constant(name), vm, epoch, term, isLate });
}

function frames(name: 'send' | 'burst' | 'inbound', most: number): fc.Arbitrary<Step> {
  return fc.record({ do: fc.constant(name), vm, frames: fc.array(frameSpec, { minLength: 1, maxLength: most }) });
}

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 16, arbitrary: frames('send', 4) },
  { weight: 3, arbitrary: frames('burst', 24) },
  { weight: 1, arbitrary: frames('inbound', 6) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('turn' as const, 'pump' as const), vm }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('drain' as const), vm, frames: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drainInside' as const), vm, frames: fc.nat(12) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      vm,
      ns: fc.oneof(
        { weight: 20, arbitrary: fc.integer({ min: 1, max: 50 }) },
        { weight: 3, arbitrary: fc.constantFrom(1e6, 5e6) },
        { weight: 1, arbitrary: fc.constant(31e9) },
      ),
    }),
  },
  { weight: 8, arbitrary: request('seal', fc.constant({ fromOpen: 0 })) },
  { weight: 6, arbitrary: request('commit', nthSealed) },
  { weight: 2, arbitrary: request('abort', nthSealed) },
  { weight: 2, arbitrary: request('rollback', goBack) },
  { weight: 1, arbitrary: request('failover', goBack) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('start' as const),
      vm,
      holdFrom: fc.constantFrom('now' as const, 'now' as const, 'first-seal' as const),
      leaseMs,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('takeover' as const),
      vm,
      term: fc.constantFrom(0, 0, 1, 5, -1),
      epoch: fc.integer({ min: 1, max: 6 }),
      leaseMs,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.oneof(
      fc.record({ do: fc.constant('quiesce' as const), vm, term, leaseMs: fc.constantFrom(1, 5) }),
      fc.record({ do: fc.constant('resume' as const), vm, term }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('stop' as const),
      vm,
      term,
      held: fc.constantFrom('release' as const, 'discard' as const, 'keep' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.oneof(
      { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), vm }) },
      {
        weight: 2,
        arbitrary: fc.record({ do: fc.constant('swap' as const), vm, ruleSet: fc.nat(RULE_SET_COUNT - 1) }),
      },
    ),
  },
);

const share = fc.constantFrom(0, 0.2, 1 / 3, 0.5, 0.75, 1);

const options: fc.Arbitrary<ModelOptions> = fc
  .record({
    limits: fc.record({
      limitFrames: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(64)),
      limitBytes: fc.oneof(fc.integer({ min: SLOT_BYTES, max: 10 * SLOT_BYTES }), fc.constant(64 * SLOT_BYTES)),
      unclassifiedShare: share,
      behindShare: share,
      sealReserveFrames: fc.nat(4),
      sealReserveBytes: fc.constantFrom(0, 100, SLOT_BYTES, 4 * SLOT_BYTES),
    }),
    pacing: fc.constantFrom('burst', 'paced'),
    overflow: fc.constantFrom('drop', 'drop', 'backpressure'),
    batchFrames: fc.constantFrom(1, 2, 4, 8),
    replicated: fc.boolean(),
    ruleSet: fc.constantFrom(0, 0, 1, 2),
    outsideCapacity: fc.constantFrom(3, 64, 512),
    insideCapacity: fc.constantFrom(4, 64),
  })
  .filter(({ overflow, limits }) => {
    // Refused when the VM is made: nothing would ever be read.
    const behind = Math.min(limits.limitFrames, limits.limitBytes / SLOT_BYTES) * limits.behindShare;
    return overflow === 'drop' || behind >= 1;
  });

/** The first thing that happens is mostly a start, since nothing is held for long without one. */
export const schedules: fc.Arbitrary<Schedule> = fc
  .record({
    options,
    isStarted: fc.constantFrom(true, true, true, false),
    leaseMs,
    steps: fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }),
  })
  .map(({ options: chosen, isStarted, leaseMs, steps }) => {
    const starts = [0, 1].map((v): Step => ({ do: 'start', vm: v, holdFrom: 'now', leaseMs }));
    return { options: chosen, steps: isStarted ? [...starts, ...steps] : steps };
  });

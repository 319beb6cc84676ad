import fc from 'fast-check';

export const DISK_BYTES = 16_384;

/** Which epoch a request names: one that makes sense at that moment, or any. */
export type Which = 'open' | 'oldest-sealed' | 'newest-sealed' | 'committed' | 'older' | 'any';

export type Change = { readonly from: number; readonly length: number; readonly fill: number; readonly zero: boolean };

/** What is asked of the disk's terms and epochs. */
export type Asked =
  | { readonly op: 'start'; readonly later: number; readonly epoch: number }
  | {
      readonly op: 'seal' | 'commit' | 'abort' | 'rollback' | 'durable';
      readonly which: Which;
      readonly isStale: boolean;
    }
  | { readonly op: 'failover' | 'stop'; readonly isStale: boolean };

/** The process dies, in the middle of `changes` and of a flush; or the machine, which loses a share of what is not durable. */
export interface Crash {
  readonly op: 'crash';
  readonly changes: readonly Change[];
  readonly turns: number;
  readonly lostShare: number | null;
}

export type DiskOp =
  | { readonly op: 'change'; readonly changes: readonly Change[] }
  | { readonly op: 'flush' }
  | { readonly op: 'settle' }
  | { readonly op: 'reopen' }
  | Crash
  | Asked;

const change: fc.Arbitrary<Change> = fc.record({
  from: fc.nat(DISK_BYTES - 1),
  length: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 1500 }), fc.constant(DISK_BYTES)),
  fill: fc.integer({ min: 1, max: 255 }),
  zero: fc.boolean(),
});
const changes = (maxLength: number) => fc.array(change, { minLength: 1, maxLength });
const rarely = fc.integer({ min: 0, max: 9 }).map((number) => number === 0);
const which = (usual: Which) =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant(usual) },
    fc.constantFrom<Which>('open', 'oldest-sealed', 'newest-sealed', 'committed', 'older', 'any'),
  );

const op: fc.Arbitrary<DiskOp> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ op: fc.constant('change' as const), changes: changes(6) }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('start' as const), later: fc.nat(2), epoch: fc.nat(3) }) },
  { weight: 8, arbitrary: fc.record({ op: fc.constant('seal' as const), which: which('open'), isStale: rarely }) },
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constant('commit' as const), which: which('oldest-sealed'), isStale: rarely }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant('abort' as const), which: which('oldest-sealed'), isStale: rarely }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant('durable' as const), which: which('newest-sealed'), isStale: rarely }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant('rollback' as const), which: which('committed'), isStale: rarely }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constantFrom('failover' as const, 'stop' as const), isStale: rarely }) },
  {
    weight: 3,
    arbitrary: fc.constantFrom('flush' as const, 'settle' as const, 'reopen' as const).map((op): DiskOp => ({ op })),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('crash' as const),
      changes: changes(4),
      turns: fc.nat(12),
      lostShare: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: null }),
    }),
  },
);

export const diskSchedules = fc.array(op, { minLength: 1, maxLength: 60, size: 'max' });

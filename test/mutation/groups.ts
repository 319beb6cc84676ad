/** Sources that are mutated together, and the tests that judge them: each source has its own tests first of all. */
interface Group {
  readonly mutate: readonly string[];
  readonly tests: readonly string[];
  /** Environment of the tests: fewer runs where a few find as much. */
  readonly env: Readonly<Record<string, string>>;
}

const classifier = (...names: readonly string[]) => names.map((name) => `classifier/${name}.ts`);
const gateway = (...names: readonly string[]) => names.map((name) => `gateway/${name}.ts`);

/** Each runs by itself: with all tests at once a mutant of the parser would wait for the transmit buffer's model. */
export const GROUPS: Readonly<Record<string, Group>> = {
  parser: {
    mutate: classifier('parse', 'parse-ip6', 'parse-transport'),
    tests: ['test/classifier/parse*.test.ts'],
    env: {},
  },
  classifier: {
    mutate: classifier('fragments', 'flow-key', 'classifier'),
    tests: ['test/classifier/{fragments,flow-key,classifier}.test.ts'],
    env: {},
  },
  matcher: {
    mutate: classifier('linear', 'compile', 'matcher', 'tree', 'program', 'interval'),
    tests: ['test/classifier/{linear,compile,matcher}*.test.ts', 'test/classifier/classifier.test.ts'],
    env: { HOLDFAST_RUNS: '0.15' },
  },
  gateway: {
    mutate: gateway('epoch', 'tx-buffer', 'occupancy', 'byte-ring', 'flow-order'),
    tests: [
      'test/gateway/{epoch,tx-buffer,tx-buffer-limits,tx-buffer-model,byte-ring,flow-order,vm,vm-epochs,vm-limits,vm-order}.test.ts',
    ],
    // Of the random schedules.
    env: { HOLDFAST_RUNS: '0.4' },
  },
};

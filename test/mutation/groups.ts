/** Sources that are mutated together, and the tests that judge them: each source has its own tests first of all. */
interface Group {
  readonly mutate: readonly string[];
  readonly tests: readonly string[];
  /** Environment of the tests: fewer runs where a few find as much. */
  readonly env: Readonly<Record<string, string>>;
}

const classifier = (...names: readonly string[]) => names.map((name) => `classifier/${name}.ts`);
const tested = (...names: readonly string[]) => names.map((name) => `test/classifier/${name}.test.ts`);
const rules = (...names: readonly string[]) => names.map((name) => `rules/${name}.ts`);
const gateway = (...names: readonly string[]) => names.map((name) => `gateway/${name}.ts`);

/** Each runs by itself: with all tests at once a mutant of the parser would wait for the transmit buffer's model. */
export const GROUPS: Readonly<Record<string, Group>> = {
  parser: {
    mutate: classifier('parse', 'parse-arp', 'parse-ip4', 'parse-ip6', 'parse-mpls', 'parse-pppoe', 'parse-transport'),
    tests: ['test/classifier/parse*.test.ts'],
    env: {},
  },
  classifier: {
    mutate: classifier('fragments', 'flow-key', 'classifier'),
    tests: ['test/classifier/{fragments,flow-key,classifier}.test.ts'],
    env: {},
  },
  matcher: {
    mutate: classifier(
      'linear',
      'compile',
      'matcher',
      'tree',
      'program',
      'interval',
      'field',
      'frame-value',
      'raw',
      'key',
      'conditions',
      'box',
    ),
    // In this order: the quick ones that name what is wrong come first.
    tests: tested(
      'interval',
      'box',
      'field',
      'raw',
      'key',
      'frame-value',
      'program',
      'compile-tables',
      'tree',
      'match-kinds',
      'matcher',
      'compile',
      'classifier',
      'explain',
    ),
    env: { HOLDFAST_RUNS: '0.05' },
  },
  checker: {
    mutate: rules(
      'check',
      'region',
      'cover-index',
      'intervals',
      'box',
      'coordinates',
      'together',
      'work',
      'claims',
      'imagined',
      'witness',
      'broken-claims',
    ),
    tests: [
      'test/rules/check{,-boxes,-claims}.test.ts',
      'test/rules/{intervals,box,coordinates,cover-index,imagined,witness}.test.ts',
    ],
    env: { HOLDFAST_RUNS: '0.1' },
  },
  database: {
    mutate: rules('database', 'edit', 'handles', 'statement'),
    tests: ['test/rules/{database,statement}.test.ts'],
    env: { HOLDFAST_RUNS: '0.3' },
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

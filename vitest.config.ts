import { defineConfig } from 'vitest/config';
import { EndReporter } from './test/support/end-reporter.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--expose-gc'],
    maxWorkers: 2,
    testTimeout: 120_000,
    // Hooks start programs, too.
    hookTimeout: 60_000,
    // A wait that ran out may be the machine's fault, and is tried once more; a wrong value never is. The report names the tests.
    retry: { count: 1, condition: /^waited \d+ ms for |timed out in \d+ms/ },
    reporters: ['default', new EndReporter(), ['json', { outputFile: 'reports/tests.json' }]],
  },
});

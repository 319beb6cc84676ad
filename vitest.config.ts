import { defineConfig } from 'vitest/config';
import { SkipReporter } from './test/support/skip-reporter.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--expose-gc'],
    maxWorkers: 2,
    testTimeout: 120_000,
    reporters: ['default', new SkipReporter(), ['json', { outputFile: 'reports/tests.json' }]],
  },
});

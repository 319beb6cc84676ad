import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import { GROUPS } from './groups.ts';

const groups = Object.entries(GROUPS).filter(([name]) => name === (process.env.HOLDFAST_MUTATION ?? name));

/** The unit tests that judge the mutants of one group (see groups.ts), or of all: in memory, and seconds long. */
// biome-ignore lint/style/noDefaultExport: vitest asks for one
export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../..', import.meta.url)),
    include: groups.flatMap(([, { tests }]) => [...tests]),
    exclude: [...configDefaults.exclude, 'test/classifier/*captures.test.ts'],
    setupFiles: ['test/mutation/setup.ts'],
    env: groups.length === 1 ? groups[0]![1].env : {},
    // Instrumented code allocates, and takes minutes for thousands of rules.
    testNamePattern: /^(?!.*(allocates nothing|on 6,000 rules|of 10,000 rules))/,
    testTimeout: 300_000,
  },
});

import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { GROUPS } from './groups.ts';

const groups = Object.entries(GROUPS).filter(([name]) => name === (process.env.HOLDFAST_MUTATION ?? name));
const tests = groups.flatMap(([, group]) => [...group.tests]);

/** The files in the order of the group's list: the first test that fails ends a mutant. */
class AsListed extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => tests.findIndex((test) => moduleId.endsWith(`/${test}`));
    return files.sort((a, b) => rank(a) - rank(b));
  }
}

/** The unit tests that judge the mutants of one group (see groups.ts), or of all: in memory, and seconds long. */
// biome-ignore lint/style/noDefaultExport: vitest asks for one
export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../..', import.meta.url)),
    include: tests,
    exclude: [...configDefaults.exclude, 'test/classifier/*captures.test.ts'],
    sequence: { sequencer: AsListed },
    setupFiles: ['test/mutation/setup.ts'],
    env: groups.length === 1 ? groups[0]![1].env : {},
    // Instrumented code allocates, and takes minutes for thousands of rules.
    testNamePattern: /^(?!.*(allocates nothing|on 6,000 rules|of 10,000 rules))/,
    testTimeout: 300_000,
  },
});

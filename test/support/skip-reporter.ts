import type { Reporter, TestModule } from 'vitest/node';

/** Lists at the end which tests were skipped and why: a skip without a reason shows as such. */
export class SkipReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const reasons = new Map<string, number>();
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        const result = test.result();
        const reason = (result.state === 'skipped' ? result.note : undefined) ?? `no reason given: ${test.fullName}`;
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      }
    }
    for (const [reason, count] of reasons) console.log(`skipped ${count} test${count === 1 ? '' : 's'}: ${reason}`);
  }
}

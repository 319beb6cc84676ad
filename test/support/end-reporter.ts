import type { Reporter, TestCase, TestModule } from 'vitest/node';

/**
 * Says at the end, where it is still seen, which tests were skipped and why (a skip without a reason shows as such), which had
 * to be tried again, and which failed.
 */
export class EndReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const line of endLines(modules)) console.log(line);
  }
}

function endLines(modules: readonly TestModule[]): string[] {
  const skips = new Map<string, number>();
  const repeated: string[] = [];
  const failed: string[] = [];
  for (const module of modules) {
    const name = module.relativeModuleId;
    for (const error of module.errors()) failed.push(`failed: ${name}: ${firstLine(error.message)}`);
    for (const test of module.children.allTests()) {
      const result = test.result();
      if (result.state === 'skipped') {
        const reason = result.note ?? `no reason given: ${test.fullName}`;
        skips.set(reason, (skips.get(reason) ?? 0) + 1);
      } else if (result.state === 'failed') {
        failed.push(`failed: ${described(name, test)}`);
      } else if (test.diagnostic()?.flaky === true) {
        repeated.push(`passed at the second try: ${described(name, test)}`);
      }
    }
  }
  const skipped = [...skips].map(([reason, count]) => `skipped ${count} test${count === 1 ? '' : 's'}: ${reason}`);
  return [...skipped, ...repeated, ...failed];
}

function described(file: string, test: TestCase): string {
  const error = test.result().errors?.[0];
  return `${file} > ${test.fullName}: ${firstLine(error?.message ?? '')}`;
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? '';
}

import { writeFileSync } from 'node:fs';
import { noNetnsReason } from '../support/netns.ts';
import type { Reporter } from './figures.ts';
import { answersBench } from './live-answers.ts';
import { backEndsBench } from './live-back-ends.ts';
import { delayBench } from './live-delay.ts';
import { holdingBench } from './live-hold.ts';
import { ratesBench } from './live-rates.ts';
import { LiveRig } from './live-rig.ts';
import { tcpBench } from './live-tcp.ts';
import { find } from './processes.ts';

const PROGRAMS = ['ip', 'tc', 'ethtool', 'sysctl', 'taskset'] as const;
/** Programs that run beside would be measured, too. */
const PREFERRED = -15;
const ROUNDS = { rates: 5, delay: 7, backEnds: 5, tcp: 3, holding: 3 } as const;

/**
 * `holdfast run` between two network namespaces, beside what else moves frames.
 * @param quick at most so many rounds of everything
 */
export async function liveBench(report: Reporter, quick = Number.POSITIVE_INFINITY): Promise<void> {
  const reason = noNetnsReason(...PROGRAMS) ?? (find('cc') === null ? 'no C compiler' : null);
  if (reason !== null) return report.skipped('everything', reason);
  const rounds = (of: number) => Math.min(of, quick);
  setPriority(PREFERRED);
  const rig = new LiveRig();
  try {
    await ratesBench(report, rig, rounds(ROUNDS.rates));
    await delayBench(report, rig, rounds(ROUNDS.delay));
    await backEndsBench(report, rig, rounds(ROUNDS.backEnds));
    await holdingBench(report, rig, rounds(ROUNDS.holding));
    await answersBench(report, rig);
    await tcpBench(report, rounds(ROUNDS.tcp));
  } finally {
    await rig.delete();
    setPriority(0);
  }
}

/** Of this session's processes against those of others (sched(7), autogroups), where the kernel has that and we may. */
function setPriority(nice: number): void {
  try {
    writeFileSync('/proc/self/autogroup', String(nice));
  } catch {
    // Then other programs disturb more.
  }
}

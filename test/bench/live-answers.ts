import { setPriority } from 'node:os';
import type { Netns } from '../support/netns.ts';
import type { Reporter } from './figures.ts';
import { quantile } from './live-delay.ts';
import { holdfast } from './live-forwarders.ts';
import { type LiveRig, pause } from './live-rig.ts';

/** Answers in each situation. */
const EPOCHS = 100;
const FLOOD_SECONDS = 12;
/** The most that a seal reads before it answers, ms: the host's choice. */
const SEAL_MS = 20;
/** Beyond a seal's own time limit: what a request may have to wait for. */
const BOUND_MS = 10;
const HOST_NICE = -20;

/** How long seals and commits take to be answered while somebody floods the gateway; everything from the guest is held. */
export async function answersBench(report: Reporter, rig: LiveRig): Promise<void> {
  const { guest, network } = rig.scene;
  const floods: readonly (readonly [string, Netns | null])[] = [
    ['no flood', null],
    ['a flood from the guest', guest],
    ['a flood from the network', network],
  ];
  for (const [name, from] of floods) {
    await rig.with(holdfast('outbound { default hold }'), async () => {
      await rig.warm();
      const host = rig.scene.client().vm('vm0');
      await host.start();
      const flood = from === null ? null : rig.flood(from, 64, FLOOD_SECONDS, 0);
      await pause(300);
      // What is asked for is the gateway's time, not how long this process waits for a processor.
      setPriority(HOST_NICE);
      const seals: number[] = [];
      const commits: number[] = [];
      for (let n = 0; n < EPOCHS; n++) {
        const begin = performance.now();
        const { epoch } = await host.seal(SEAL_MS);
        const sealed = performance.now();
        seals.push(sealed - begin);
        await pause(10);
        const asked = performance.now();
        await host.commit(epoch);
        commits.push(performance.now() - asked);
      }
      setPriority(0);
      flood?.stop();
      await flood?.sent.catch(() => 0);
      const told = (what: string, ms: readonly number[], boundMs: number) => {
        for (const q of [0.5, 0.99, 1]) {
          report.figure({
            metric: `${what} answered, ${name}, ${q === 1 ? 'max' : `p${q * 100}`}`,
            value: quantile(ms, q),
            unit: 'ms',
            ...(q === 1 ? { target: { of: 'value', atMost: boundMs } } : {}),
          });
        }
      };
      told(`seal with a limit of ${SEAL_MS} ms`, seals, SEAL_MS + BOUND_MS);
      told('commit', commits, BOUND_MS);
    });
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { QmpClient } from '../../gateway/protect/qmp.ts';
import { bootedGuest, noGuestReason } from '../support/guest.ts';
import { noNetnsReason } from '../support/netns.ts';
import { filledIn } from '../support/shipped.ts';
import { VmScene } from '../support/vm-scene.ts';
import type { Reporter } from './figures.ts';
import { quantile } from './live-delay.ts';
import { median } from './rounds.ts';
import { type Echoes, VmLoad } from './vm-load.ts';

const MOST_ROUNDS = 2;
const PATIENCE_MS = 60_000;
/** A guest that is paused while all of it is copied needs time to run in between. */
const INTERVAL = { whole: 'adaptive:200ms:1s', delta: 'adaptive:50ms:1s' } as const;
const NONE = 'no protection';
const FILTERS_MS = [10, 25, 100] as const;
const RULE_SETS = ['hold-all', 'default', 'telephony'] as const;
/** Which of the echoes are data to whom. */
const DATA: Readonly<Record<string, readonly string[]>> = {
  default: ['ping', 'UDP at 50 a second', 'UDP at 1,000 a second'],
  telephony: ['UDP at 50 a second', 'UDP at 1,000 a second'],
};

/** What one kind of protection was seen to cost, round by round. */
interface Seen {
  readonly echoes: Readonly<Record<string, Echoes[]>>;
  readonly figures: Readonly<Record<string, { readonly unit: string; readonly values: number[] }>>;
}

/**
 * What protection costs a VM in QEMU and its clients.
 * @param protect more flags for `holdfast protect`; with `--copy delta` the machines' memory is in shared files
 */
export async function vmBench(report: Reporter, rounds: number, protect: readonly string[]): Promise<void> {
  const reason = noNetnsReason('sysctl', 'ping', 'ss') ?? noGuestReason();
  if (reason !== null) return report.skipped('all', reason);
  const booted = await bootedGuest();
  const delta = protect.includes('delta');
  const interval = delta ? INTERVAL.delta : INTERVAL.whole;
  const scene = new VmScene({ rules: 'hold-all', delta });
  const seen = new Map<string, Seen>();
  const checkpoints: Checkpoint[] = [];
  const periodsMs: number[] = [];
  try {
    await scene.start(booted);
    const load = new VmLoad(scene.network, scene.folder);
    const measured = async (name: string) => {
      if (!seen.has(name)) seen.set(name, nothingSeen());
      await measure(load, seen.get(name)!);
    };
    for (let round = 0; round < Math.min(rounds, MOST_ROUNDS); round++) {
      await release(scene);
      await measured(NONE);
      for (const ms of FILTERS_MS) await filtered(scene, ms, () => measured(`QEMU filter-buffer at ${ms} ms`));
      if (round > 0) await scene.startStandby();
      const driver = scene.protectByCommand('--interval', interval, ...protect);
      try {
        await driver.says('"event":"committed"', PATIENCE_MS);
        for (const set of RULE_SETS) {
          await scene.client(0).call('rules.apply', { vm: 'vm0', text: filledIn(set, {}) });
          const from = { events: driver.events.length, ms: performance.now() };
          await measured(set);
          if (set !== 'hold-all') continue;
          const more = driver.events.slice(from.events).filter(isCommit);
          checkpoints.push(...more);
          periodsMs.push((performance.now() - from.ms) / more.length);
        }
      } finally {
        await driver.kill('SIGTERM');
      }
      // It would take the silence of a driver for the VM's death.
      await scene.standby.kill('SIGTERM');
    }
  } finally {
    await scene.delete();
  }
  tellCheckpoints(report, checkpoints, median(periodsMs), at(seen.get('hold-all')!.echoes.ping!, 0.5));
  tell(report, seen);
}

function nothingSeen(): Seen {
  return {
    echoes: { ping: [], 'UDP at 50 a second': [], 'UDP at 1,000 a second': [] },
    figures: {
      'TCP from the guest': { unit: 'Mbit/s', values: [] },
      'TCP to the guest': { unit: 'Mbit/s', values: [] },
      'a fixed computation in the guest': { unit: 'ms', values: [] },
    },
  };
}

async function measure(load: VmLoad, { echoes, figures }: Seen): Promise<void> {
  echoes.ping!.push(await load.ping());
  echoes['UDP at 50 a second']!.push(await load.udp(200, 50));
  echoes['UDP at 1,000 a second']!.push(await load.udp(2500, 1000));
  figures['TCP from the guest']!.values.push(await load.down());
  figures['TCP to the guest']!.values.push(await load.up());
  figures['a fixed computation in the guest']!.values.push(await load.work());
}

/** The gateway holds nothing, until a driver comes. */
async function release(scene: VmScene): Promise<void> {
  const vm = scene.client(0).vm('vm0');
  await vm.start({ leaseMs: 0 });
  await vm.stop('release');
}

/** Does something while QEMU lets what the guest sends wait for a timer. */
async function filtered(scene: VmScene, ms: number, work: () => Promise<void>): Promise<void> {
  const qmp = await QmpClient.connect(scene.path('eye0'));
  try {
    const filter = { 'qom-type': 'filter-buffer', id: 'f0', netdev: 'n0', queue: 'rx', interval: ms * 1000 };
    await qmp.execute('object-add', filter);
    await work();
    await qmp.execute('object-del', { id: 'f0' });
    await sleep(2 * ms);
  } finally {
    qmp.close();
  }
}

/** A checkpoint as the driver tells of it. */
interface Checkpoint {
  readonly pauseMs: number;
  readonly commitMs: number;
}

function isCommit(event: Record<string, unknown>): event is Record<string, unknown> & Checkpoint {
  return event.event === 'committed';
}

function at(echoes: readonly Echoes[], q: number): number {
  return median(echoes.map(({ ms }) => quantile(ms, q)));
}

/** @param periodMs from one checkpoint to the next @param waitMs what a frame that is held waited */
function tellCheckpoints(report: Reporter, checkpoints: readonly Checkpoint[], periodMs: number, waitMs: number): void {
  const pauseMs = median(checkpoints.map((one) => one.pauseMs));
  const commitMs = median(checkpoints.map((one) => one.commitMs));
  report.figure({ metric: 'hold-all: a checkpoint, the guest is paused, median', value: pauseMs, unit: 'ms' });
  report.figure({ metric: 'hold-all: a checkpoint, from beginning to commit, median', value: commitMs, unit: 'ms' });
  report.figure({
    metric: 'hold-all: ping, round trip, p50',
    value: waitMs,
    unit: 'ms',
    baseline: { name: 'from one checkpoint to the next', value: periodMs },
    target: { of: 'ratio', atMost: 1.5 },
  });
}

function tell(report: Reporter, seen: ReadonlyMap<string, Seen>): void {
  const none = seen.get(NONE)!;
  for (const what of Object.keys(none.echoes)) {
    for (const q of [0.5, 0.99]) {
      for (const [name, { echoes }] of seen) {
        const all = echoes[what]!;
        const lost = all.reduce((sum, one) => sum + one.lost, 0);
        const isData = DATA[name]?.includes(what) === true;
        report.figure({
          metric: `${name}: ${what}, round trip, p${q * 100}${lost === 0 ? '' : ` (${lost} lost)`}`,
          value: at(all, q),
          unit: 'ms',
          ...(name === NONE ? {} : { baseline: { name: NONE, value: at(none.echoes[what]!, q) } }),
          ...(isData && q === 0.99 ? { target: { of: 'ratio', atMost: 2 } } : {}),
        });
      }
    }
  }
  for (const [what, { unit, values }] of Object.entries(none.figures)) {
    for (const [name, { figures }] of seen) {
      report.figure({
        metric: `${name}: ${what}`,
        value: median(figures[what]!.values),
        unit,
        ...(name === NONE ? {} : { baseline: { name: NONE, value: median(values) } }),
      });
    }
  }
}

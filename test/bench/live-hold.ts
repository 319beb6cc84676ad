import type { VmClient } from '../../gateway/host/vm-client.ts';
import { GUEST, NETWORK } from '../support/live-scene.ts';
import { UdpHand } from '../support/udp-hand.ts';
import type { Reporter } from './figures.ts';
import { quantile } from './live-delay.ts';
import { type ForwarderKind, holdfast } from './live-forwarders.ts';
import { qemuFilterBuffer } from './live-qemu.ts';
import { LiveRig, pause, received } from './live-rig.ts';
import { median } from './rounds.ts';

const DATA = 7000;
const CONTROL = 7001;
const rulesWhere = (verdict: 'hold' | 'pass') => `class data pass
class control ${verdict}
outbound {
  udp dport ${CONTROL} class control
  default class data
}`;
const RULES = rulesWhere('hold');
const COMMITS = 200;
const RELEASED = { framesPerSecond: 150_000, seconds: 0.7, bufferFrames: 200_000 } as const;
const EPOCH_MS = 100;
/** From the seal to the commit, while the checkpoint is on its way to the standby. */
const CHECKPOINT_MS = 20;
const CONTROL_PER_SECOND = 10_000;
const DATA_PER_SECOND = 2000;
const WINDOW_SECONDS = 2;

/** What holding and releasing costs those who wait, and those who do not. */
export async function holdingBench(report: Reporter, rig: LiveRig, rounds: number): Promise<void> {
  await firstFrames(report);
  await release(report, rig, rounds);
  await dataWhileHeld(report, rig, rounds);
}

/** From asking for a commit until the first frame is in the receiver's hand. */
async function firstFrames(report: Reporter): Promise<void> {
  const rig = new LiveRig();
  try {
    rig.scene.addAddresses();
    const guest = new UdpHand(rig.scene.guest, GUEST.ip4, 6000);
    const data = new UdpHand(rig.scene.network, NETWORK.ip4, DATA);
    const control = new UdpHand(rig.scene.network, NETWORK.ip4, CONTROL);
    await rig.with(holdfast(RULES), async () => {
      const host = rig.scene.client().vm('vm0');
      await host.start();
      const forwarded: number[] = [];
      const committed: number[] = [];
      for (let n = -COMMITS / 4; n < COMMITS; n++) {
        await pause(1);
        const sent = performance.now();
        guest.send(NETWORK.ip4, DATA, 'data');
        const delay = arrival(data) - sent;
        guest.send(NETWORK.ip4, CONTROL, 'control');
        const { epoch } = await host.seal();
        await pause(1);
        const asked = performance.now();
        const answer = host.commit(epoch);
        const wait = arrival(control) - asked;
        await answer;
        if (n < 0) continue;
        forwarded.push(delay * 1e3);
        committed.push(wait * 1e3);
      }
      const at = (q: number) => ({
        value: quantile(committed, q),
        unit: 'µs',
        baseline: { name: 'forwarding one', value: quantile(forwarded, q) },
      });
      report.figure({
        metric: 'commit to first released frame, p50',
        ...at(0.5),
        target: { of: 'value', atMost: 150 },
      });
      report.figure({
        metric: 'commit to first released frame, p99',
        ...at(0.99),
        target: { of: 'ratio', atMost: 3 },
      });
    });
    for (const hand of [guest, data, control]) hand.close();
  } finally {
    await rig.delete();
  }
}

/** Waits without letting anything else of this process run. @returns when a datagram was there, ms */
function arrival(hand: UdpHand): number {
  const end = performance.now() + 1000;
  while (hand.take().length === 0) if (performance.now() > end) throw new Error('a frame did not arrive');
  return performance.now();
}

/** 100,000 held frames leave at once. */
async function release(report: Reporter, rig: LiveRig, rounds: number): Promise<void> {
  const { guest, network } = rig.scene;
  const kind = holdfast('outbound { default hold }', '--buffer-frames', String(RELEASED.bufferFrames));
  const forwarded: number[] = [];
  const released: number[] = [];
  let frames = 0;
  for (let round = 0; round < rounds; round++) {
    await rig.with(kind, async () => {
      await rig.warm();
      const host = rig.scene.client().vm('vm0');
      // Before the first term nothing is held.
      const flood = rig.flood(guest, 64, 1, 0);
      await pause(250);
      const before = { frames: received(network), ms: performance.now() };
      await pause(600);
      forwarded.push(((received(network) - before.frames) / (performance.now() - before.ms)) * 1e3);
      await flood.sent;
      await pause(200);
      await host.start();
      for (let n = 0; n < 2; n++) {
        await rig.flood(guest, 64, RELEASED.seconds, RELEASED.framesPerSecond).sent;
        await pause(100);
        const { epoch, heldFrames } = await host.seal();
        const wanted = received(network) + heldFrames;
        const begin = performance.now();
        const answer = host.commit(epoch);
        while (received(network) < wanted && performance.now() - begin < 5000);
        if (received(network) < wanted) throw new Error('released frames did not arrive');
        if (n === 1) released.push((heldFrames / (performance.now() - begin)) * 1e3);
        frames = heldFrames;
        await answer;
      }
    });
  }
  report.figure({
    metric: `release ${frames.toLocaleString('en')} held frames of 64 B`,
    value: median(released),
    unit: 'frames/s',
    baseline: { name: 'forwarding under a flood', value: median(forwarded) },
    target: { of: 'ratio', atLeast: 0.8 },
  });
}

/**
 * Data frames' delay while control frames are held, and while the same frames pass: with the same seals and commits, so that the host's
 * own process takes as much of the processors, and without any.
 */
async function dataWhileHeld(report: Reporter, rig: LiveRig, rounds: number): Promise<void> {
  const alone: number[][] = [];
  const passing: number[][] = [];
  const holding: number[][] = [];
  for (let round = 0; round < rounds; round++) {
    for (const verdict of ['pass', 'hold'] as const) {
      await rig.with(holdfast(rulesWhere(verdict)), async () => {
        await rig.warm();
        if (verdict === 'pass') alone.push(await underControl(rig));
        const host = rig.scene.client().vm('vm0');
        await host.start();
        const epochs = new EpochDriver(host);
        (verdict === 'pass' ? passing : holding).push(await underControl(rig));
        await epochs.end();
      });
    }
  }
  const of = (delays: readonly number[][], q: number) => median(delays.map((one) => quantile(one, q) / 1e3));
  for (const q of [0.5, 0.99]) {
    const metric = `delay of data, p${q * 100}, while ${EPOCH_MS} ms epochs of 10,000 control frames/s`;
    const unit = 'µs';
    const baseline = { name: 'the same seals and commits, nothing held', value: of(passing, q) };
    const target = { of: 'ratio', atMost: 2 } as const;
    report.figure({
      metric: `${metric} are held`,
      value: of(holding, q),
      unit,
      baseline,
      ...(q === 0.99 ? { target } : {}),
    });
    report.figure({
      metric: `${metric} pass, with seals and commits`,
      value: of(passing, q),
      unit,
      baseline: { name: 'without a host', value: of(alone, q) },
    });
  }
  if (qemuFilterBuffer.missing !== null) {
    report.skipped(`delay of data through ${qemuFilterBuffer.name}`, qemuFilterBuffer.missing);
    return;
  }
  const buffered = await delaysThrough(rig, qemuFilterBuffer, rounds);
  for (const q of [0.5, 0.99]) {
    report.figure({
      metric: `delay of data, p${q * 100}, while ${EPOCH_MS} ms epochs are held`,
      value: of(holding, q),
      unit: 'µs',
      baseline: { name: `${qemuFilterBuffer.name}, which holds data too`, value: of(buffered, q) },
    });
  }
}

async function delaysThrough(rig: LiveRig, kind: ForwarderKind, rounds: number): Promise<number[][]> {
  const all: number[][] = [];
  for (let round = 0; round < rounds; round++) {
    all.push(await rig.with(kind, () => rig.delays(WINDOW_SECONDS * DATA_PER_SECOND, DATA_PER_SECOND, DATA)));
  }
  return all;
}

async function underControl(rig: LiveRig): Promise<number[]> {
  const flood = rig.flood(rig.scene.guest, 64, WINDOW_SECONDS + 0.5, CONTROL_PER_SECOND, CONTROL);
  await pause(200);
  const delays = await rig.delays(WINDOW_SECONDS * DATA_PER_SECOND, DATA_PER_SECOND, DATA);
  await flood.sent;
  return delays;
}

/** A host that makes a checkpoint every so often. */
class EpochDriver {
  readonly #host: VmClient;
  #goesOn = true;
  readonly #ended: Promise<void>;

  constructor(host: VmClient) {
    this.#host = host;
    this.#ended = this.#run();
  }

  async #run(): Promise<void> {
    while (this.#goesOn) {
      const { epoch } = await this.#host.seal();
      await pause(CHECKPOINT_MS);
      await this.#host.commit(epoch);
      await pause(EPOCH_MS - CHECKPOINT_MS);
    }
  }

  async end(): Promise<void> {
    this.#goesOn = false;
    await this.#ended;
  }
}

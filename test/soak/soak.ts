import { readFileSync } from 'node:fs';
import type { Status } from '../../gateway/host/api.ts';
import { LiveScene } from '../support/live-scene.ts';
import { lostBeside } from '../support/lost-beside.ts';
import { CONTROL_PORT, type EpochLog, type SenderLog } from './frames.ts';

const RULES = `class data pass
class control hold
outbound {
  udp dport ${CONTROL_PORT} class control
  default class data
}`;

export interface SoakOptions {
  readonly seconds: number;
  readonly framesPerSecond: number;
  readonly seed: number;
}

export interface SoakResult {
  /** What is wrong, in sentences; empty: nothing. */
  readonly findings: readonly string[];
  readonly status: Status;
  readonly log: SenderLog;
  /** Frames that arrived: data, control. */
  readonly arrived: readonly [number, number];
  /** Data frames' time from sending to arrival, ms: the median of each tenth of the run. */
  readonly latenciesMs: readonly number[];
  /** The gateway's resident memory, bytes, of each tenth of the run. */
  readonly rssBytes: readonly number[];
}

/** Runs a gateway under load, with epochs that are committed, aborted and rolled back, and judges what arrived. */
export async function soak({ seconds, framesPerSecond, seed }: SoakOptions): Promise<SoakResult> {
  const scene = new LiveScene(false);
  try {
    scene.addAddresses();
    scene.introduce();
    const gateway = await scene.run('--rules', scene.file('soak.rules', RULES));
    const run = (name: string) => ['--import', 'tsx', new URL(name, import.meta.url).pathname];
    const file = `${scene.folder}/arrived`;
    const most = String(Math.ceil(seconds * framesPerSecond * 1.1));
    const receiver = scene.network.start(process.execPath, ...run('receiver.ts'), file, most);
    await receiver.says('receiving');
    const parameters = [scene.control, String(seconds), String(framesPerSecond), String(seed)];
    const sender = scene.guest.start(process.execPath, ...run('sender.ts'), ...parameters);
    const rss: number[] = [];
    const watch = setInterval(() => rss.push(rssOf(gateway.pid)), Math.max(50, (seconds * 1000) / 100));
    const said = await sender.done().finally(() => clearInterval(watch));
    const log: SenderLog = JSON.parse(said);
    await new Promise((resolve) => setTimeout(resolve, 200));
    receiver.child.stdin!.end();
    await receiver.done();
    const status = await scene.client().call('status', {});
    const arrived = [0, 1].map((kind) => rowsOf(`${file}.${kind}`));
    return {
      findings: [...judge(log, arrived[1]!), ...account(log, arrived, status, lostBeside(scene))],
      status,
      log,
      arrived: [arrived[0]!.length / 3, arrived[1]!.length / 3],
      latenciesMs: tenths(arrived[0]!.length / 3, (i) => arrived[0]![3 * i + 1]! - arrived[0]![3 * i + 2]!),
      rssBytes: tenths(rss.length, (i) => rss[i]!),
    };
  } finally {
    await scene.delete();
  }
}

/** Control frames: only committed ones, none before it was allowed to, each once, in order. */
function judge({ epochs }: SenderLog, rows: Float64Array): string[] {
  const findings: string[] = [];
  const find = (text: string) => {
    if (findings.length < 20) findings.push(text);
  };
  const rolled = epochs.filter((one) => one.to > one.from);
  let last = -1;
  for (let at = 0; at < rows.length; at += 3) {
    const serial = rows[at]!;
    const epoch = epochOf(rolled, serial);
    if (epoch === null) find(`control frame ${serial} was never sent`);
    else if (epoch.isUndone) find(`control frame ${serial} of epoch ${epoch.epoch} left, which was rolled back`);
    else if (epoch.releasedMs === null) find(`control frame ${serial} of epoch ${epoch.epoch} left uncommitted`);
    else if (rows[at + 1]! < epoch.releasedMs) {
      find(`control frame ${serial} left ${(epoch.releasedMs - rows[at + 1]!).toFixed(1)} ms too early`);
    }
    if (serial <= last) find(`control frame ${serial} came after ${last}`);
    last = serial;
  }
  return findings;
}

/** Nothing is lost that nobody counted. @param beside frames that the kernel has lost before and behind the gateway */
function account(log: SenderLog, arrived: readonly Float64Array[], { vms, ports }: Status, beside: number): string[] {
  const findings: string[] = [];
  const { counters } = vms[0]!;
  const { outbound, passed, held, released, discarded, dropped, stillHeld } = counters;
  if (outbound !== passed + released + discarded + dropped + stillHeld) findings.push('outbound is not the sum');
  if (held !== released + discarded + stillHeld) findings.push('held is not the sum');
  const lost = ports.reduce((sum, port) => sum + port.counters.lost!, 0);
  const undone = log.epochs.reduce((sum, one) => sum + (one.isUndone ? one.to - one.from : 0), 0);
  const missing = log.sent[0] + log.sent[1] - discarded - (arrived[0]!.length + arrived[1]!.length) / 3;
  const told = lost + dropped + beside;
  if (missing !== told) findings.push(`${missing} frames are missing, ${told} were counted as lost`);
  // What was lost on the way here cannot be discarded here.
  if (discarded > undone || undone - discarded > told)
    findings.push(`${undone} frames were rolled back, and ${discarded} were discarded`);
  return findings;
}

function epochOf(epochs: readonly EpochLog[], serial: number): EpochLog | null {
  let low = 0;
  let high = epochs.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const one = epochs[middle]!;
    if (serial < one.from) high = middle - 1;
    else if (serial >= one.to) low = middle + 1;
    else return one;
  }
  return null;
}

function rowsOf(file: string): Float64Array {
  const bytes = readFileSync(file);
  return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** @returns the median of each tenth */
function tenths(count: number, read: (index: number) => number): number[] {
  return Array.from({ length: 10 }, (_, k) => {
    const from = Math.floor((k * count) / 10);
    const to = Math.floor(((k + 1) * count) / 10);
    const values = Float64Array.from({ length: to - from }, (_, i) => read(from + i)).sort();
    return values[values.length >> 1] ?? Number.NaN;
  });
}

function rssOf(pid: number): number {
  const [, kib = '0'] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) * 1024;
}

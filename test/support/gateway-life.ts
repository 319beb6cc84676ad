import { openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { VirtualClock } from '../../gateway/clock.ts';
import { StateDir } from '../../gateway/durable/state-dir.ts';
import type { FrameBatch } from '../../gateway/frame-batch.ts';
import { DEFAULT_LIMITS } from '../../gateway/occupancy.ts';
import type { Port } from '../../gateway/port/port.ts';
import { Vm } from '../../gateway/vm.ts';
import { makeFrame } from './frames.ts';
import { Random } from './random.ts';
import { generationOfText } from './replay-frames.ts';

/**
 * One life of a gateway, to be killed at any moment: a process with one VM, whose network is a log. Everything that happens is
 * written there, what is asked before it is asked; what a dead process has written stays. See kill-history.ts for what it means.
 *
 *     gateway-life.ts FOLDER SEED live                    until it is killed
 *     gateway-life.ts FOLDER SEED end                     commits everything, and ends
 *     gateway-life.ts FOLDER SEED hold FRAMES             holds so many frames and seals
 *     gateway-life.ts FOLDER SEED release BATCH before|after   commits, and kills itself at that batch
 */
const [folder, seed, mode, amount, moment] = process.argv.slice(2) as [string, string, string, string?, string?];
const RULES = 'outbound { tcp flags & (syn|fin|rst) != 0 hold; udp dport 5000-5003 hold; default pass }';
const SLOT_BYTES = 256;
const BATCH = 64;
const FLOWS = 3;

const log = openSync(join(folder, 'log'), 'a', 0o600);
const random = new Random(Number(seed));

function say(...lines: string[]): void {
  writeSync(log, lines.map((line) => `${line}\n`).join(''));
}

/** Frames that the VM is about to send: each names its number in its last four bytes. */
const waiting: Uint8Array[] = [];
let serial = nextSerial();

const inside: Port = {
  name: 'inside',
  capabilities: { pushesBack: true, cutsFrames: false },
  receive(batch, from, max) {
    const frames = waiting.splice(0, max);
    frames.forEach((bytes, n) => {
      const i = from + n;
      batch.slab.bytes.set(bytes, batch.offset[i]!);
      batch.length[i] = bytes.length;
      batch.wireLength[i] = bytes.length;
      batch.linkType[i] = 1;
      batch.arrivalNs[i] = 0;
    });
    return frames.length;
  },
  transmit: (_batch, _from, count) => count,
  close() {},
};

let batches = 0;

const outside: Port = {
  name: 'outside',
  capabilities: { pushesBack: true, cutsFrames: false },
  receive: () => 0,
  transmit(batch, from, count) {
    const isLast = mode === 'release' && batches++ === Number(amount);
    if (isLast && moment === 'before') process.kill(process.pid, 'SIGKILL');
    // A port takes less than it is offered now and then.
    const taken = mode === 'live' && random.below(4) === 0 ? random.below(count + 1) : count;
    const lines = Array.from({ length: taken }, (_, n) => `w ${serialOf(batch, from + n)}`);
    if (taken > 0) say(...lines);
    if (isLast) process.kill(process.pid, 'SIGKILL');
    return taken;
  },
  close() {},
};

const dir = new StateDir(join(folder, 'state'), () => 1e12);
const store = dir.openVm('vm/0', 'file');
const limits = { ...DEFAULT_LIMITS, limitFrames: 110_000, limitBytes: 110_000 * 128 };
const vm = new Vm(inside, outside, generationOfText(RULES), new VirtualClock(), {
  slotBytes: SLOT_BYTES,
  batchFrames: BATCH,
  limits: mode === 'live' ? { ...limits, limitFrames: 2000, limitBytes: 64 * 1024 } : limits,
  replicated: true,
  store,
});
const { recovered } = store;
say(`recovered ${vm.epochs.term} ${recovered.frames} ${recovered.resentFrames} ${recovered.setAside.length}`);

if (mode === 'live') live();
else if (mode === 'end') end();
else if (mode === 'hold') hold(Number(amount));
else release();

function live(): void {
  // A VM that sends before its host has said anything.
  send(1 + random.below(8));
  writeSync(1, 'ready\n');
  const parent = process.ppid;
  for (;;) {
    if (process.ppid !== parent) process.exit();
    const { epochs, txBuffer } = vm;
    if (epochs.term === 0) start();
    const isFull = txBuffer.bytes > 32 * 1024 || txBuffer.frames > 1000;
    const dice = random.below(100);
    if (dice < 55 && !isFull) send(1 + random.below(30));
    else if (dice < 60) vm.pump();
    else if (dice < 75) seal();
    else if (dice < 92 || isFull) commit();
    else if (dice < 95) abort();
    else if (dice < 98) rollback();
    else start();
  }
}

function end(): void {
  if (vm.epochs.term === 0) start();
  seal();
  commit(vm.epochs.openEpoch - 1);
  while (vm.stillHeld > 0) vm.pump();
  say('end');
}

function hold(frames: number): void {
  start();
  for (let n = 0; n < frames; n += BATCH) send(Math.min(BATCH, frames - n));
  seal();
  commit(0);
  say(`stored ${vm.txBuffer.frames}`);
}

function release(): void {
  commit(1);
  vm.pump();
}

function send(count: number): void {
  const { epochs } = vm;
  const isHeld = epochs.state !== 'on' || mode === 'hold';
  const lines: string[] = [];
  for (let n = 0; n < count; n++) {
    const flow = random.below(FLOWS);
    const kind = random.below(4) === 0 ? 'udp' : 'tcp';
    // TCP: an acknowledgement, which passes, or SYN.
    const colour = isHeld || random.below(3) === 0 ? 1 : 0;
    const { bytes } = makeFrame({ kind, flow, colour, vlan: 0, pad: random.below(60) }, serial);
    const frame = new Uint8Array(bytes.length + 4);
    frame.set(bytes);
    new DataView(frame.buffer).setUint32(bytes.length, serial);
    waiting.push(frame);
    const verdict = kind === 'tcp' && colour === 0 && !isHeld ? 'pass' : 'hold';
    lines.push(`s ${serial} ${kind === 'tcp' ? flow : -1} ${epochs.openEpoch} ${verdict}`);
    serial++;
  }
  say(...lines);
  while (waiting.length > 0) vm.turn();
  say(`stored-to ${serial - 1}`);
}

function seal(): void {
  const { term, openEpoch } = vm.epochs;
  vm.seal(term, openEpoch);
  say(`sealed ${openEpoch}`);
}

function commit(epoch?: number): void {
  const { term, sealedEpochs } = vm.epochs;
  const which = epoch ?? (sealedEpochs.length === 0 ? undefined : random.pick(sealedEpochs));
  if (which === undefined || which === 0) return;
  say(`commit ${which}`);
  vm.commit(term, which);
}

function abort(): void {
  const { term, sealedEpochs } = vm.epochs;
  if (sealedEpochs.length > 0) vm.abort(term, random.pick(sealedEpochs));
}

function rollback(): void {
  const { term, sealedEpochs, committedEpoch } = vm.epochs;
  const epoch = random.pick([committedEpoch, ...sealedEpochs]);
  say(`rollback ${epoch}`);
  const { term: next } = vm.rollback(term, epoch);
  say(`rolled-back ${next}`);
}

function start(): void {
  say('start');
  const { term } = vm.start();
  say(`started ${term}`);
}

function serialOf(batch: FrameBatch, i: number): number {
  return batch.slab.view.getUint32(batch.offset[i]! + batch.length[i]! - 4);
}

/** Goes on where the life before has ended. */
function nextSerial(): number {
  let highest = 0;
  for (const line of readFileSync(join(folder, 'log'), { encoding: 'utf8', flag: 'a+' }).split('\n')) {
    if (line.startsWith('s ')) highest = Math.max(highest, Number(line.split(' ')[1]) + 1);
  }
  return highest;
}

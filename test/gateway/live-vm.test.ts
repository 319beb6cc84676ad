/** One VM on stream ports: what it does in one turn of the loop, and what it goes on with by itself. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LiveClock } from '../../gateway/live-clock.ts';
import { LiveVm } from '../../gateway/live-vm.ts';
import { DEFAULT_LIMITS } from '../../gateway/occupancy.ts';
import { PortError } from '../../gateway/port/port-error.ts';
import { parsePortSpec } from '../../gateway/port/spec.ts';
import { frame } from '../../pcaps/build.ts';
import { until } from '../support/netns.ts';
import { generationOf } from '../support/verdicts.ts';

const RULES = 'outbound { udp dport 9 hold\n default pass }';
/** Four batches, as many as one call of a listener moves. */
const MOST_FRAMES = 4 * 64;
/** Released frames that leave at a time. */
const RELEASED = 16;
const MANY = 40 * MOST_FRAMES;
/** The rules hold what goes there. */
const HELD = 9;

let folder: string;
let live: LiveVm;
let guest: Socket;
let net: Socket;

const socketAt = (name: string) => join(folder, name);

function opened(outside = `stream-listen:unix:${socketAt('net')}`): LiveVm {
  const pair = { inside: parsePortSpec(`stream-listen:unix:${socketAt('vm')}`), outside: parsePortSpec(outside) };
  return new LiveVm(
    {
      ...{ name: 'vm0', replicated: false, pairs: [pair], rules: null, limits: DEFAULT_LIMITS },
      ...{ buffer: 'memory', pacing: 'burst', overflow: 'drop', announce: [] },
    },
    { clock: new LiveClock(), generation: generationOf(RULES), isTaken: () => false, onLink: () => {} },
  );
}

async function peerAt(name: string, side: 'inside' | 'outside'): Promise<Socket> {
  await until(() => existsSync(socketAt(name)), `the socket ${name}`);
  const socket = connect(socketAt(name)).on('error', () => {});
  await until(() => live.ports().some((port) => port.side === side && port.link === 'up'), `${side} to be up`);
  return socket;
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-live-vm-'));
  live = opened();
  guest = await peerAt('vm', 'inside');
  net = await peerAt('net', 'outside');
  net.resume();
  guest.resume();
});
afterEach(() => {
  live.close();
  guest.destroy();
  net.destroy();
  rmSync(folder, { recursive: true, force: true });
});

/** @returns frames as a stream has them */
function frames(count: number, port = 7): Buffer {
  const bytes = frame().eth({}).ip4({}).udp(1, port).payload('x').build();
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat(Array(count).fill(Buffer.concat([length, bytes])));
}

/** A term begins, and so many frames are held in its first epoch, which is sealed. @returns the term */
async function sealed(count: number): Promise<number> {
  const { vm } = live;
  const { term } = vm.start();
  guest.write(frames(count, HELD));
  await until(() => vm.txBuffer.frames === count, 'frames to be held');
  vm.seal(term, 1);
  return term;
}

it.each([
  ['outbound', () => guest],
  ['inbound', () => net],
] as const)(
  'under a flood a listener moves %s frames once in a turn of the loop, and goes on until there are none',
  async (way, peer) => {
    const read = () => live.vm.counters.get(way);
    peer().write(frames(MANY));
    for (let before = 0; read() < MANY; before = read()) {
      await nextTurn();
      // Once when frames came, and once because there were more.
      expect(read() - before).toBeLessThanOrEqual(2 * MOST_FRAMES);
    }
    expect(read()).toBe(MANY);
  },
);

it('released frames leave a few in a turn of the loop, whatever else happens, and all of them', async () => {
  const { vm } = live;
  const term = await sealed(MOST_FRAMES);
  vm.commit(term, 1);
  const left = () => vm.counters.get('released');
  expect(left()).toBe(RELEASED);
  for (let before = left(); left() < MOST_FRAMES; before = left()) {
    for (let i = 0; i < 3; i++) live.settle();
    await nextTurn();
    expect(left() - before).toBeLessThanOrEqual(RELEASED);
  }
});

it('what was released leaves before the links are let go of', async () => {
  const { vm } = live;
  const term = await sealed(MOST_FRAMES);
  vm.commit(term, 1);
  live.close();
  expect(vm.counters.get('released')).toBe(MOST_FRAMES);
});

it('what is left when the links have been let go of stays, for the next process', async () => {
  const { vm } = live;
  const term = await sealed(RELEASED);
  live.close();
  vm.commit(term, 1);
  expect([vm.counters.get('released'), vm.txBuffer.leavingFrames]).toEqual([0, RELEASED]);
});

it('a VM that was quiesced gets its frames when that ends by itself', async () => {
  const { vm } = live;
  const { term } = vm.start();
  vm.quiesce(term, new LiveClock().nowNs() + 100e6);
  live.settle();
  net.write(frames(3));
  await until(() => vm.counters.get('inbound') === 3, 'the frames');
  expect(vm.quiesced.until[0]!).toBeLessThanOrEqual(new LiveClock().nowNs());
});

it('frames that an earlier process held wait for the link', async () => {
  live.close();
  live = opened();
  const { forwarder } = live.vm;
  net = await peerAt('vm', 'inside');
  expect(forwarder.isHeldBack).toBe(true);
  guest = await peerAt('net', 'outside');
  expect(forwarder.isHeldBack).toBe(false);
});

it('all of them leave when there is a link, though nothing else happens', async () => {
  live.close();
  live = opened();
  const { vm } = live;
  guest = await peerAt('vm', 'inside');
  const term = await sealed(MOST_FRAMES);
  vm.commit(term, 1);
  live.settle();
  expect(vm.counters.get('released')).toBe(0);
  net = await peerAt('net', 'outside');
  net.resume();
  await until(() => vm.counters.get('released') === MOST_FRAMES, 'all of them to leave');
});

it('a VM that cannot have one of its links lets go of the other', async () => {
  live.close();
  await until(() => !existsSync(socketAt('vm')), 'the link to be gone');
  expect(() => opened('packet:lo')).toThrow(PortError);
  for (let i = 0; i < 20; i++) await nextTurn();
  expect(existsSync(socketAt('vm'))).toBe(false);
});

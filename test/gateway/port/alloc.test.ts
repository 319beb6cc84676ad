import { afterEach, beforeEach, expect, test } from 'vitest';
import { slabOf } from '../../../classifier/slab.ts';
import { FrameBatch } from '../../../gateway/frame-batch.ts';
import { PacketPort } from '../../../gateway/port/packet.ts';
import type { Port } from '../../../gateway/port/port.ts';
import { RingPort } from '../../../gateway/port/ring.ts';
import { TapPort } from '../../../gateway/port/tap.ts';
import { GSO } from '../../../gateway/port/vnet-header.ts';
import { XdpPort } from '../../../gateway/port/xdp.ts';
import { leaveNetns, Netns, noNetnsReason } from '../../support/netns.ts';
import { anyClock, frameOf } from './hands.ts';
import { unfinishedFrame } from './internet.ts';

const reason = noNetnsReason('sysctl');
/** How long V8 may take to optimise: on a busy machine its compiler thread waits for a processor. */
const MOST_ROUNDS = 60;
const WARM_UP = 3;
const FRAMES = 20_000;
const BURST = 50;
const SLOT_BYTES = 4096;
/** Each at least the time of a system call, or of one step where memory is shared: a second and more. */
const MOST_LOOKS = 10_000_000;
/**
 * What a system call may cost, per call and not per frame: its result and its error are handed over as values, and in some runs V8 leaves
 * the code around `recvmmsg` unoptimised, where numbers are boxed: 140 bytes. One number a frame would be 400 bytes a call.
 */
const CALL_BYTES = 160;
const NOISE_BYTES = 1000;

let netns: Netns;
let ports: Port[] = [];

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  netns = new Netns('alloc');
  netns.enter();
  netns.run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
});
afterEach(() => {
  for (const port of ports) port.close();
  ports = [];
  leaveNetns();
  netns?.delete();
});

function batchOf(frames: readonly Uint8Array[]): FrameBatch {
  const batch = new FrameBatch(slabOf(new Uint8Array(BURST * SLOT_BYTES)), BURST);
  for (let i = 0; i < BURST; i++) {
    const frame = frames[i % frames.length]!;
    batch.offset[i] = i * SLOT_BYTES;
    batch.slab.bytes.set(frame, i * SLOT_BYTES);
    batch.length[i] = frame.length;
  }
  return batch;
}

/**
 * @param enough no further round is tried once one stayed below this many bytes
 * @returns the fewest bytes by which the heap grew in a round of `FRAMES` frames from one port to another
 */
function leastGrowth(from: Port, to: Port, batch: FrameBatch, enough: number, extra: () => void = () => {}): number {
  const sink = batchOf([new Uint8Array(0)]);
  let received = 0;
  const round = () => {
    for (let i = 0; i < FRAMES / BURST; i++) {
      if (from.transmit(batch, 0, BURST) !== BURST) throw new Error('the link is full');
      let looks = 0;
      for (let have = 0; have < BURST; ) {
        const got = to.receive(sink, 0, BURST, SLOT_BYTES);
        // On a busy machine the kernel hands frames over a little later.
        if (got === 0 && ++looks > MOST_LOOKS) throw new Error('a frame was lost');
        have += got;
        received += got;
      }
      extra();
    }
  };
  for (let i = 0; i < WARM_UP; i++) round();
  let least = Number.POSITIVE_INFINITY;
  let rounds = 0;
  for (; rounds < MOST_ROUNDS && least >= enough; rounds++) {
    globalThis.gc!();
    const before = process.memoryUsage().heapUsed;
    round();
    least = Math.min(least, process.memoryUsage().heapUsed - before);
  }
  expect(received).toBe((WARM_UP + rounds) * FRAMES);
  return least;
}

const TAGGED = frameOf(200, 1, [[0x8100, 7]]);
const PLAIN = frameOf(1514, 2);

/** Of every kind: plain, tagged, super-frame. */
function mixed(): FrameBatch {
  const { bytes, l4Start } = unfinishedFrame({ version: 4, protocol: 'tcp', payloadBytes: 3000 });
  const batch = batchOf([PLAIN, TAGGED, bytes]);
  for (let i = 2; i < BURST; i += 3) {
    batch.gsoType[i] = GSO.tcp4;
    batch.gsoSize[i] = 1000;
    batch.l4Start[i] = l4Start;
  }
  return batch;
}

function vethPorts(): [PacketPort, PacketPort] {
  netns.veth('near', netns, 'far');
  const pair: [PacketPort, PacketPort] = [new PacketPort('near', anyClock()), new PacketPort('far', anyClock())];
  ports = pair;
  return pair;
}

test('a packet port allocates nothing per frame, in neither direction', () => {
  const [near, far] = vethPorts();
  const calls = 2 * (FRAMES / BURST);
  const limit = NOISE_BYTES + calls * CALL_BYTES;
  expect(leastGrowth(near, far, mixed(), limit)).toBeLessThan(limit);
});

test.each([
  ['ring', 'from'],
  ['ring', 'to'],
  ['xdp', 'from'],
  ['xdp', 'to'],
] as const)('a port that reads shared memory allocates nothing per frame: %s, %s it', (backEnd, direction) => {
  netns.veth('near', netns, 'far');
  const near = backEnd === 'ring' ? new RingPort('near', anyClock()) : new XdpPort('near', anyClock());
  const far = new PacketPort('far', anyClock());
  ports = [near, far];
  const [from, to] = direction === 'from' ? [near, far] : [far, near];
  // Super-frames would cost a ring a system call each.
  const calls = 4 * (FRAMES / BURST);
  const limit = NOISE_BYTES + calls * CALL_BYTES;
  expect(leastGrowth(from, to, batchOf([PLAIN, TAGGED]), limit)).toBeLessThan(limit);
});

test('the measurement sees what is allocated: one small object per frame', () => {
  const [near, far] = vethPorts();
  const kept: { n: number }[] = [];
  const limit = FRAMES * 8;
  const growth = leastGrowth(near, far, mixed(), limit, () => {
    for (let i = 0; i < BURST; i++) kept[i & 1023] = { n: i };
  });
  expect(growth).toBeGreaterThan(limit);
});

test.each(['from', 'to'] as const)(
  'a tap allocates nothing per frame but what its system call does: %s it',
  (direction) => {
    const tap = new TapPort('tap0', anyClock());
    const kernel = new PacketPort('tap0', anyClock());
    ports = [tap, kernel];
    const [from, to] = direction === 'to' ? [tap, kernel] : [kernel, tap];
    // One call for each frame, and for each burst the calls of the other end.
    const limit = NOISE_BYTES + FRAMES * 8 + (FRAMES / BURST) * CALL_BYTES;
    expect(leastGrowth(from, to, mixed(), limit)).toBeLessThan(limit);
  },
);

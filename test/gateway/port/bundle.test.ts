import { beforeEach, expect, test } from 'vitest';
import { VirtualClock } from '../../../gateway/clock.ts';
import { BundlePort } from '../../../gateway/port/bundle.ts';
import { type MemoryPort, memoryLink } from '../../../gateway/port/memory.ts';
import { Vm } from '../../../gateway/vm.ts';
import { type Frame, makeFrame, SLOT_BYTES } from '../../support/frames.ts';
import { generationOfText } from '../../support/replay-frames.ts';
import { Hand, hex, ROOMY } from '../../support/rig.ts';

const PAIRS = 3;
const CAPACITY = 16;

let guests: Hand[];
let nets: Hand[];
let vm: Vm;

function links(count: number, capacity: number, clock: VirtualClock): { far: Hand[]; near: MemoryPort[] } {
  const made = Array.from({ length: count }, (_, i) => memoryLink(`link${i}`, capacity, SLOT_BYTES, clock));
  return { far: made.map(([far]) => new Hand(far)), near: made.map(([, near]) => near) };
}

function vmOf(rules: string, outsideCapacity = CAPACITY): void {
  const clock = new VirtualClock();
  const insides = links(PAIRS, CAPACITY, clock);
  const outsides = links(PAIRS, outsideCapacity, clock);
  guests = insides.far;
  nets = outsides.far;
  vm = new Vm(new BundlePort(insides.near), new BundlePort(outsides.near), generationOfText(rules), clock, {
    slotBytes: SLOT_BYTES,
    limits: ROOMY.limits,
    batchFrames: 4,
  });
}

beforeEach(() => vmOf('outbound { default hold }'));

function frame(serial: number): Frame {
  return makeFrame({ kind: 'udp', flow: 0, colour: 0, vlan: 0, pad: 0 }, serial);
}

/** Turns until nothing moves. */
function run(): void {
  while (vm.turn() > 0);
}

test('a frame leaves through the port that is paired with the one it came in through, held or not', () => {
  for (const state of ['off', 'on']) {
    if (state === 'on') vm.start();
    const frames = guests.map((guest, pair) => {
      const one = frame(pair + 10);
      guest.send(one);
      return hex(one.bytes);
    });
    run();
    if (state === 'on') {
      expect(nets.map((net) => net.take())).toEqual([[], [], []]);
      vm.seal(1, 1);
      vm.commit(1, 1);
    }
    expect(nets.map((net) => net.take())).toEqual(frames.map((one) => [one]));
  }
});

test('a frame from the network reaches the VM through the port that is paired with its own', () => {
  const frames = nets.map((net, pair) => {
    const one = frame(pair);
    net.send(one);
    return hex(one.bytes);
  });
  run();
  expect(guests.map((guest) => guest.take())).toEqual(frames.map((one) => [one]));
});

test('a busy port does not keep the others from being read', () => {
  for (let i = 0; i < CAPACITY; i++) guests[0]!.send(frame(i));
  guests[2]!.send(frame(100));
  // A batch is 4 frames: the busy port alone could fill the first four.
  for (let turns = 0; turns < PAIRS; turns++) vm.turn();
  expect(nets[2]!.take()).toEqual([hex(frame(100).bytes)]);
});

test('seal drains every inside port', () => {
  vm.start();
  guests.forEach((guest, pair) => {
    for (let i = 0; i < 7; i++) guest.send(frame(pair * 10 + i));
  });
  expect(vm.seal(1, 1)).toMatchObject({ drained: true, heldFrames: 21 });
});

test('what a port refuses waits in its order, with what is behind it', () => {
  vmOf('outbound { default hold }', 2);
  vm.start();
  const order: [number, number][] = [
    [0, 1],
    [1, 2],
    [1, 3],
    [1, 4],
    [2, 5],
    [0, 6],
  ];
  for (const [pair, serial] of order) {
    guests[pair]!.send(frame(serial));
    run();
  }
  vm.seal(1, 1);
  vm.commit(1, 1);
  const taken = () => nets.map((net) => net.take().length);
  expect(taken()).toEqual([1, 2, 0]);
  vm.pump();
  expect(taken()).toEqual([1, 1, 1]);
  expect(vm.stillHeld).toBe(0);
});

test('it pushes back only if all its ports do, and cuts frames if one does', () => {
  const port = (pushesBack: boolean, cutsFrames: boolean) => ({
    name: 'x',
    capabilities: { pushesBack, cutsFrames },
    receive: () => 0,
    transmit: () => 0,
    close: () => {},
  });
  expect(new BundlePort([port(true, false), port(true, true)]).capabilities).toEqual({
    pushesBack: true,
    cutsFrames: true,
  });
  expect(new BundlePort([port(true, false), port(false, false)]).capabilities).toEqual({
    pushesBack: false,
    cutsFrames: false,
  });
});

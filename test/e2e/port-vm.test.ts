/** The gateway's own pipeline between two network devices: frames keep what makes them super-frames, held or not. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PacketPort } from '../../gateway/port/packet.ts';
import { SUPER_FRAME_BYTES } from '../../gateway/port/vnet-header.ts';
import { Vm } from '../../gateway/vm.ts';
import { leaveNetns, Netns, noNetnsReason } from '../support/netns.ts';
import { generationOfText } from '../support/replay-frames.ts';

const reason = noNetnsReason('sysctl', 'iperf3');
const CLOCK = { nowNs: () => Math.round(performance.now() * 1e6) };
const BULK_BYTES = 20_000_000;

let guest: Netns;
let gateway: Netns;
let network: Netns;
let inside: PacketPort;
let outside: PacketPort;

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  guest = new Netns('guest');
  gateway = new Netns('gateway');
  network = new Netns('network');
  gateway.veth('inside', guest, 'eth0');
  gateway.veth('outside', network, 'eth0');
  guest.run('ip', 'addr', 'add', '10.77.0.1/24', 'dev', 'eth0');
  network.run('ip', 'addr', 'add', '10.77.0.2/24', 'dev', 'eth0');
  gateway.enter();
  inside = new PacketPort('inside', CLOCK);
  outside = new PacketPort('outside', CLOCK);
});
afterEach(() => {
  inside?.close();
  outside?.close();
  leaveNetns();
  for (const netns of [guest, gateway, network]) netns?.delete();
});

function vmOf(rules: string): Vm {
  const vm = new Vm(inside, outside, generationOfText(rules), CLOCK, { slotBytes: SUPER_FRAME_BYTES });
  const turn = () => {
    for (let n = 0; n < 4 && vm.turn() > 0; n++);
  };
  inside.onReady = turn;
  outside.onReady = turn;
  return vm;
}

/** TCP from the guest to the network. */
async function bulk(): Promise<void> {
  const server = network.start('iperf3', '-s', '-1', '--forceflush');
  await server.says('listening');
  await guest.start('iperf3', '-n', String(BULK_BYTES), '-c', '10.77.0.2').done();
  await server.done();
}

test('a VM that is not replicated sends and receives TCP with all offloads on', async () => {
  const vm = vmOf('outbound { default hold }');
  await bulk();
  const { counters } = vm;
  expect(vm.stillHeld).toBe(0);
  expect(counters.get('passed')).toBe(counters.get('outbound'));
  // Far fewer frames than segments.
  expect(counters.get('outbound')).toBeLessThan(BULK_BYTES / 1448 / 2);
  expect(counters.get('passed')).toBe(outside.counters.get('sent'));
});

test('super-frames that were held leave at the commit as what they were', async () => {
  const vm = vmOf('outbound { default hold }');
  const { term } = vm.start();
  let epoch = 1;
  const commits = setInterval(() => {
    vm.seal(term, epoch);
    vm.commit(term, epoch);
    epoch++;
  }, 5);
  try {
    await bulk();
  } finally {
    clearInterval(commits);
  }
  vm.seal(term, epoch);
  vm.commit(term, epoch);
  const { counters } = vm;
  expect([vm.stillHeld, counters.get('passed'), counters.get('dropped')]).toEqual([0, 0, 0]);
  expect(counters.get('released')).toBe(outside.counters.get('sent'));
  expect(counters.get('released')).toBeLessThan(BULK_BYTES / 1448 / 2);
});

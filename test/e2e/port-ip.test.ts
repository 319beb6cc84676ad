/** The ip port: a VM with an Ethernet device, and behind the gateway a network that has none. */
import { createRequire } from 'node:module';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { IpPort } from '../../gateway/port/ip.ts';
import { PacketPort } from '../../gateway/port/packet.ts';
import { PortError } from '../../gateway/port/port-error.ts';
import { Forwarding } from '../gateway/port/forwarding.ts';
import { anyClock, frameOf, PortHand } from '../gateway/port/hands.ts';
import { bulkOver } from '../support/bulk.ts';
import { leaveNetns, Netns, noNetnsReason, until } from '../support/netns.ts';
import { missingPackage } from '../support/packages.ts';

const reason = noNetnsReason('sysctl', 'socat', 'ss', 'ping', 'tc');
const noRawSocket = missingPackage('raw-socket');
const BULK_BYTES = 20_000_000;

let vm: Netns;
let gateway: Netns;
let network: Netns;
let inside: PacketPort;
let outside: IpPort;

beforeEach(async ({ skip }) => {
  skip(reason !== null, reason ?? '');
  vm = new Netns('ip-vm');
  gateway = new Netns('ip-gateway');
  network = new Netns('ip-network');
  gateway.veth('inside', vm, 'eth0');
  vm.run('sysctl', '-qw', 'net.ipv6.conf.eth0.disable_ipv6=0');
  vm.run('ip', 'addr', 'add', '10.80.0.2/24', 'dev', 'eth0');
  vm.run('ip', 'addr', 'add', 'fd80::2/64', 'dev', 'eth0', 'nodad');
  vm.run('ip', 'route', 'add', 'default', 'via', '10.80.0.1');
  vm.run('ip', 'route', 'add', 'default', 'via', 'fd80::1', 'dev', 'eth0');
  // Two tun devices that are one link, silent until both are where they belong.
  gateway.run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
  gateway.start('socat', 'TUN,tun-name=tun0,iff-no-pi,iff-up', 'TUN,tun-name=tun1,iff-no-pi');
  await until(() => gateway.run('ip', '-br', 'link').includes('tun1'), 'the tun devices');
  gateway.run('ip', 'link', 'set', 'tun1', 'netns', network.name);
  network.run('ip', 'link', 'set', 'tun1', 'name', 'tun0', 'up');
  network.run('sysctl', '-qw', 'net.ipv6.conf.tun0.disable_ipv6=0');
  network.run('ip', 'addr', 'add', '192.0.2.1/32', 'dev', 'tun0');
  network.run('ip', 'addr', 'add', 'fd81::1/128', 'dev', 'tun0');
  network.run('ip', 'route', 'add', '10.80.0.0/24', 'dev', 'tun0');
  network.run('ip', 'route', 'add', 'fd80::/64', 'dev', 'tun0');
  gateway.enter();
  inside = new PacketPort('inside', anyClock());
  outside = new IpPort('tun0', anyClock());
  new Forwarding(inside, outside);
});
afterEach(() => {
  inside?.close();
  outside?.close();
  leaveNetns();
  for (const netns of [vm, gateway, network]) netns?.delete();
});

test.each([
  ['IPv4', '192.0.2.1'],
  ['IPv6', 'fd81::1'],
])('the VM reaches the network through a default gateway that nobody has: %s', async (_, address) => {
  await vm.start('ping', '-c', '3', '-i', '0.1', '-w', '30', address).done();
  expect(outside.counters.get('sent')).toBeGreaterThanOrEqual(3);
});

test.each([
  ['IPv4', '10.80.0.2'],
  ['IPv6', 'fd80::2'],
])('the network reaches a VM that has not spoken yet: %s', async (_, address) => {
  await network.start('ping', '-c', '3', '-i', '0.1', '-w', '30', address).done();
});

test('datagrams and bulk TCP go through, both ways', async () => {
  const echo = network.start('socat', 'UDP4-RECVFROM:7000,fork', 'EXEC:cat');
  await until(() => network.run('ss', '-lnu').includes(':7000'), 'the server');
  const udp = vm.start('socat', '-t', '60', '-', 'UDP4:192.0.2.1:7000');
  udp.child.stdin!.end('a datagram\n');
  await udp.says('\n');
  expect(await udp.stop()).toBe('a datagram\n');
  await echo.stop();
  for (const isFromNetwork of [false, true]) {
    expect(await bulkOver(network, vm, '192.0.2.1', BULK_BYTES, isFromNetwork)).toBe(BULK_BYTES);
  }
  expect(outside.counters.byName()).toMatchObject({ invalid: 0, tooLong: 0, linkDown: 0 });
});

test('a probe for an address that the VM wants for itself is not answered', async () => {
  vm.run('sysctl', '-qw', 'net.ipv6.conf.eth0.accept_dad=1');
  vm.run('ip', 'addr', 'add', 'fd80::3/64', 'dev', 'eth0');
  const state = () => vm.run('ip', '-6', 'addr', 'show', 'dev', 'eth0', 'to', 'fd80::3');
  await until(() => state().includes('fd80::3') && !state().includes('tentative'), 'duplicate address detection');
  expect(state()).not.toContain('dadfailed');
});

test('what is no IP packet is counted and goes nowhere', () => {
  // What the VM's kernel sends of its own may have gone before, and nothing does meanwhile.
  const { sent, invalid } = outside.counters.byName() as { sent: number; invalid: number };
  expect(new PortHand(outside).offer([frameOf(60, 1), frameOf(200, 2)])).toBe(2);
  expect(outside.counters.byName()).toMatchObject({ sent, invalid: invalid + 2 });
});

test("an echo request of the package raw-socket's comes back from the VM with the same payload", async ({ skip }) => {
  skip(noRawSocket !== null, noRawSocket ?? '');
  const raw = createRequire(import.meta.url)('raw-socket') as RawSocketModule;
  network.enter();
  const socket = raw.createSocket({ protocol: raw.Protocol.ICMP });
  gateway.enter();
  const replies: Buffer[] = [];
  socket.on('message', (packet) => replies.push(packet));
  try {
    const request = Buffer.from('0800000012340001', 'hex');
    const whole = Buffer.concat([request, Buffer.from('from a raw socket')]);
    raw.writeChecksum(whole, 2, raw.createChecksum(whole));
    socket.send(whole, 0, whole.length, '10.80.0.2', () => {});
    await until(() => replies.some((packet) => packet[20] === 0), 'the echo reply');
    const reply = replies.find((packet) => packet[20] === 0)!;
    expect(reply.subarray(28).toString()).toBe('from a raw socket');
    expect(raw.createChecksum(reply.subarray(0, 20))).toBe(0);
    expect(raw.createChecksum(reply.subarray(20))).toBe(0);
  } finally {
    socket.close();
  }
});

test('only devices for bare IP packets can be ip ports, and nothing of the port stays on them', () => {
  expect(() => new IpPort('inside', anyClock())).toThrow(PortError);
  expect(() => new PacketPort('tun0', anyClock())).toThrow('ip:tun0');
  expect(gateway.run('tc', 'filter', 'show', 'dev', 'tun0', 'ingress')).toContain('bytecode');
  outside.close();
  expect(gateway.run('tc', 'qdisc', 'show', 'dev', 'tun0')).not.toContain('clsact');
});

/** The parts of `raw-socket` that are used; it has no types. */
interface RawSocketModule {
  readonly Protocol: { readonly ICMP: number };
  createSocket(options: { readonly protocol: number }): {
    on(event: 'message', listener: (packet: Buffer) => void): void;
    send(buffer: Buffer, offset: number, length: number, address: string, done: () => void): void;
    close(): void;
  };
  createChecksum(...parts: readonly Buffer[]): number;
  writeChecksum(buffer: Buffer, offset: number, checksum: number): void;
}

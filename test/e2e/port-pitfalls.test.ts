/** What a gateway on network devices must get right, with the kernel's own stacks on both sides. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PacketPort } from '../../gateway/port/packet.ts';
import type { LivePort } from '../../gateway/port/port.ts';
import { RingPort } from '../../gateway/port/ring.ts';
import { TapPort } from '../../gateway/port/tap.ts';
import { GSO } from '../../gateway/port/vnet-header.ts';
import { XdpPort } from '../../gateway/port/xdp.ts';
import { Forwarding } from '../gateway/port/forwarding.ts';
import { anyClock, brief, EXPERIMENT, frameOf, PortHand } from '../gateway/port/hands.ts';
import { checksumsAreRight, unfinishedFrame } from '../gateway/port/internet.ts';
import { bulkOver } from '../support/bulk.ts';
import { leaveNetns, Netns, noNetnsReason, until } from '../support/netns.ts';

const reason = noNetnsReason('sysctl', 'socat', 'ss', 'python3', 'ethtool', 'tcpdump', 'tcpreplay');
/** Enough that a stack makes super-frames. */
const BULK_BYTES = 40_000_000;
const IP = { client: '10.77.0.1', server: '10.77.0.2' } as const;
const IP6 = { client: 'fd77::1', server: 'fd77::2' } as const;

interface BackEnd {
  open(device: string): LivePort;
  /** With room for a few frames only. */
  openSmall(device: string): LivePort;
  /** Super-frames can be on the link. */
  readonly takesOffloads: boolean;
}

const BACK_ENDS: Readonly<Record<string, BackEnd>> = {
  packet: {
    open: (device) => new PacketPort(device, anyClock()),
    openSmall: (device) => new PacketPort(device, anyClock(), { receiveBufferBytes: 65536 }),
    takesOffloads: true,
  },
  ring: {
    open: (device) => new RingPort(device, anyClock()),
    openSmall: (device) => new RingPort(device, anyClock(), { ringBytes: 2 ** 18 }),
    takesOffloads: true,
  },
  'xdp (skb)': {
    open: (device) => new XdpPort(device, anyClock(), { mode: 'skb' }),
    openSmall: (device) => new XdpPort(device, anyClock(), { mode: 'skb', receiveChunks: 64 }),
    takesOffloads: false,
  },
  'xdp (native)': {
    open: (device) => new XdpPort(device, anyClock(), { mode: 'native' }),
    openSmall: (device) => new XdpPort(device, anyClock(), { mode: 'native', receiveChunks: 64 }),
    takesOffloads: false,
  },
};

/** A client and a server, each in a namespace of its own, and between them a namespace with both ends of their links. */
class Bench {
  readonly client = new Netns('client');
  readonly gateway = new Netns('gateway');
  readonly server = new Netns('server');
  readonly ports: { close(): void }[] = [];
  readonly #backEnd: BackEnd;

  constructor(backEnd: BackEnd) {
    this.#backEnd = backEnd;
    try {
      this.gateway.veth('inside', this.client, 'eth0');
      this.gateway.veth('outside', this.server, 'eth0');
      for (const [netns, ip, ip6] of [
        [this.client, IP.client, IP6.client],
        [this.server, IP.server, IP6.server],
      ] as const) {
        netns.run('sysctl', '-qw', 'net.ipv6.conf.eth0.disable_ipv6=0');
        netns.run('ip', 'addr', 'add', `${ip}/24`, 'dev', 'eth0');
        netns.run('ip', 'addr', 'add', `${ip6}/64`, 'dev', 'eth0', 'nodad');
        // Checksums stay unfinished.
        const off = backEnd.takesOffloads ? [] : ['tso', 'gso', 'gro', 'tx-udp-segmentation', 'txvlan'];
        for (const offload of off) netns.run('ethtool', '-K', 'eth0', offload, 'off');
      }
      this.gateway.enter();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  open(device: string): LivePort {
    const port = this.#backEnd.open(device);
    this.ports.push(port);
    return port;
  }

  /** Both ports, joined. */
  join(): { inside: LivePort; outside: LivePort; forwarding: Forwarding } {
    const inside = this.open('inside');
    const outside = this.open('outside');
    return { inside, outside, forwarding: new Forwarding(inside, outside) };
  }

  /** One bulk transfer over TCP from client to server, or back: every byte arrives. */
  async bulk(address: string, isFromServer = false): Promise<void> {
    expect(await bulkOver(this.server, this.client, address, BULK_BYTES, isFromServer)).toBe(BULK_BYTES);
  }

  close(): void {
    for (const port of this.ports) port.close();
    leaveNetns();
    for (const netns of [this.client, this.gateway, this.server]) netns.delete();
  }
}

describe.each(Object.entries(BACK_ENDS))('%s ports between two kernels', (_name, backEnd) => {
  const { takesOffloads } = backEnd;
  let bench: Bench;

  beforeEach(({ skip }) => {
    skip(reason !== null, reason ?? '');
    bench = new Bench(backEnd);
  });
  afterEach(() => bench?.close());

  function udpErrors(netns: Netns): number {
    const [names, values] = netns
      .run('cat', '/proc/net/snmp')
      .split('\n')
      .filter((line) => line.startsWith('Udp:'));
    return Number(values!.split(' ')[names!.split(' ').indexOf('InCsumErrors')]);
  }

  test.each([
    ['UDP over IPv4', 'udp', `UDP4:${IP.server}:9`],
    ['UDP over IPv6', 'udp', `UDP6:[${IP6.server}]:9`],
    ['TCP over IPv4', 'tcp', `TCP4:${IP.server}:9,connect-timeout=1`],
    ['TCP over IPv6', 'tcp', `TCP6:[${IP6.server}]:9,connect-timeout=1`],
  ])('the checksum that a stack leaves unfinished is right when it is read: %s', async (_, protocol, target) => {
    const inside = new PortHand(bench.open('inside'));
    const mac = (netns: Netns) => netns.run('cat', '/sys/class/net/eth0/address').trim();
    for (const address of [IP.server, IP6.server]) {
      bench.client.run('ip', 'neigh', 'add', address, 'lladdr', mac(bench.server), 'dev', 'eth0');
    }
    bench.client.start('sh', '-c', `echo unfinished, is it not | socat - ${target}`);
    const number = protocol === 'tcp' ? 6 : 17;
    const frames: Uint8Array[] = [];
    await until(() => {
      frames.push(...inside.take().filter((frame) => (frame[14]! >> 4 === 4 ? frame[23] : frame[20]) === number));
      return frames.length > 0;
    }, `a frame of ${protocol}`);
    expect(frames.map(checksumsAreRight)).toEqual(frames.map(() => true));
  });

  test('datagrams and connections go through, and the far stack counts no bad checksum', async () => {
    bench.join();
    const echo = bench.server.start('socat', 'UDP4-RECVFROM:7000,fork', 'EXEC:cat');
    const tcpEcho = bench.server.start('socat', 'TCP6-LISTEN:7001', 'EXEC:cat');
    const listening = () => bench.server.run('ss', '-lnut');
    await until(() => [':7000', ':7001'].every((port) => listening().includes(port)), 'the servers');
    const udp = bench.client.start('socat', '-t', '60', '-', `UDP4:${IP.server}:7000`);
    udp.child.stdin!.end('a datagram\n');
    await udp.says('\n');
    expect(await udp.stop()).toBe('a datagram\n');
    const tcp = bench.client.start('sh', '-c', `echo a stream | socat -t 60 - TCP6:[${IP6.server}]:7001`);
    expect(await tcp.done()).toBe('a stream\n');
    expect([udpErrors(bench.server), udpErrors(bench.client)]).toEqual([0, 0]);
    await echo.stop();
    await tcpEcho.stop();
  });

  test.each([
    ['IPv4', IP.server, false],
    ['IPv6', IP6.server, false],
    ['IPv4, from the server', IP.server, true],
  ] as const)('TCP goes through, in super-frames where the port takes them: %s', async (_, address, isFromServer) => {
    const { inside, outside, forwarding } = bench.join();
    await bench.bulk(address, isFromServer);
    const lane = isFromServer ? forwarding.back : forwarding.there;
    expect(lane.superFrames > 100).toBe(takesOffloads);
    for (const port of [inside, outside]) {
      port.updateCounters();
      expect(port.counters.byName()).toMatchObject({ invalid: 0, tooLong: 0, linkDown: 0 });
    }
  });

  test('super-frames go out through a device that cannot cut them', async ({ skip }) => {
    skip(!takesOffloads, 'there are no super-frames');
    bench.gateway.run('ethtool', '-K', 'outside', 'tso', 'off');
    const { forwarding } = bench.join();
    await bench.bulk(IP.server);
    expect(forwarding.there.superFrames).toBeGreaterThan(100);
  });

  test('datagrams that a stack sends as one super-frame arrive as what was sent', async () => {
    const { forwarding } = bench.join();
    const sink = bench.server.start('python3', '-c', UDP_SINK);
    await sink.says('ready');
    await bench.client.start('python3', '-c', UDP_SOURCE).done();
    await sink.done();
    expect(sink.output).toContain(`sizes ${[...Array(30).fill(1000), 500].join(' ')}`);
    expect(forwarding.there.superFrames > 0).toBe(takesOffloads);
  });

  test("what this host's stack or another program sends through the device is not read", async () => {
    const inside = new PortHand(bench.open('inside'));
    const far = bench.client.start('tcpdump', '-l', '-n', '-i', 'eth0', '-c', '3', 'ether', 'proto', '0x88b5');
    await far.says('listening');
    const another = new PacketPort('inside', anyClock());
    bench.ports.push(another);
    const sender = new PortHand(another);
    await sender.send([frameOf(60, 1), frameOf(70, 2), frameOf(80, 3)]);
    await far.done();
    // The client itself may speak.
    const isOurs = (frame: Uint8Array) => frame[12] === EXPERIMENT >> 8 && frame[13] === (EXPERIMENT & 255);
    expect((await inside.takeFor(50)).filter(isOurs).map(brief)).toEqual([]);
  });

  test('the kernel does not forward beside the port what the port reads, before nor after a port it does', async () => {
    const { gateway, client } = bench;
    // Everything that makes the kernel a router here.
    for (const setting of [
      'ip_forward=1',
      'conf.all.rp_filter=0',
      'conf.default.rp_filter=0',
      'conf.inside.rp_filter=0',
    ]) {
      gateway.run('sysctl', '-qw', `net.ipv4.${setting}`);
    }
    gateway.veth('away', gateway, 'nowhere');
    gateway.run('ip', 'addr', 'add', '10.88.0.1/24', 'dev', 'away');
    gateway.run('ip', 'neigh', 'add', '10.88.0.2', 'lladdr', '02:00:00:00:00:99', 'dev', 'away');
    const mac = gateway.run('cat', '/sys/class/net/inside/address').trim();
    client.run('ip', 'route', 'add', '10.88.0.0/24', 'via', '10.77.0.99');
    client.run('ip', 'neigh', 'add', '10.77.0.99', 'lladdr', mac, 'dev', 'eth0');
    const forwarded = () => Number(gateway.run('cat', '/sys/class/net/away/statistics/tx_packets'));
    const send = () => client.run('sh', '-c', 'echo around | socat - UDP4:10.88.0.2:9');

    send();
    await until(() => forwarded() === 1, 'the kernel to forward by itself');
    const port = bench.open('inside');
    const hand = new PortHand(port);
    send();
    const isOurs = (frame: Uint8Array) => frame[12] === 8 && frame[30] === 10 && frame[31] === 88;
    await until(() => hand.take().some(isOurs), 'the datagram at the port');
    expect(forwarded()).toBe(1);
    port.close();
    send();
    await until(() => forwarded() === 2, 'the kernel to forward again');
  });

  test('the host does not answer on a port, not even for its own link-local address', async () => {
    bench.gateway.run('sysctl', '-qw', 'net.ipv6.conf.inside.disable_ipv6=0');
    const address = () => bench.gateway.run('ip', '-6', 'addr', 'show', 'dev', 'inside');
    await until(() => /fe80\S+/.test(address()), 'a link-local address');
    const [linkLocal] = /fe80[^/]+/.exec(address())!;
    bench.open('inside');
    const ping = bench.client.start('ping', '-6', '-c', '1', '-W', '1', `${linkLocal}%eth0`);
    await expect(ping.done()).rejects.toThrow('exit code 1');
  });

  test('a frame that is too long for the other side is counted, and the next one goes through', async () => {
    bench.gateway.run('ip', 'link', 'set', 'inside', 'mtu', '9000');
    bench.client.run('ip', 'link', 'set', 'eth0', 'mtu', '9000');
    const { outside } = bench.join();
    const far = bench.server.start('tcpdump', '-l', '-n', '-i', 'eth0', '-c', '1', 'icmp');
    await far.says('listening');
    const long = bench.client.start('ping', '-c', '1', '-W', '1', '-s', '4000', '-M', 'do', IP.server);
    await expect(long.done()).rejects.toThrow('exit code 1');
    await until(() => outside.counters.get('tooLong') === 1, 'the count');
    await bench.client.start('ping', '-c', '1', '-w', '30', '-s', '1000', IP.server).done();
    expect(await far.done()).toContain('length 1008');
    expect(outside.counters.byName()).toMatchObject({ tooLong: 1, invalid: 0 });
  });

  test('a super-frame whose segments are too long for the link is counted, not sent', async () => {
    const port = bench.open('outside');
    const hand = new PortHand(port);
    const { bytes, l4Start } = unfinishedFrame({ version: 4, protocol: 'tcp', payloadBytes: 6000 });
    // 1460 bytes of payload fill an MTU of 1500.
    await hand.send([bytes], { gsoType: GSO.tcp4, gsoSize: 1461, l4Start });
    expect(port.counters.byName()).toMatchObject({ tooLong: 1, sent: 0 });
    await hand.send([bytes], { gsoType: GSO.tcp4, gsoSize: 1460, l4Start });
    expect(port.counters.byName()).toMatchObject({ tooLong: 1, sent: 1 });
  });

  test('what the kernel had no room for is counted as lost', async () => {
    bench.gateway.veth('full', bench.gateway, 'source');
    const port = backEnd.openSmall('full');
    bench.ports.push(port);
    const frames = Array.from({ length: 2000 }, (_, i) => frameOf(200, i));
    await new PortHand(bench.open('source')).send(frames);
    // Nor had the queue between the two devices: what the port was given is less then.
    const given = 2000 - Number(bench.gateway.run('cat', '/sys/class/net/source/statistics/tx_dropped'));
    const hand = new PortHand(port);
    let read = 0;
    await until(() => {
      read += hand.take().length;
      port.updateCounters();
      return read + port.counters.get('lost') >= given;
    }, 'every frame to be read or counted as lost');
    expect(await hand.takeFor(50)).toEqual([]);
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(given);
    expect(port.counters.byName()).toMatchObject({ received: read, lost: given - read });
  });

  test('a short frame that the link does not take is counted, and those around it go', async () => {
    const port = bench.open('outside');
    const hand = new PortHand(port);
    await hand.send([frameOf(60, 1), frameOf(13, 2), frameOf(60, 3)]);
    expect(port.counters.byName()).toMatchObject({ sent: 2, invalid: 1 });
  });
});

describe('a tap between two kernels', () => {
  let bench: Bench;

  beforeEach(({ skip }) => {
    skip(reason !== null, reason ?? '');
    bench = new Bench(BACK_ENDS.packet!);
  });
  afterEach(() => bench?.close());

  test('a tap that was moved to where it is used carries TCP with all offloads on, both ways', async () => {
    const { gateway, client } = bench;
    const tap = new TapPort('tap0', anyClock());
    bench.ports.push(tap);
    client.run('ip', 'link', 'del', 'eth0');
    gateway.run('ip', 'link', 'set', 'tap0', 'netns', client.name);
    client.quietUp('tap0');
    client.run('ip', 'addr', 'add', `${IP.client}/24`, 'dev', 'tap0');
    const forwarding = new Forwarding(tap, bench.open('outside'));
    await bench.bulk(IP.server);
    await bench.bulk(IP.server, true);
    expect(forwarding.there.superFrames).toBeGreaterThan(100);
    expect(forwarding.back.superFrames).toBeGreaterThan(100);
    expect(tap.counters.byName()).toMatchObject({ invalid: 0 });
  });
});

const UDP_SINK = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('0.0.0.0', 7002))
print('ready', flush=True)
print('sizes', *[len(s.recv(65536)) for _ in range(31)], flush=True)
`;
/** UDP_SEGMENT: the stack hands 30,500 bytes down as one frame, to be cut into datagrams of 1000 bytes. */
const UDP_SOURCE = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(17, 103, 1000)
s.sendto(bytes(30500), ('${IP.server}', 7002))
`;

import { beforeEach, describe, expect, it } from 'vitest';
import type { ShippedSet } from '../../rules/load.ts';
import { TRACE_VM, TRACES } from '../support/run-cli.ts';
import { filledIn, RECORDED, type Values } from '../support/shipped.ts';
import { tsharkFields, withoutTshark } from '../support/tshark.ts';
import { generationOf, type Judged, judgeCapture } from '../support/verdicts.ts';

const FIELDS = [
  ...(['eth.src', 'eth.dst', 'frame.protocols', 'ip.src', 'ipv6.src', 'ip.proto', 'icmp.type', 'icmpv6.type'] as const),
  ...(['arp.isgratuitous', 'bgp.type', 'bgp.update.withdrawn_routes.length', 'bfd.sta', 'bfd.flags'] as const),
  ...(['tcp.flags', 'tcp.len', 'udp.srcport', 'udp.dstport', 'dns.flags.response', 'ntp.flags.mode'] as const),
  ...(['sip.Method', 'sip.Status-Code', 'rtp.version', 'igmp.type', 'vrrp.prio'] as const),
] as const;
type Packet = Record<(typeof FIELDS)[number], string> & Judged;

/** Addresses of the VM in `RECORDED`, as tshark prints them. */
const OWN = [
  ...['192.0.2.10', '192.0.2.100', '192.0.2.101', '198.51.100.10'],
  ...['2001:db8:2::10', '2001:db8:2::64', '2001:db8:3::10', '::'],
];

/** @returns what the VM sent in a capture: what tshark says of it, and the verdict */
async function sent(capture: string, rules: string): Promise<Packet[]> {
  const [packets, [judged]] = await Promise.all([
    tsharkFields(TRACES + capture, FIELDS),
    judgeCapture(TRACES + capture, [generationOf(rules)]),
  ]);
  expect(judged).toHaveLength(packets.length);
  const outbound = packets
    .map((packet, index) => ({ ...packet, ...judged![index]! }))
    .filter((packet) => packet['eth.src'] === TRACE_VM);
  expect(outbound.length).toBeGreaterThan(5);
  return outbound;
}

const under = (set: ShippedSet, values: Values = {}) => filledIn(set, values);
const router = () => under('router', RECORDED.router);
const speaks = (packet: Packet, protocol: string) => packet['frame.protocols'].split(':').includes(protocol);
const verdictsOf = (packets: readonly Packet[]) => [...new Set(packets.map(({ verdict }) => verdict))];
const sourceOf = (packet: Packet) => (packet['ip.src'] || packet['ipv6.src']).split(',')[0]!;
/** Errors quote the packet that they are about, so tshark lists two types. */
const isError = (packet: Packet) =>
  ['3', '5', '11', '12'].includes(packet['icmp.type'].split(',')[0]!) ||
  ['1', '2', '3', '4'].includes(packet['icmpv6.type'].split(',')[0]!);
/** Forwarded: it has a source that is neither the router's nor link-local. */
function isTransit(packet: Packet): boolean {
  const source = sourceOf(packet);
  return source !== '' && !OWN.includes(source) && !source.startsWith('fe80:');
}

beforeEach(({ skip }) => skip(withoutTshark !== null, withoutTshark ?? undefined));

describe('under router', () => {
  const captures = [
    ...['arp-nd-vlan.pcap', 'bfd.pcap', 'bgp.pcapng', 'dhcp-relay.pcapng', 'icmp.pcapng', 'igmp-mld.pcap'],
    ...['ospf.pcapng', 'pim.pcapng', 'vrrp.pcap'],
  ];

  it.each(captures)('as it is shipped, everything in %s is held', async (capture) => {
    expect(verdictsOf(await sent(capture, under('router')))).toEqual(['hold']);
  });

  it('every BGP message is held: announced and withdrawn routes, notifications, keepalives', async () => {
    const packets = await sent('bgp.pcapng', router());
    const bgp = packets.filter((packet) => speaks(packet, 'bgp'));
    expect(verdictsOf(bgp)).toEqual(['hold']);
    const messages = (type: string) => bgp.filter((packet) => packet['bgp.type'].split(',').includes(type)).length;
    expect(messages('1')).toBeGreaterThanOrEqual(2);
    expect(messages('2')).toBeGreaterThanOrEqual(5);
    expect(messages('3')).toBeGreaterThanOrEqual(2);
    expect(messages('4')).toBeGreaterThanOrEqual(4);
    const withdrawn = bgp.filter((packet) => /[1-9]/.test(packet['bgp.update.withdrawn_routes.length']));
    expect(withdrawn.length).toBeGreaterThanOrEqual(1);
  });

  it.each([
    ['bgp.pcapng', 17],
    ['icmp.pcapng', 2],
    ['ospf.pcapng', 6],
    ['pim.pcapng', 5],
  ])('every transit packet in %s passes, but for ICMP errors', async (capture, count) => {
    const transit = (await sent(capture, router())).filter(isTransit);
    const plain = transit.filter((packet) => !isError(packet));
    expect(plain).toHaveLength(count);
    expect(verdictsOf(plain)).toEqual(['pass']);
    expect(verdictsOf(transit.filter(isError))).toEqual(transit.length > count ? ['hold'] : []);
  });

  it('all of a TCP connection between two others passes, its SYN and FIN too', async () => {
    const tcp = (await sent('bgp.pcapng', router())).filter((packet) => isTransit(packet) && speaks(packet, 'tcp'));
    expect(tcp.length).toBeGreaterThanOrEqual(7);
    expect(verdictsOf(tcp)).toEqual(['pass']);
  });

  it.each(captures)('nothing that the router itself says in %s passes', async (capture) => {
    const own = (await sent(capture, router())).filter((packet) => !isTransit(packet));
    expect(own.length).toBeGreaterThan(3);
    expect(verdictsOf(own)).toEqual(['hold']);
  });

  it.each([
    ['ospf.pcapng', 'ospf', 45],
    ['vrrp.pcap', 'vrrp', 40],
    ['bfd.pcap', 'bfd', 60],
    ['pim.pcapng', 'pim', 10],
    ['igmp-mld.pcap', 'igmp', 8],
    ['dhcp-relay.pcapng', 'dhcp', 8],
  ])('in %s all of %s is held, even if the list of own addresses was forgotten', async (capture, protocol, least) => {
    for (const values of [RECORDED.router, { FORWARDED4: '0.0.0.0/0', FORWARDED6: '::/0' }]) {
      const messages = (await sent(capture, under('router', values))).filter((packet) => speaks(packet, protocol));
      expect(messages.length).toBeGreaterThanOrEqual(least);
      expect(verdictsOf(messages)).toEqual(['hold']);
    }
  });

  it('mastership moves with its checkpoint: resignation, gratuitous ARP and unsolicited advertisements are held', async () => {
    const packets = await sent('vrrp.pcap', router());
    const gratuitous = packets.filter((packet) => packet['arp.isgratuitous'] === '1');
    const advertisements = packets.filter((packet) => packet['icmpv6.type'] === '136');
    const resignations = packets.filter((packet) => packet['vrrp.prio'] === '0');
    for (const some of [gratuitous, advertisements, resignations]) {
      expect(some.length).toBeGreaterThanOrEqual(1);
      expect(verdictsOf(some)).toEqual(['hold']);
    }
  });

  it('the rule for tight BFD timers, once it is uncommented, passes what says Up and nothing new', async () => {
    const text = router().replace(/^ {2}# (udp dport \{ 3784, 4784 \})/m, '  $1');
    expect(text).not.toBe(router());
    const bfd = (await sent('bfd.pcap', text)).filter((packet) => speaks(packet, 'bfd'));
    const passed = bfd.filter(({ verdict }) => verdict === 'pass');
    expect(passed.length).toBeGreaterThan(40);
    for (const packet of passed) expect([packet['bfd.sta'], packet['bfd.flags']]).toEqual(['0x03', '0xc0']);
    const states = new Set(bfd.filter(({ verdict }) => verdict === 'hold').map((packet) => packet['bfd.sta']));
    expect([...states].sort()).toEqual(['0x00', '0x01', '0x02', '0x03']);
  });
});

describe('under web', () => {
  it.each(['http.pcap', 'tls.pcap', 'quic.pcapng', 'ssh.pcapng', 'sip-tcp-call.pcapng'])(
    'as it is shipped, everything in %s is held',
    async (capture) => {
      expect(verdictsOf(await sent(capture, under('web')))).toEqual(['hold']);
    },
  );

  it('where the user vouches for a server, its responses wait for the guard, its SYN and FIN for the checkpoint', async () => {
    const packets = (await sent('http.pcap', under('web', RECORDED.web))).filter((packet) => speaks(packet, 'tcp'));
    for (const packet of packets) {
      const isState = (Number(packet['tcp.flags']) & 7) !== 0;
      expect([packet.verdict, packet.reason]).toEqual(['hold', isState ? 'rule' : 'guard']);
    }
    expect(packets.filter(({ reason }) => reason === 'guard').length).toBeGreaterThan(6);
  });

  it('neither TLS nor QUIC reaches the guard, even on a l4Port that the user vouches for', async () => {
    for (const [capture, port] of [
      ['tls.pcap', 443],
      ['quic.pcapng', 443],
    ] as const) {
      const packets = await sent(capture, under('web', { STATIC: String(port) }));
      expect(new Set(packets.map(({ reason }) => reason))).not.toContain('guard');
    }
  });

  it('of a reverse proxy, its questions to DNS and NTP and answers to pings pass; both of its TCP sides are held', async () => {
    const packets = await sent('proxy.pcapng', under('web'));
    const passed = packets.filter(({ verdict }) => verdict === 'pass');
    const questions = packets.filter(
      (packet) =>
        packet['dns.flags.response'] === '0' || packet['ntp.flags.mode'] === '3' || packet['icmp.type'] === '0',
    );
    expect(questions).toHaveLength(7);
    expect(passed).toEqual(questions);
    expect(packets.filter((packet) => speaks(packet, 'tcp')).length).toBeGreaterThan(20);
  });

  it('what a DNS server answers is held', async () => {
    const answers = (await sent('dns.pcapng', under('web'))).filter((packet) => speaks(packet, 'dns'));
    expect(answers.length).toBeGreaterThan(8);
    expect(verdictsOf(answers)).toEqual(['hold']);
  });
});

describe('under default and telephony', () => {
  it.each(['default', 'telephony'] as const)('%s: of a call exactly the RTP passes', async (set) => {
    const packets = await sent('sip-rtp-call.pcapng', under(set));
    const passed = packets.filter(({ verdict }) => verdict === 'pass');
    expect(passed).toHaveLength(351);
    expect(passed).toEqual(packets.filter((packet) => packet['rtp.version'] !== ''));
    for (const name of ['sip', 'rtcp', 'arp']) {
      const held = packets.filter((packet) => speaks(packet, name));
      expect(held.length).toBeGreaterThanOrEqual(1);
      expect(verdictsOf(held)).toEqual(['hold']);
    }
  });

  it.each(['wireguard.pcap', 'quic.pcapng', 'igmp-mld.pcap', 'vrrp.pcap', 'bfd.pcap', 'dhcp.pcap', 'dns.pcapng'])(
    'nothing in %s passes but answers to pings',
    async (capture) => {
      for (const set of ['default', 'telephony'] as const) {
        for (const packet of await sent(capture, under(set))) {
          if (packet.verdict === 'pass') expect([set, packet['icmp.type']]).toEqual(['default', '0']);
        }
      }
    },
  );

  it('telephony passes RTP from another l4Port when the host has declared its flow, and nothing else of it', async () => {
    const generation = generationOf(under('telephony', { MEDIA: '30000-30001' }));
    const judge = async () => (await judgeCapture(`${TRACES}sip-rtp-call.pcapng`, [generation]))[0]!;
    const passes = (judged: readonly Judged[]) => judged.filter(({ verdict }) => verdict === 'pass');
    expect(passes(await judge())).toEqual([]);
    const [packet] = (await tsharkFields(`${TRACES}sip-rtp-call.pcapng`, FIELDS)).filter(
      (one) => one['eth.src'] === TRACE_VM && one['rtp.version'] !== '',
    );
    const flow = { ipVersion: 4, src: 0xc000020an, dst: 0xc0000201n, protocol: 17, vlanId: null } as const;
    const srcPort = Number(packet!['udp.srcport']);
    const dstPort = Number(packet!['udp.dstport']);
    generation.live.declared.declare({ ...flow, srcPort, dstPort }, 'data', null, 0);
    expect(passes(await judge())).toHaveLength(351);
    // RTCP has a flow of its own here; declared or not it waits.
    generation.live.declared.declare({ ...flow, srcPort: srcPort + 1, dstPort: dstPort + 1 }, null, null, 0);
    expect(passes(await judge())).toHaveLength(351);
  });
});

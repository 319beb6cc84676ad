import { beforeAll, describe, expect, test } from 'vitest';
import { type FrameBuilder, frame } from '../../pcaps/build.ts';
import { numbers } from '../../pcaps/build-bytes.ts';
import { pcapOf, temporaryFolder } from '../support/run-cli.ts';
import { fateOf, judged, type Line } from '../support/traps.ts';

/**
 * The answer to a ping is what the set `default` passes, so frames that carry one tell whether the rules saw it:
 * `pass rules` if they did, and every other fate says why not.
 */
const answer4 = (builder: FrameBuilder) => builder.icmp({ type: 0 }).payload('12345678');
const answer6 = (builder: FrameBuilder) => builder.icmpv6({ type: 129 }).payload('12345678');
const ip4 = () => frame().eth().ip4();
const ip6 = () => frame().eth().ip6();
const carried = answer4(frame().ip4());

/** What we do with a frame and why, the frame, its fate, and what else is told of it. */
type Built = readonly [says: string, built: FrameBuilder, fate: string, fields?: Line];

const TAGS: readonly Built[] = [
  [
    'a service tag, a customer tag and the old tag type are all followed',
    answer4(frame().eth().vlan(1, { tpid: 0x9100 }).vlan(2, { tpid: 0x88a8 }).vlan(3).ip4()),
    'pass rules',
    { vlans: [1, 2, 3], etherType: 0x0800, src: '192.0.2.1' },
  ],
  [
    'a ninth tag is not followed: a sender of so many hides something',
    [1, 2, 3, 4, 5, 6, 7, 8, 9].reduce((builder, id) => builder.vlan(id), frame().eth()).payload('x'),
    'hold too-many-headers',
    { vlans: [1, 2, 3, 4, 5, 6, 7, 8], etherType: null },
  ],
  ['a frame that ends within its tag is held', frame().eth().vlan(5).truncateTo(17), 'hold truncated'],
  [
    'a VN-Tag is not looked through, and the tag behind it is not the frame’s',
    frame()
      .eth({ type: 0x8926 })
      .payload(numbers([4, 0], [2, 0x8100], [2, 11], [2, 0x0800]))
      .payload(carried.build()),
    'hold unknown-ethertype',
    { vlans: [], etherType: 0x8926, src: null },
  ],
  [
    'a provider backbone’s service tag (802.1ah) hides the customer’s frame',
    frame().eth().vlan(4051, { type: 0x88e7 }).payload(new Uint8Array(4)).payload(answer4(ip4()).build()),
    'hold unknown-ethertype',
    { vlans: [4051], etherType: 0x88e7, src: null },
  ],
];

const LLC: readonly Built[] = [
  [
    'SNAP that carries IPv4 is looked through (RFC 1042)',
    answer4(frame().eth().snap().ip4()),
    'pass rules',
    { etherType: null },
  ],
  [
    'SNAP of a manufacturer is not',
    answer4(frame().eth().snap({ oui: 0x00000c }).ip4()),
    'hold unknown-ethertype',
    { src: null },
  ],
  [
    'spanning tree is held',
    frame().eth().llc().payload(new Uint8Array(35)).padTo(60),
    'hold unknown-ethertype',
    { etherType: null },
  ],
  [
    'IS-IS is held',
    frame().eth().llc({ dsap: 0xfe }).payload(new Uint8Array(1497)),
    'hold unknown-ethertype',
    { etherType: null },
  ],
  ['link aggregation is held', frame().eth({ type: 0x8809 }).payload(new Uint8Array(110)), 'hold unknown-ethertype'],
];

const TUNNELS: readonly Built[] = [
  [
    'an answer to a ping beneath a label stack is one',
    answer4(frame().eth().mpls(100).mpls(200).ip4()),
    'pass rules',
    { etherType: 0x8847, src: '192.0.2.1', l4: 'icmp', payloadLen: 8 },
  ],
  [
    'so is one over IPv6',
    answer6(frame().eth().mpls(100).ip6()),
    'pass rules',
    { etherType: 0x8847, src: '2001:db8::1' },
  ],
  [
    'an Ethernet pseudowire without control word is not IPv4 because its address starts with 4 (RFC 4928 §3)',
    answer4(frame().eth().mpls(100).eth({ dst: '46:00:00:20:00:01' }).ip4()),
    'hold unknown-ethertype',
    { etherType: 0x8847, src: null },
  ],
  [
    'a pseudowire’s control word is not IP',
    frame().eth().mpls(100).payload(new Uint8Array(4)).payload(answer4(ip4()).build()),
    'hold unknown-ethertype',
  ],
  [
    'a seventeenth label is not followed',
    answer4([...Array(17).keys()].reduce((builder, label) => builder.mpls(label + 16), frame().eth()).ip4()),
    'hold too-many-headers',
    { etherType: 0x8847, src: null },
  ],
  ['a label stack without a bottom is held', frame().eth().mpls(100, { bottom: false }), 'hold truncated'],
  [
    'an answer to a ping in a PPPoE session is one',
    answer4(frame().eth().pppoe().ip4()),
    'pass rules',
    { etherType: 0x8864, src: '192.0.2.1', l4: 'icmp' },
  ],
  ['so is one over IPv6 there', answer6(frame().eth().pppoe().ip6()), 'pass rules', { etherType: 0x8864 }],
  [
    'a PPPoE length that ends within the packet is a lie',
    answer4(frame().eth().pppoe({ length: 30 }).ip4()),
    'hold truncated',
  ],
  ['a PPPoE length beyond the frame too', answer4(frame().eth().pppoe({ length: 99 }).ip4()), 'hold truncated'],
  ['PPPoE of another version is no session', answer4(frame().eth().pppoe({ version: 2 }).ip4()), 'hold malformed'],
  [
    'the PPP link’s own protocols are held: they open and close it',
    frame()
      .eth()
      .pppoe({ protocol: 0xc021 })
      .payload(numbers([1, 5], [1, 1], [2, 4])),
    'hold unknown-ethertype',
    { etherType: 0x8864, src: null },
  ],
  ['PPPoE discovery is held', frame().eth({ type: 0x8863 }).payload(new Uint8Array(6)), 'hold unknown-ethertype'],
  [
    'IP in IP is protocol 4',
    answer4(ip4().ip4({ src: '203.0.113.1' })),
    'hold rules',
    { src: '192.0.2.1', proto: 4, l4: null },
  ],
  ['IPv6 in IPv4 is protocol 41', answer6(ip4().ip6()), 'hold rules', { ipVersion: 4, src: '192.0.2.1', proto: 41 }],
  [
    'GRE is protocol 47',
    frame()
      .eth()
      .ip4({ proto: 47 })
      .payload(numbers([2, 0], [2, 0x0800]))
      .payload(carried.build()),
    'hold rules',
    { proto: 47, l4: null, srcPort: null },
  ],
  [
    'VXLAN is UDP',
    ip4()
      .udp(65_445, 4789)
      .payload(numbers([4, 0x0800_0000], [4, 0x100]))
      .payload(answer4(ip4()).build()),
    'hold rules',
    { proto: 17, srcPort: 65_445, dstPort: 4789 },
  ],
  [
    'what an ICMP error quotes is not the frame’s own',
    ip4().icmp({ type: 3, code: 1 }).payload(carried.build()),
    'hold rules',
    { l4: 'icmp', srcPort: null },
  ],
  ['NSH is held', frame().eth({ type: 0x894f }).payload(carried.build()), 'hold unknown-ethertype', { src: null }],
  ['MACsec is held', frame().eth({ type: 0x88e5 }).payload(carried.build()), 'hold unknown-ethertype', { src: null }],
  ['ESP is protocol 50, whatever it hides', answer4(ip4().esp()), 'hold rules', { proto: 50, l4: null }],
  ['AH over IPv4 is protocol 51, as nft has it', answer4(ip4().ah()), 'hold rules', { proto: 51, l4: null }],
];

const HEADER_CHAINS: readonly Built[] = [
  ['AH over IPv6 is a header of the chain', answer6(ip6().ah()), 'pass rules', { proto: 58, l4: 'icmpv6' }],
  [
    'so is a segment routing header',
    answer6(ip6().routing({ type: 4, segmentsLeft: 1, addresses: ['2001:db8::9', '2001:db8::a'] })),
    'pass rules',
    { dst: '2001:db8::2', proto: 58 },
  ],
  [
    'a chain of 128 headers is walked',
    answer6(Array.from({ length: 128 }).reduce<FrameBuilder>((builder) => builder.dstopts(), ip6())),
    'pass rules',
    { proto: 58 },
  ],
  [
    'one of 129 is over-long: held, though an answer to a ping ends it',
    answer6(Array.from({ length: 129 }).reduce<FrameBuilder>((builder) => builder.dstopts(), ip6())),
    'hold too-many-headers',
    { l4: null },
  ],
  [
    'a header that reaches beyond the packet is held',
    answer6(ip6().hopopts({ headerLength: 9 })),
    'hold truncated',
    { l4: null },
  ],
  [
    'a packet that ends where its options begin is held',
    frame().eth().ip6({ next: 0, payloadLength: 8 }),
    'hold truncated',
    { proto: 0 },
  ],
  [
    'an IPv6 header of 39 bytes is held',
    answer6(ip6()).truncateTo(14 + 39),
    'hold truncated',
    { src: null, proto: null },
  ],
  [
    'an IPv6 EtherType above version 0 is held',
    answer6(frame().eth().ip6({ version: 0 })),
    'hold malformed',
    { src: null },
  ],
  [
    'an IPv4 EtherType above version 5 is held',
    answer4(frame().eth().ip4({ version: 5 })),
    'hold malformed',
    { proto: null },
  ],
  ['a total length less than the header is held', answer4(frame().eth().ip4({ totalLength: 11 })), 'hold malformed'],
  ['a total length beyond the frame is held', answer4(frame().eth().ip4({ totalLength: 99 })), 'hold truncated'],
  ['a TCP segment of no bytes is held', frame().eth().ip4({ proto: 6 }).padTo(60), 'hold malformed', { srcPort: null }],
  [
    'half a UDP header has ports, and is held',
    frame()
      .eth()
      .ip4({ proto: 17 })
      .payload(numbers([2, 16_384], [2, 16_386])),
    'hold malformed',
    { srcPort: 16_384, dstPort: 16_386 },
  ],
  [
    'a total length of 0 is a super-frame before segmentation: as long as the frame',
    answer4(frame().eth().ip4({ totalLength: 0 })),
    'pass rules',
    { payloadLen: 8 },
  ],
  [
    'a jumbogram is as long as its option says (RFC 2675)',
    frame()
      .eth()
      .ip6({ payloadLength: 0 })
      .hopopts({ options: numbers([1, 0xc2], [1, 4], [4, 65_536]) })
      .icmpv6({ type: 129 })
      .payload(new Uint8Array(65_536 - 16)),
    'pass rules',
    { payloadLen: 65_536 - 8 - 4 },
  ],
];

const FRAGMENTS: readonly Built[] = [
  [
    'an atomic fragment is the whole packet (RFC 6946)',
    answer6(ip6().fragment({ id: 1 })),
    'pass rules',
    { fragOffset: 0, moreFrags: false },
  ],
  [
    'a first fragment is judged by its header',
    answer4(frame().eth().ip4({ id: 2, moreFrags: true })),
    'pass rules',
    { moreFrags: true },
  ],
  [
    'the fragment that follows shares its fate',
    frame().eth().ip4({ id: 2, proto: 1, fragOffset: 16, moreFrags: true }).payload('12345678'),
    'pass fragment',
    { fragOffset: 16, l4: null },
  ],
  [
    'one that overlaps it is held: its receiver might believe either (RFC 5722)',
    frame().eth().ip4({ id: 2, proto: 1, fragOffset: 8 }).payload('evil'),
    'hold fragment-overlap',
  ],
  [
    'and what comes after the overlap is held too',
    frame().eth().ip4({ id: 2, proto: 1, fragOffset: 24 }).payload('rest'),
    'hold fragment-overlap',
  ],
  [
    'a fragment of another protocol belongs to nothing that was seen',
    frame().eth().ip4({ id: 2, proto: 17, fragOffset: 24 }).payload('x'),
    'hold fragment-unknown',
  ],
  [
    'a last fragment that comes first is held',
    frame().eth().ip6().fragment({ id: 3, offset: 1432, next: 58 }).payload('end'),
    'hold fragment-unknown',
    { fragOffset: 1432, srcPort: null },
  ],
  [
    'a first fragment without its whole TCP header is held',
    frame().eth().ip4({ id: 4, proto: 6, moreFrags: true }).payload(new Uint8Array(16)),
    'hold fragment-no-l4',
  ],
  [
    'and what follows it has nothing to go by',
    frame().eth().ip4({ id: 4, proto: 6, fragOffset: 16 }).payload('1234'),
    'hold fragment-unknown',
  ],
  [
    'a first fragment whose header chain goes on in the next is held (RFC 7112)',
    frame().eth().ip6().fragment({ id: 5, more: true }).dstopts({ headerLength: 5 }),
    'hold fragment-no-l4',
  ],
  [
    'a fragment of a fragment is held',
    answer6(ip6().fragment({ id: 6, more: true }).fragment({ id: 7 })),
    'hold malformed',
  ],
  [
    'a fragment that ends past 65,535 bytes is held',
    frame().eth().ip4({ id: 8, proto: 1, fragOffset: 65_528 }).payload('12345678'),
    'hold malformed',
  ],
  [
    'a first fragment that ends off an 8-byte boundary is held',
    answer4(frame().eth().ip4({ id: 9, moreFrags: true })).payload('odd'),
    'hold malformed',
  ],
];

const GROUPS = {
  tags: TAGS,
  'LLC and slow protocols': LLC,
  tunnels: TUNNELS,
  'headers and lengths': HEADER_CHAINS,
  fragments: FRAGMENTS,
};

const folder = temporaryFolder();
const lines = new Map<Built, Line>();
beforeAll(async () => {
  const all = Object.values(GROUPS).flat();
  const capture = folder.write('traps.pcap', pcapOf(all.map(([, built]) => ({ bytes: built.build() }))));
  for (const [i, line] of (await judged(capture)).entries()) lines.set(all[i]!, line);
});

describe.each(Object.entries(GROUPS))('built %s', (_, group) => {
  test.each(group.map((built) => [built[0], built] as const))('%s', (_says, built) => {
    const line = lines.get(built)!;
    expect(fateOf(line)).toBe(built[2]);
    expect(line).toMatchObject(built[3] ?? {});
  });
});

test('a rule may name the outer EtherType together with fields of the packet beneath it', async () => {
  const rules = folder.write(
    'outer.rules',
    [
      'outbound {',
      '  ether type 0x8847 icmp type echo-reply drop',
      '  ether type 0x8848 ip6 saddr 2001:db8::1 drop',
      '  ether type 0x8864 ip saddr 192.0.2.1 drop',
      '  ether type 0x8863-0x8865 ip6 saddr 2001:db8::1 drop',
      '  ether type ip icmp type echo-reply pass',
      '}',
    ].join('\n'),
  );
  const frames = [
    answer4(frame().eth().mpls(100).ip4()),
    answer6(frame().eth().mpls(100, { type: 0x8848 }).ip6()),
    answer4(frame().eth().pppoe().ip4()),
    answer6(frame().eth().pppoe().ip6()),
    answer4(ip4()),
    answer6(frame().eth().mpls(100).ip6()),
  ];
  const capture = folder.write('outer.pcap', pcapOf(frames.map((built) => ({ bytes: built.build() }))));
  const outer = await judged(capture, 0, rules);
  expect(outer.map(({ verdict, rule }) => [verdict, (rule as Line | null)?.line ?? null])).toEqual([
    ['drop', 2],
    ['drop', 3],
    ['drop', 4],
    ['drop', 5],
    ['pass', 6],
    ['hold', null],
  ]);
});

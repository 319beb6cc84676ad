import { describe, expect, test } from 'vitest';
import { frame } from '../../pcaps/build.ts';
import { numbers } from '../../pcaps/build-bytes.ts';
import { fieldsOf, IP4_ONLY, NOTHING, parsedOf } from '../support/parse-frame.ts';

/** What an IPv4 datagram of the builder holds behind an Ethernet header and `before` more bytes. */
function datagramBehind(before: number) {
  return {
    l3: 'ip4',
    networkAt: 14 + before,
    l3At: 14 + before,
    src: '192.0.2.1',
    dst: '198.51.100.2',
    proto: 17,
    fragOffset: 0,
    l4: 'udp',
    l4At: 34 + before,
    srcPort: 5060,
    dstPort: 5061,
    udpLength: 11,
    payloadAt: 42 + before,
    payloadLength: 3,
    payloadCaptured: 3,
  } as const;
}

describe('an Ethernet frame', () => {
  test('has destination and source addresses in front of its type', () => {
    const bytes = frame().eth({ dst: 'f1:02:03:04:05:06', src: 'a1:b2:c3:d4:e5:f6', type: 0x88cc }).build();
    expect(fieldsOf(bytes)).toEqual({
      ...NOTHING,
      dstMac: 'f1:02:03:04:05:06',
      srcMac: 'a1:b2:c3:d4:e5:f6',
      etherType: 0x88cc,
    });
  });

  test('of 13 bytes is truncated and says nothing', () => {
    const bytes = frame().eth({ type: 0x0800 }).truncateTo(13).build();
    expect(fieldsOf(bytes)).toEqual({
      ...NOTHING,
      problem: 'truncated',
      dstMac: '00:00:00:00:00:00',
      srcMac: '00:00:00:00:00:00',
      networkAt: -1,
    });
  });

  test('of an EtherType that is not parsed is no problem, whatever follows', () => {
    expect(fieldsOf(frame().eth({ type: 0x8846 }).ip4().tcp(1, 2).build())).toEqual({ ...NOTHING, etherType: 0x8846 });
  });

  test('tells where it lies and how long it is', () => {
    const p = parsedOf(frame().eth().arp().build());
    expect({ offset: p.offset, length: p.length }).toEqual({ offset: 37, length: 42 });
  });

  test.each([
    [1500, null],
    [1501, null],
    [0x07ff, null],
    [0x0801, null],
    [0x0800, 'ip4'],
  ] as const)('of type %i has the network header %s', (type, l3) => {
    expect(fieldsOf(frame().eth({ type }).ip4().udp(1, 2).build())).toMatchObject({
      problem: null,
      etherType: type,
      l3,
    });
  });
});

describe('an 802.3 frame', () => {
  test('has its length in place of a type, and no network header', () => {
    const bytes = frame().eth().llc({ dsap: 0x42 }).payload(new Uint8Array(35)).build();
    expect(fieldsOf(bytes)).toEqual({ ...NOTHING, etherType: 38 });
  });

  test('with LLC and SNAP carries what the SNAP type says (RFC 1042)', () => {
    const bytes = frame().eth().snap().ip4().udp(5060, 5061).payload('SIP').build();
    expect(fieldsOf(bytes)).toEqual({ ...NOTHING, etherType: 8 + 31, ...datagramBehind(8) });
  });

  test('with SNAP carries ARP and IPv6 as well, also behind a tag', () => {
    expect(fieldsOf(frame().eth().snap().arp({ operation: 2 }).build())).toMatchObject({ l3: 'arp', arpOperation: 2 });
    const bytes = frame().eth().vlan(7).snap().ip6().udp(1, 2).build();
    expect(fieldsOf(bytes)).toMatchObject({ tags: [7], etherType: 56, l3: 'ip6', l3At: 26, srcPort: 1, dstPort: 2 });
  });

  test('with SNAP of another organisation is not read further', () => {
    const bytes = frame().eth().snap({ oui: 0x00000c, type: 0x0800 }).ip4().udp(1, 2).build();
    expect(fieldsOf(bytes)).toEqual({ ...NOTHING, etherType: 36 });
    expect(fieldsOf(frame().eth().snap({ oui: 1 }).ip4().udp(1, 2).build())).toEqual({ ...NOTHING, etherType: 36 });
  });

  test.each([
    ['destination SAP', 14],
    ['source SAP', 15],
    ['control field', 16],
    ['first byte of the organisation', 17],
  ])('whose %s is not that of SNAP is not read further', (_, at) => {
    const bytes = frame().eth().snap().ip4().udp(1, 2).build();
    bytes[at]! ^= 1;
    expect(fieldsOf(bytes)).toEqual({ ...NOTHING, etherType: 36 });
  });

  test('whose length has no room for SNAP does not have it', () => {
    const withLength = (type: number) => fieldsOf(frame().eth({ type }).snap().ip4().udp(1, 2).build());
    expect(withLength(7)).toEqual({ ...NOTHING, etherType: 7 });
    expect(withLength(8)).toMatchObject({ etherType: 8, l3: 'ip4' });
  });

  test('has a length up to 1500; from there on it is a type, though SNAP seems to follow', () => {
    const withType = (type: number) => fieldsOf(frame().eth({ type }).snap().ip4().udp(1, 2).build()).l3;
    expect(withType(1500)).toBe('ip4');
    expect(withType(1501)).toBeNull();
  });

  test('that ends within SNAP does not have it', () => {
    expect(fieldsOf(frame().eth().snap().ip4().truncateTo(21).build())).toEqual({ ...NOTHING, etherType: 28 });
    expect(fieldsOf(frame().eth().snap().ip4().truncateTo(22).build())).toMatchObject({
      problem: 'truncated',
      l3: 'ip4',
      l3At: 22,
    });
  });
});

describe('tags', () => {
  test.each([
    ['802.1Q', 0x8100],
    ['802.1ad', 0x88a8],
    ['0x9100', 0x9100],
  ])('of %s are followed, priority and drop bit included', (_, tpid) => {
    const bytes = frame().eth().vlan(0xabc, { tpid, pcp: 5, dei: true }).ip4().udp(5060, 5061).payload('SIP').build();
    expect(fieldsOf(bytes)).toEqual({ ...NOTHING, tags: [0xbabc], etherType: 0x0800, ...datagramBehind(4) });
  });

  test.each([0x8101, 0x80ff, 0x88a7, 0x9200, 0x9101])('are not told by the type %i', (tpid) => {
    const bytes = frame().eth().vlan(1, { tpid }).ip4().udp(1, 2).build();
    expect(fieldsOf(bytes)).toEqual({ ...NOTHING, etherType: tpid });
  });

  test('are listed outermost first, in any mixture', () => {
    const bytes = frame()
      .eth()
      .vlan(1, { tpid: 0x9100 })
      .vlan(2, { tpid: 0x88a8 })
      .vlan(3)
      .ip4()
      .udp(5060, 5061)
      .payload('SIP')
      .build();
    expect(fieldsOf(bytes)).toEqual({ ...NOTHING, tags: [1, 2, 3], etherType: 0x0800, ...datagramBehind(12) });
  });

  test('are followed up to eight', () => {
    const builder = frame().eth();
    for (let id = 1; id <= 8; id++) builder.vlan(id);
    const bytes = builder.ip4().udp(5060, 5061).payload('SIP').build();
    expect(fieldsOf(bytes)).toEqual({
      ...NOTHING,
      tags: [1, 2, 3, 4, 5, 6, 7, 8],
      etherType: 0x0800,
      ...datagramBehind(32),
    });
  });

  test('of which there are nine are too many headers', () => {
    const builder = frame().eth();
    for (let id = 1; id <= 9; id++) builder.vlan(id);
    expect(fieldsOf(builder.ip4().udp(1, 2).build())).toEqual({
      ...NOTHING,
      problem: 'too-many-headers',
      tags: [1, 2, 3, 4, 5, 6, 7, 8],
      networkAt: -1,
    });
  });

  test('that the frame does not hold whole are truncated, and the type is not known', () => {
    const bytes = frame().eth().vlan(1).vlan(2).ip4().build();
    expect(fieldsOf(bytes.subarray(0, 21))).toEqual({ ...NOTHING, problem: 'truncated', tags: [1], networkAt: -1 });
    expect(fieldsOf(bytes.subarray(0, 17))).toEqual({ ...NOTHING, problem: 'truncated', networkAt: -1 });
    expect(fieldsOf(frame().eth().vlan(1, { type: 0x88cc }).build())).toEqual({
      ...NOTHING,
      tags: [1],
      networkAt: 18,
      etherType: 0x88cc,
    });
  });
});

describe('an ARP packet', () => {
  const bytes = frame()
    .eth()
    .arp({ operation: 0x0102, senderMac: 'f2:f3:04:05:06:07', senderIp: '203.0.113.9', targetIp: '192.0.2.200' })
    .build();
  const fields = {
    ...NOTHING,
    etherType: 0x0806,
    l3: 'arp',
    l3At: 14,
    arpOperation: 0x0102,
    arpMac: 'f2:f3:04:05:06:07',
    src: '203.0.113.9',
    dst: '192.0.2.200',
  };

  test('has an operation, the sender and the target', () => {
    expect(fieldsOf(bytes)).toEqual(fields);
  });

  test('cut within its addresses still has its operation', () => {
    const cut = { ...fields, problem: 'truncated', arpMac: '00:00:00:00:00:00', src: '0.0.0.0', dst: '0.0.0.0' };
    expect(fieldsOf(bytes.subarray(0, 41))).toEqual(cut);
    expect(fieldsOf(bytes.subarray(0, 22))).toEqual(cut);
    expect(fieldsOf(bytes.subarray(0, 21))).toEqual({ ...cut, arpOperation: -1 });
  });

  /** ARP with other sizes of addresses: `hardware` and `protocol` bytes each. */
  function arpOf(hardware: number, protocol: number): Uint8Array {
    return frame()
      .eth({ type: 0x0806 })
      .payload(numbers([2, 32], [2, 0x0800], [1, hardware], [1, protocol], [2, 1]))
      .payload(new Uint8Array(2 * (hardware + protocol)).fill(0xee))
      .build();
  }
  const other = { ...fields, arpOperation: 1, arpMac: '00:00:00:00:00:00', src: '0.0.0.0', dst: '0.0.0.0' };

  test.each([
    [20, 4],
    [8, 4],
    [2, 4],
    [6, 16],
    [0, 0],
    [4, 6],
    [255, 255],
  ])('with hardware addresses of %i bytes and protocol addresses of %i has an operation only', (hardware, protocol) => {
    const whole = arpOf(hardware, protocol);
    expect(fieldsOf(whole)).toEqual(other);
    if (hardware + protocol > 0) {
      expect(fieldsOf(whole.subarray(0, -1))).toEqual({ ...other, problem: 'truncated' });
    }
  });
});

test('ARP of another protocol with addresses of 4 bytes has an operation only', () => {
  const bytes = frame().eth().arp().build();
  bytes.set([0x08, 0x01], 16);
  expect(fieldsOf(bytes)).toMatchObject({
    problem: null,
    arpOperation: 1,
    arpMac: '00:00:00:00:00:00',
    src: '0.0.0.0',
    dst: '0.0.0.0',
  });
});

describe('an IPv4 packet', () => {
  const udp = () => frame().eth().ip4().udp(5060, 5061).payload('SIP');

  test('has addresses and a protocol', () => {
    expect(fieldsOf(udp().build())).toEqual({ ...NOTHING, etherType: 0x0800, ...datagramBehind(0) });
    const bytes = frame().eth().ip4({ src: '255.254.253.252', dst: '128.0.0.1', proto: 89, id: 0xfedc }).build();
    expect(fieldsOf(bytes)).toEqual({
      ...IP4_ONLY,
      src: '255.254.253.252',
      dst: '128.0.0.1',
      proto: 89,
      fragId: 0xfedc,
    });
  });

  test.each([4, 8, 24, 40])('with %i bytes of options has its transport header behind them', (size) => {
    const options = new Uint8Array(size).fill(1);
    const bytes = frame().eth().ip4({ options }).udp(5060, 5061).payload('SIP').build();
    expect(fieldsOf(bytes)).toEqual({
      ...NOTHING,
      etherType: 0x0800,
      ...datagramBehind(size),
      networkAt: 14,
      l3At: 14,
    });
  });

  test('keeps its don’t-fragment and reserved bits out of the fragment fields', () => {
    const bytes = udp().build();
    bytes[20] = 0xc0;
    expect(fieldsOf(bytes)).toMatchObject({ problem: null, fragOffset: 0, moreFrags: 0, isFragment: 0, fragLength: 0 });
  });

  test('of total length 0 is as long as the frame (segmentation offload)', () => {
    const bytes = frame().eth().ip4({ totalLength: 0 }).tcp(80, 1024).payload(new Uint8Array(70_000)).build();
    expect(fieldsOf(bytes)).toMatchObject({ problem: null, l4: 'tcp', payloadLength: 70_000, payloadCaptured: 70_000 });
    expect(fieldsOf(bytes.subarray(0, 60), bytes.length)).toMatchObject({
      problem: null,
      payloadLength: 70_000,
      payloadCaptured: 6,
    });
  });

  test('ends by its total length, so that padding is no payload', () => {
    expect(fieldsOf(udp().padTo(60).build())).toEqual(fieldsOf(udp().build()));
  });

  test('longer than the frame is truncated, and says what it can', () => {
    const bytes = frame().eth().ip4({ totalLength: 32 }).udp(5060, 5061, { length: 12 }).payload('SIP').build();
    expect(fieldsOf(bytes)).toEqual({
      ...NOTHING,
      problem: 'truncated',
      etherType: 0x0800,
      ...datagramBehind(0),
      udpLength: 12,
      payloadLength: 4,
      payloadCaptured: 3,
    });
  });

  test('that a capture has cut is no problem while its headers are there', () => {
    const bytes = udp().build();
    expect(fieldsOf(bytes.subarray(0, 42), bytes.length)).toEqual({
      ...NOTHING,
      etherType: 0x0800,
      ...datagramBehind(0),
      payloadCaptured: 0,
    });
    expect(fieldsOf(bytes.subarray(0, 41), bytes.length)).toMatchObject({ problem: 'truncated', srcPort: 5060 });
  });

  test('takes the captured length where the record says that less was on the wire', () => {
    expect(fieldsOf(udp().build(), 20)).toEqual(fieldsOf(udp().build()));
  });

  test.each([0, 3, 5, 6, 15])('of version %i is malformed', (version) => {
    const bytes = frame().eth().ip4({ version }).udp(1, 2).build();
    expect(fieldsOf(bytes)).toEqual({ ...IP4_ONLY, problem: 'malformed', proto: -1, fragOffset: -1, l4At: -1 });
  });

  test.each([0, 1, 4])('with a header of %i words is malformed', (headerLength) => {
    const bytes = frame().eth().ip4({ headerLength }).udp(1, 2).build();
    expect(fieldsOf(bytes)).toEqual({ ...IP4_ONLY, problem: 'malformed', proto: -1, fragOffset: -1, l4At: -1 });
  });

  test('shorter than its own header is malformed', () => {
    const withLength = (totalLength: number) =>
      frame()
        .eth()
        .ip4({ totalLength, options: new Uint8Array(4) })
        .build();
    expect(fieldsOf(withLength(23))).toEqual({ ...IP4_ONLY, problem: 'malformed', l4At: -1 });
    expect(fieldsOf(withLength(1))).toEqual({ ...IP4_ONLY, problem: 'malformed', l4At: -1 });
    expect(fieldsOf(withLength(24))).toEqual({ ...IP4_ONLY, l4At: 38 });
  });

  test('whose options the frame does not hold is truncated', () => {
    const bytes = frame()
      .eth()
      .ip4({ options: new Uint8Array(8) })
      .build();
    expect(fieldsOf(bytes)).toEqual({ ...IP4_ONLY, l4At: 42 });
    expect(fieldsOf(bytes.subarray(0, 41))).toEqual({ ...IP4_ONLY, problem: 'truncated', l4At: -1 });
    expect(fieldsOf(bytes.subarray(0, 41), bytes.length)).toEqual({ ...IP4_ONLY, problem: 'truncated', l4At: -1 });
    const offload = frame().eth().ip4({ headerLength: 6, totalLength: 0, proto: 17 }).payload('abc').build();
    expect(fieldsOf(offload)).toEqual({ ...IP4_ONLY, problem: 'truncated', proto: 17, l4At: -1 });
  });

  test('whose header the frame does not hold is truncated and says nothing', () => {
    const bytes = frame().eth().ip4().build();
    const cut = {
      ...IP4_ONLY,
      problem: 'truncated',
      src: '0.0.0.0',
      dst: '0.0.0.0',
      proto: -1,
      fragOffset: -1,
      l4At: -1,
    };
    expect(fieldsOf(bytes.subarray(0, 33))).toEqual(cut);
    expect(fieldsOf(bytes.subarray(0, 14))).toEqual(cut);
  });
});

describe('an IPv4 fragment', () => {
  const options = { id: 0xbeef, moreFrags: true };
  const first = () => frame().eth().ip4(options).udp(5060, 5061, { length: 1480 });

  test('that is the first has its transport header, and a UDP length beyond itself is right', () => {
    expect(fieldsOf(first().payload(new Uint8Array(16)).build())).toEqual({
      ...NOTHING,
      etherType: 0x0800,
      ...datagramBehind(0),
      udpLength: 1480,
      payloadLength: 16,
      payloadCaptured: 16,
      moreFrags: 1,
      isFragment: 1,
      fragId: 0xbeef,
      fragLength: 24,
    });
  });

  test('in the middle has no transport header, whatever its bytes look like', () => {
    const bytes = frame()
      .eth()
      .ip4({ ...options, fragOffset: 65_528 - 24 })
      .udp(1, 2)
      .payload(new Uint8Array(8))
      .build();
    expect(fieldsOf(bytes)).toEqual({
      ...IP4_ONLY,
      proto: 17,
      fragOffset: 65_504,
      moreFrags: 1,
      isFragment: 1,
      fragId: 0xbeef,
      fragLength: 16,
      l4At: -1,
    });
  });

  test('that is the last may end anywhere', () => {
    const bytes = frame().eth().ip4({ id: 5, fragOffset: 8, proto: 6 }).payload('odd').build();
    expect(fieldsOf(bytes)).toEqual({
      ...IP4_ONLY,
      proto: 6,
      fragOffset: 8,
      isFragment: 1,
      fragId: 5,
      fragLength: 3,
      l4At: -1,
    });
  });

  test('that is not the last and ends off an 8-byte boundary is malformed', () => {
    expect(fieldsOf(first().payload(new Uint8Array(9)).build())).toMatchObject({ problem: 'malformed', srcPort: 5060 });
    const middle = frame().eth().ip4({ moreFrags: true, fragOffset: 16 }).payload(new Uint8Array(12)).build();
    expect(fieldsOf(middle)).toMatchObject({ problem: 'malformed', fragLength: 12, l4: null });
  });

  test('that is empty is malformed', () => {
    expect(fieldsOf(frame().eth().ip4({ fragOffset: 8 }).build())).toMatchObject({
      problem: 'malformed',
      fragLength: 0,
    });
    expect(fieldsOf(frame().eth().ip4(options).build())).toMatchObject({ problem: 'malformed', fragLength: 0 });
    expect(fieldsOf(frame().eth().ip4({ fragOffset: 8 }).payload('1').build())).toMatchObject({ problem: null });
  });

  test('that ends past 65,535 bytes is malformed', () => {
    const withSize = (size: number) => frame().eth().ip4({ fragOffset: 65_528 }).payload(new Uint8Array(size)).build();
    expect(fieldsOf(withSize(7))).toMatchObject({ problem: null, fragOffset: 65_528, fragLength: 7 });
    expect(fieldsOf(withSize(8))).toMatchObject({ problem: 'malformed' });
  });

  test('cut short is truncated, not malformed', () => {
    const bytes = frame().eth().ip4({ fragOffset: 8, moreFrags: true, totalLength: 32 }).payload('abc').build();
    expect(fieldsOf(bytes)).toMatchObject({ problem: 'truncated', fragLength: 12 });
  });

  test('of total length 0 is as long as the frame', () => {
    const bytes = frame().eth().ip4({ fragOffset: 8, totalLength: 0 }).payload('abc').build();
    expect(fieldsOf(bytes)).toMatchObject({ problem: null, fragLength: 3 });
  });
});

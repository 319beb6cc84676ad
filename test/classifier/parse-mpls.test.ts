import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FrameBuilder, frame } from '../../pcaps/build.ts';
import { internetChecksum, numbers } from '../../pcaps/build-bytes.ts';
import { type Fields, fieldsOf, IP4_ONLY, IP6_ONLY, NOTHING } from '../support/parse-frame.ts';

/** What the builder's packet says behind a stack of `labels` entries, which follow the Ethernet type. */
function packetBehind(labels: number, fields: Fields = IP4_ONLY): Fields {
  const size = 4 * labels;
  const etherType = 0x8847;
  return { ...fields, etherType, networkAt: 14 + size, l3At: 14 + size, l4At: fields.l4At + size };
}
const UNREAD: Fields = { ...NOTHING, etherType: 0x8847 };

function stackOf(labels: number): FrameBuilder {
  const builder = frame().eth();
  for (let label = 1; label <= labels; label++) builder.mpls(label * 1000);
  return builder;
}

describe('beneath a label stack', () => {
  test.each([1, 2, 3, 16])('of %i entries an IPv4 packet is read', (labels) => {
    expect(fieldsOf(stackOf(labels).ip4().build())).toEqual(packetBehind(labels));
  });

  test.each([1, 2, 3, 16])('of %i entries an IPv6 packet is read', (labels) => {
    expect(fieldsOf(stackOf(labels).ip6().payload('hello').build())).toEqual(packetBehind(labels, IP6_ONLY));
  });

  test('of 17 entries nothing is read: too many headers', () => {
    expect(fieldsOf(stackOf(17).ip4().build())).toEqual({ ...UNREAD, problem: 'too-many-headers' });
  });

  test('whose labels the upstream router assigned (type 0x8848) packets are read too', () => {
    const bytes = frame().eth().mpls(1000, { type: 0x8848 }).ip4().build();
    expect(fieldsOf(bytes)).toEqual({ ...packetBehind(1), etherType: 0x8848 });
  });

  test('behind tags and behind SNAP packets are read too', () => {
    const tagged = frame().eth().vlan(5).vlan(6).mpls(1000).ip4().udp(7, 8).build();
    expect(fieldsOf(tagged)).toMatchObject({ tags: [5, 6], etherType: 0x8847, networkAt: 26, l3At: 26, dstPort: 8 });
    const inSnap = frame().eth().snap().mpls(1000).ip4().udp(7, 8).build();
    expect(fieldsOf(inSnap)).toMatchObject({ etherType: 40, networkAt: 26, l3At: 26, dstPort: 8 });
  });

  test('a packet has its transport header and a payload that padding does not lengthen', () => {
    const bytes = frame().eth().mpls(1000).ip4().udp(5060, 5061).payload('SIP').padTo(64).build();
    expect(fieldsOf(bytes)).toMatchObject({ problem: null, l4At: 38, srcPort: 5060, payloadAt: 46, payloadLength: 3 });
  });

  test('no entry but the last is looked into, whatever its label, class and time to live', () => {
    const bytes = frame()
      .eth()
      .mpls(0xfffff, { trafficClass: 7, ttl: 255 })
      .mpls(0x45000, { trafficClass: 7, ttl: 255 })
      .ip4()
      .build();
    expect(fieldsOf(bytes)).toEqual(packetBehind(2));
  });

  test('an IPv4 packet longer than the frame is truncated', () => {
    const bytes = frame().eth().mpls(1000).ip4({ totalLength: 28 }).payload('1234567').build();
    expect(fieldsOf(bytes)).toEqual({ ...packetBehind(1), problem: 'truncated' });
  });

  test('a later fragment is one', () => {
    const bytes = frame().eth().mpls(1000).ip4({ fragOffset: 8, id: 9, proto: 17 }).payload('odd').build();
    expect(fieldsOf(bytes)).toMatchObject({ problem: null, l4At: -1, isFragment: 1, fragOffset: 8, fragId: 9 });
  });
});

describe('a label stack', () => {
  test('that the frame does not hold down to its bottom is truncated', () => {
    const whole = stackOf(3).ip4().build();
    for (let length = 14; length <= 26; length++) {
      const cut = { ...UNREAD, problem: 'truncated' };
      expect(fieldsOf(whole.subarray(0, length)), `${length}`).toEqual(cut);
      expect(fieldsOf(whole.subarray(0, length), whole.length), `${length}`).toEqual(cut);
    }
  });

  test('that no entry ends is truncated, not followed beyond the frame', () => {
    expect(fieldsOf(frame().eth().mpls(1, { bottom: false }).mpls(2, { bottom: false }).build())).toEqual({
      ...UNREAD,
      problem: 'truncated',
    });
  });

  test('above a header that a capture has cut is truncated, for the header could not be checked', () => {
    const four = frame()
      .eth()
      .mpls(1000)
      .ip4({ options: new Uint8Array(8) })
      .build();
    for (let length = 19; length < 46; length++) {
      expect(fieldsOf(four.subarray(0, length), four.length)).toEqual({ ...UNREAD, problem: 'truncated' });
    }
    expect(fieldsOf(four)).toEqual({ ...packetBehind(1), l4At: 46 });
    const six = frame().eth().mpls(1000).ip6().payload('hello').build();
    for (let length = 19; length < 58; length++) {
      expect(fieldsOf(six.subarray(0, length), six.length)).toEqual({ ...UNREAD, problem: 'truncated' });
    }
    expect(fieldsOf(six.subarray(0, 58), six.length)).toEqual(packetBehind(1, IP6_ONLY));
  });
});

describe('what lies beneath a label stack is unknown', () => {
  const beneath = (bytes: Uint8Array) => fieldsOf(frame().eth().mpls(1000).payload(bytes).build());

  test.each([0, 1, 2, 3, 5, 7, 8, 15])('when it starts with the number %i', (nibble) => {
    const packet = frame().ip4().payload(new Uint8Array(40)).build();
    packet[0] = (nibble << 4) | 5;
    expect(beneath(packet)).toEqual(UNREAD);
  });

  test('when it is an Ethernet frame behind a control word (RFC 4448 §4.6)', () => {
    const carried = frame().eth().ip4().udp(1, 2).build();
    expect(fieldsOf(frame().eth().mpls(1000).payload(new Uint8Array(4)).payload(carried).build())).toEqual(UNREAD);
  });

  test.each([
    ['48:00:00:40:00:01', 'an IPv4 header of 32 bytes in a packet of 64'],
    ['4c:11:05:dc:00:01', 'a packet longer than the frame'],
    ['40:00:00:40:00:01', 'a header of 0 bytes'],
    ['60:00:00:00:00:40', 'an IPv6 packet of 64 bytes'],
    ['6c:11:00:00:ff:ff', 'an IPv6 packet longer than the frame'],
    ['64:11:00:00:00:00', 'an IPv6 packet of length 0'],
  ])('when it is an Ethernet frame to %s, which looks like %s', (dst) => {
    const carried = frame().eth({ dst }).ip4().udp(5060, 16_384).payload(new Uint8Array(400)).build();
    expect(beneath(carried)).toEqual(UNREAD);
  });

  test('when it looks like IPv4 with a header checksum that is wrong', () => {
    const packet = frame().ip4().udp(1, 2).payload('abc').build();
    for (let at = 0; at < 20; at++) {
      const wrong = packet.slice();
      wrong[at]! ^= 2;
      expect(beneath(wrong)).toEqual(UNREAD);
    }
    expect(beneath(packet)).toMatchObject({ l3: 'ip4', srcPort: 1 });
  });

  test('when it looks like an IPv4 header that is too short, or that the frame ends within', () => {
    const short = frame().ip4({ headerLength: 4 }).payload('12345678').build();
    short.set([0, 0], 10);
    short.set(numbers([2, internetChecksum(short.subarray(0, 16))]), 10);
    expect(beneath(short)).toEqual(UNREAD);
    const long = frame()
      .ip4({ options: new Uint8Array(8) })
      .build();
    expect(beneath(long.subarray(0, 27))).toEqual(UNREAD);
    expect(beneath(long)).toMatchObject({ l3: 'ip4' });
  });

  test('when it looks like an IPv6 header that the frame ends within, or whose length does not end with the frame', () => {
    const packet = frame().ip6().payload(new Uint8Array(20)).build();
    expect(beneath(packet)).toMatchObject({ l3: 'ip6' });
    expect(beneath(packet.subarray(0, 59))).toEqual(UNREAD);
    expect(beneath(packet.subarray(0, 39))).toEqual(UNREAD);
    expect(beneath(Buffer.concat([packet, new Uint8Array(1)]))).toEqual(UNREAD);
  });

  test.each([
    ['IPv6 explicit null above IPv4', 2, frame().ip4().build()],
    ['IPv4 explicit null above IPv6', 0, frame().ip6().build()],
  ] as const)('when the last label contradicts it: %s (RFC 3032 §2.1)', (_, label, packet) => {
    expect(fieldsOf(frame().eth().mpls(label).payload(packet).build())).toEqual(UNREAD);
    const l3 = label === 2 ? 'ip4' : 'ip6';
    expect(fieldsOf(frame().eth().mpls(label).mpls(77).payload(packet).build())).toMatchObject({ l3 });
    const agreeing = frame()
      .eth()
      .mpls(2 - label)
      .payload(packet)
      .build();
    expect(fieldsOf(agreeing)).toMatchObject({ l3 });
  });
});

test('IPv6 beneath a label stack may be padded to 64 bytes, the least that Ethernet sends with a tag', () => {
  const padded = (bytes: number) => fieldsOf(frame().eth().mpls(1000).ip6().padTo(bytes).build());
  expect(padded(60)).toEqual(packetBehind(1, IP6_ONLY));
  expect(padded(64)).toEqual(packetBehind(1, IP6_ONLY));
  expect(padded(65)).toEqual(UNREAD);
  expect(fieldsOf(frame().eth().mpls(1000).ip6({ payloadLength: 3 }).padTo(60).build())).toEqual(UNREAD);
  expect(fieldsOf(frame().eth().mpls(1000).ip6({ payloadLength: 2 }).padTo(60).build())).toMatchObject({ l3: 'ip6' });
});

test('the header checksum beneath a label stack is the Internet checksum, whatever the header’s words', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 20, maxLength: 60 }),
      // Words of all zeros and all ones are where carries go wrong.
      fc.constantFrom(null, 0, 0xff),
      fc.boolean(),
      (bytes, fill, isRight) => {
        const words = bytes.length >> 2;
        const header = bytes.slice(0, words * 4);
        if (fill !== null) header.fill(fill, 12);
        header.set(numbers([1, 0x40 | words], [1, bytes[1]!], [2, words * 4]), 0);
        header.set([0, 0], 10);
        header.set(numbers([2, (internetChecksum(header) + (isRight ? 0 : 1)) & 0xffff]), 10);
        const { l3 } = fieldsOf(frame().eth().mpls(1000).payload(header).build());
        expect(l3).toBe(isRight ? 'ip4' : null);
      },
    ),
  );
});

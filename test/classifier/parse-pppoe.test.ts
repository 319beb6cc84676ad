import { describe, expect, test } from 'vitest';
import { type FrameBuilder, frame } from '../../pcaps/build.ts';
import { type Fields, fieldsOf, IP4_ONLY, IP6_ONLY, NOTHING } from '../support/parse-frame.ts';

/** What the builder's packet says in a PPPoE session: 8 bytes further on. */
function inSession(fields: Fields): Fields {
  return { ...fields, etherType: 0x8864, networkAt: 22, l3At: 22, l4At: fields.l4At + 8 };
}
const UNREAD: Fields = { ...NOTHING, etherType: 0x8864 };
const problemOf = (builder: FrameBuilder) => fieldsOf(builder.build()).problem;

describe('a PPPoE session', () => {
  test('carries IPv4 and IPv6, in whatever session', () => {
    expect(fieldsOf(frame().eth().pppoe({ session: 0xffff }).ip4().build())).toEqual(inSession(IP4_ONLY));
    expect(fieldsOf(frame().eth().pppoe().ip6().build())).toEqual(inSession(IP6_ONLY));
  });

  test('behind tags carries the same', () => {
    const bytes = frame().eth().vlan(7).pppoe().ip4().udp(514, 515).payload('log').build();
    expect(fieldsOf(bytes)).toMatchObject({ tags: [7], etherType: 0x8864, networkAt: 26, l3At: 26, dstPort: 515 });
  });

  test.each([
    ['LCP', 0xc021],
    ['IPCP', 0x8021],
    ['MPLS', 0x0281],
    ['IPv4 in a number compressed to one byte', 0x2145],
    ['a number beside IPv4', 0x0020],
    ['a number beside IPv6', 0x0056],
  ])('with %s (PPP protocol %i) is not read further', (_, protocol) => {
    expect(fieldsOf(frame().eth().pppoe({ protocol }).ip4().udp(1, 2).build())).toEqual(UNREAD);
  });

  test('ends where its length says, so that padding is no payload', () => {
    const offload = frame().eth().pppoe().ip4({ totalLength: 0 }).udp(1, 2).payload('abc').padTo(80).build();
    expect(fieldsOf(offload)).toMatchObject({ problem: null, payloadLength: 3, payloadCaptured: 3 });
    const six = frame().eth().pppoe().ip6({ payloadLength: 0 }).udp(1, 2).payload('abc').padTo(99).build();
    expect(fieldsOf(six)).toMatchObject({ problem: null, payloadLength: 3, payloadCaptured: 3 });
  });

  test('whose length ends within its packet is truncated, though the bytes follow', () => {
    const bytes = (length: number) => frame().eth().pppoe({ length }).ip4().udp(1, 2).payload('abc');
    expect(problemOf(bytes(2 + 31))).toBeNull();
    expect(fieldsOf(bytes(2 + 30).build())).toMatchObject({
      problem: 'truncated',
      srcPort: 1,
      payloadLength: 3,
      payloadCaptured: 2,
    });
    // The transport header itself lies beyond.
    expect(fieldsOf(bytes(2 + 23).build())).toMatchObject({ problem: 'truncated', srcPort: -1, l4At: 42 });
    expect(fieldsOf(bytes(2 + 19).build())).toMatchObject({ problem: 'truncated', l3: 'ip4', proto: -1 });
    expect(problemOf(frame().eth().pppoe({ length: 2 }).ip6())).toBe('truncated');
  });

  test('whose length ends beyond the frame is truncated, whatever it carries', () => {
    const bytes = (length: number) => frame().eth().pppoe({ length }).ip4().udp(1, 2).payload('abc');
    expect(fieldsOf(bytes(2 + 32).build())).toMatchObject({ problem: 'truncated', srcPort: 1, payloadLength: 3 });
    expect(problemOf(frame().eth().pppoe({ protocol: 0xc021, length: 6 }).payload('abc'))).toBe('truncated');
    expect(problemOf(frame().eth().pppoe({ protocol: 0xc021, length: 5 }).payload('abc'))).toBeNull();
    // What is wrong within comes first.
    expect(problemOf(frame().eth().pppoe({ length: 999 }).ip4({ version: 5 }))).toBe('malformed');
  });

  test('whose length has no room for the PPP protocol number is malformed', () => {
    const withLength = (length: number) => fieldsOf(frame().eth().pppoe({ length }).ip4().build());
    expect(withLength(0)).toEqual({ ...UNREAD, problem: 'malformed' });
    expect(withLength(1)).toEqual({ ...UNREAD, problem: 'malformed' });
  });

  test.each([{ version: 0 }, { version: 2 }, { type: 0 }, { type: 2 }, { code: 1 }, { code: 0x09 }])(
    'with %o contradicts itself (RFC 2516 §4, §6) and is malformed',
    (lie) => {
      expect(fieldsOf(frame().eth().pppoe(lie).ip4().build())).toEqual({ ...UNREAD, problem: 'malformed' });
    },
  );

  test('carries a packet that must be of the version that PPP says', () => {
    expect(problemOf(frame().eth().pppoe({ protocol: 0x0021 }).ip6())).toBe('malformed');
    expect(problemOf(frame().eth().pppoe({ protocol: 0x0057 }).ip4().payload(new Uint8Array(40)))).toBe('malformed');
  });

  test('whose header the frame does not hold is truncated', () => {
    const whole = frame().eth().pppoe().ip4().build();
    for (let length = 14; length < 22; length++) {
      expect(fieldsOf(whole.subarray(0, length))).toEqual({ ...UNREAD, problem: 'truncated' });
      expect(fieldsOf(whole.subarray(0, length), whole.length)).toEqual({ ...UNREAD, problem: 'truncated' });
    }
    expect(fieldsOf(whole.subarray(0, 22), whole.length)).toMatchObject({ problem: 'truncated', l3: 'ip4', l3At: 22 });
  });

  test('that a capture has cut is no problem while its headers are there', () => {
    const whole = frame().eth().pppoe().ip4().udp(1, 2).payload('hello').build();
    expect(fieldsOf(whole.subarray(0, 52), whole.length)).toMatchObject({
      problem: null,
      payloadLength: 5,
      payloadCaptured: 2,
    });
  });
});

test('PPPoE discovery (type 0x8863) is not read further', () => {
  const bytes = frame()
    .eth({ type: 0x8863 })
    .payload(Uint8Array.of(0x11, 0x09, 0, 0, 0, 4, 1, 1, 0, 0))
    .build();
  expect(fieldsOf(bytes)).toEqual({ ...NOTHING, etherType: 0x8863 });
});

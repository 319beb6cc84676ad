import { describe, expect, test } from 'vitest';
import { type FrameBuilder, frame } from '../../pcaps/build.ts';
import { concat, numbers } from '../../pcaps/build-bytes.ts';
import { fieldsOf, IP6_ONLY } from '../support/parse-frame.ts';

/** What a UDP datagram of the builder says behind `before` bytes of extension headers. */
function datagramBehind(before: number, firstHeader = 17) {
  return {
    ...IP6_ONLY,
    nextHeader: firstHeader,
    proto: 17,
    l4: 'udp',
    l4At: 54 + before,
    srcPort: 546,
    dstPort: 547,
    udpLength: 11,
    payloadAt: 62 + before,
    payloadLength: 3,
    payloadCaptured: 3,
  };
}
const udp = (builder: FrameBuilder) => builder.udp(546, 547).payload('abc').build();

describe('an IPv6 packet', () => {
  test('has addresses of 128 bits', () => {
    const bytes = frame()
      .eth()
      .ip6({ src: 'f001:203:405:607:f809:a0b:c0d:e0f', dst: '8111:2131:8151:6171:8191:a1b1:8cd1:e1f1' })
      .udp(546, 547)
      .payload('abc')
      .build();
    expect(fieldsOf(bytes)).toEqual({
      ...datagramBehind(0),
      src: 'f001:203:405:607:f809:a0b:c0d:e0f',
      dst: '8111:2131:8151:6171:8191:a1b1:8cd1:e1f1',
    });
  });

  test('without a next header says so', () => {
    expect(fieldsOf(frame().eth().ip6({ next: 59 }).build())).toEqual({ ...IP6_ONLY, proto: 59, nextHeader: 59 });
  });

  test.each([0, 4, 5, 7, 15])('of version %i is malformed', (version) => {
    const bytes = frame().eth().ip6({ version }).udp(1, 2).build();
    expect(fieldsOf(bytes)).toEqual({
      ...IP6_ONLY,
      problem: 'malformed',
      src: '::',
      dst: '::',
      proto: -1,
      nextHeader: -1,
      l4At: -1,
    });
  });

  test('whose header the frame does not hold is truncated and says nothing', () => {
    const bytes = frame().eth().ip6().build();
    const cut = { ...IP6_ONLY, problem: 'truncated', src: '::', dst: '::', proto: -1, nextHeader: -1, l4At: -1 };
    expect(fieldsOf(bytes.subarray(0, 53))).toEqual(cut);
    expect(fieldsOf(bytes.subarray(0, 14))).toEqual(cut);
    expect(fieldsOf(bytes)).toEqual(IP6_ONLY);
  });

  test('longer than the frame is truncated, and says what it can', () => {
    const bytes = frame().eth().ip6({ payloadLength: 12 }).udp(546, 547, { length: 12 }).payload('abc').build();
    expect(fieldsOf(bytes)).toEqual({ ...datagramBehind(0), problem: 'truncated', udpLength: 12, payloadLength: 4 });
  });

  test('ends by its payload length, so that padding is no payload', () => {
    const bytes = udp(frame().eth().ip6().hopopts());
    expect(fieldsOf(Buffer.concat([bytes, new Uint8Array(9)]))).toEqual(fieldsOf(bytes));
  });

  test('of payload length 0 is as long as the frame (segmentation offload)', () => {
    const bytes = frame().eth().ip6({ payloadLength: 0 }).tcp(80, 81).payload(new Uint8Array(70_000)).build();
    expect(fieldsOf(bytes)).toMatchObject({ problem: null, payloadLength: 70_000 });
    expect(fieldsOf(bytes.subarray(0, 80), bytes.length)).toMatchObject({
      problem: null,
      payloadLength: 70_000,
      payloadCaptured: 6,
    });
  });
});

describe('an IPv6 header chain', () => {
  test.each([
    ['hop-by-hop options', () => frame().eth().ip6().hopopts(), 8, 0],
    [
      'longer options',
      () =>
        frame()
          .eth()
          .ip6()
          .dstopts({ options: new Uint8Array(20) }),
      24,
      60,
    ],
    [
      'a routing header',
      () =>
        frame()
          .eth()
          .ip6()
          .routing({ type: 4, addresses: ['2001:db8::9'] }),
      24,
      43,
    ],
    ['an authentication header', () => frame().eth().ip6().ah({ icvLength: 12 }), 24, 51],
    ['a long authentication header', () => frame().eth().ip6().ah({ icvLength: 32 }), 44, 51],
    ['options and a routing header', () => frame().eth().ip6().dstopts().routing(), 16, 60],
    ['all of them', () => frame().eth().ip6().hopopts().dstopts().routing().ah().dstopts(), 56, 0],
  ] as const)('of %s is walked', (_, build, size, firstHeader) => {
    expect(fieldsOf(udp(build()))).toEqual(datagramBehind(size, firstHeader));
  });

  test('may have its headers in any order and any number of times', () => {
    const bytes = udp(frame().eth().ip6().dstopts().hopopts().ah().hopopts().routing().dstopts());
    expect(fieldsOf(bytes)).toEqual(datagramBehind(8 + 8 + 24 + 8 + 8 + 8, 60));
  });

  test('ends at the first header that is no extension', () => {
    for (const proto of [50, 59, 135, 139, 140, 253, 4, 41]) {
      const bytes = frame().eth().ip6().hopopts({ next: proto }).payload(new Uint8Array(16)).build();
      expect(fieldsOf(bytes)).toEqual({ ...IP6_ONLY, nextHeader: 0, proto, l4At: 62 });
    }
  });

  test('of 128 headers is followed, of 129 it is too many', () => {
    const chain = (count: number) => {
      const builder = frame().eth().ip6();
      for (let i = 0; i < count; i++) builder.dstopts();
      return udp(builder);
    };
    expect(fieldsOf(chain(128))).toEqual(datagramBehind(1024, 60));
    expect(fieldsOf(chain(129))).toEqual({
      ...IP6_ONLY,
      problem: 'too-many-headers',
      nextHeader: 60,
      proto: 60,
      l4At: -1,
    });
  });

  test('that ends beyond the packet is truncated, though the frame has padding', () => {
    const bytes = frame().eth().ip6().hopopts({ headerLength: 1 }).payload('1234567').padTo(90).build();
    expect(fieldsOf(bytes)).toMatchObject({ problem: 'truncated', l4: null, proto: 253 });
    const fits = frame().eth().ip6().hopopts({ headerLength: 1 }).payload('12345678').padTo(90).build();
    expect(fieldsOf(fits)).toMatchObject({ problem: null, proto: 253 });
  });

  test('with less than 8 bytes left in the packet is truncated, though the frame has padding', () => {
    const bytes = frame().eth().ip6({ next: 60 }).payload('1234567').padTo(80).build();
    expect(fieldsOf(bytes)).toEqual({ ...IP6_ONLY, problem: 'truncated', proto: 60, nextHeader: 60, l4At: -1 });
    const fits = frame()
      .eth()
      .ip6({ next: 60 })
      .payload(numbers([1, 253], [7, 0]))
      .padTo(80)
      .build();
    expect(fieldsOf(fits)).toEqual({ ...IP6_ONLY, proto: 253, nextHeader: 60, l4At: 62 });
  });

  test('that a capture has cut is truncated', () => {
    const whole = udp(frame().eth().ip6().hopopts().dstopts());
    const cut = (length: number) => fieldsOf(whole.subarray(0, length), whole.length);
    expect(cut(61)).toEqual({ ...IP6_ONLY, problem: 'truncated', nextHeader: 0, proto: 0, l4At: -1 });
    expect(cut(62)).toEqual({ ...IP6_ONLY, problem: 'truncated', nextHeader: 0, proto: 60, l4At: -1 });
    expect(cut(69)).toEqual({ ...IP6_ONLY, problem: 'truncated', nextHeader: 0, proto: 60, l4At: -1 });
    expect(cut(70)).toMatchObject({ problem: 'truncated', proto: 17, l4: 'udp', l4At: 70 });
    const long = udp(
      frame()
        .eth()
        .ip6()
        .dstopts({ options: new Uint8Array(20) }),
    );
    expect(fieldsOf(long.subarray(0, 77), long.length)).toEqual({
      ...IP6_ONLY,
      problem: 'truncated',
      nextHeader: 60,
      proto: 17,
      l4At: -1,
    });
    expect(fieldsOf(long.subarray(0, 78), long.length)).toMatchObject({ problem: 'truncated', l4: 'udp', l4At: 78 });
  });

  test('of a packet that ends with it has nothing behind it', () => {
    expect(fieldsOf(frame().eth().ip6().dstopts().build())).toEqual({ ...IP6_ONLY, nextHeader: 60, l4At: 62 });
    expect(fieldsOf(frame().eth().ip6().dstopts({ next: 17 }).build())).toMatchObject({
      problem: 'malformed',
      l4: 'udp',
    });
  });
});

describe('an IPv6 fragment', () => {
  const first = (id: number) => frame().eth().ip6().fragment({ more: true, id });

  test('that is the first has the rest of the chain and a transport header', () => {
    const bytes = first(0xfedcba98).dstopts().udp(546, 547, { length: 2000 }).payload('12345678').build();
    expect(fieldsOf(bytes)).toEqual({
      ...datagramBehind(16, 44),
      udpLength: 2000,
      payloadLength: 8,
      payloadCaptured: 8,
      fragOffset: 0,
      moreFrags: 1,
      isFragment: 1,
      fragId: 0xfedcba98,
      // All behind the fragment header: the rest of the chain too.
      fragLength: 24,
    });
  });

  test('in the middle has no transport header, whatever its bytes look like', () => {
    const bytes = frame().eth().ip6().hopopts().fragment({ offset: 0x8000, more: true, id: 7 }).udp(1, 2).build();
    expect(fieldsOf(bytes)).toEqual({
      ...IP6_ONLY,
      nextHeader: 0,
      proto: 17,
      fragOffset: 0x8000,
      moreFrags: 1,
      isFragment: 1,
      fragId: 7,
      fragLength: 8,
      l4At: -1,
    });
  });

  test('that is the last may end anywhere', () => {
    const bytes = frame().eth().ip6().fragment({ offset: 8, id: 7, next: 17 }).payload('odd').build();
    expect(fieldsOf(bytes)).toEqual({
      ...IP6_ONLY,
      nextHeader: 44,
      proto: 17,
      fragOffset: 8,
      isFragment: 1,
      fragId: 7,
      fragLength: 3,
      l4At: -1,
    });
  });

  test('that is later is not searched for more headers', () => {
    const bytes = frame().eth().ip6().fragment({ offset: 8, next: 60 }).payload(new Uint8Array(8).fill(0xff)).build();
    expect(fieldsOf(bytes)).toMatchObject({ problem: null, proto: 60, fragLength: 8 });
  });

  test('keeps the reserved bits out of its offset', () => {
    const bytes = frame().eth().ip6().fragment({ offset: 8, id: 7, next: 17 }).payload('odd').build();
    bytes[14 + 40 + 3]! |= 6;
    expect(fieldsOf(bytes)).toMatchObject({ problem: null, fragOffset: 8, moreFrags: 0 });
  });

  test('that is the whole packet is not one (RFC 6946)', () => {
    const bytes = udp(frame().eth().ip6().fragment({ id: 9 }));
    expect(fieldsOf(bytes)).toEqual({ ...datagramBehind(8, 44), fragOffset: 0, fragId: 9 });
    const wrong = frame().eth().ip6().fragment({ id: 9 }).udp(1, 2, { length: 9 }).build();
    expect(fieldsOf(wrong).problem).toBe('malformed');
  });

  test('within an atomic one is still read, within a real one it is malformed', () => {
    const inAtomic = udp(frame().eth().ip6().fragment({ id: 1 }).fragment({ id: 2 }));
    expect(fieldsOf(inAtomic)).toEqual({ ...datagramBehind(16, 44), fragOffset: 0, fragId: 2 });
    const inFirst = first(1).fragment({ offset: 8, id: 2 }).udp(1, 2).payload('12345678').build();
    expect(fieldsOf(inFirst)).toEqual({
      ...IP6_ONLY,
      problem: 'malformed',
      nextHeader: 44,
      proto: 17,
      fragOffset: 0,
      moreFrags: 1,
      isFragment: 1,
      fragId: 1,
      l4At: -1,
    });
  });

  test('without a whole transport header has no transport header', () => {
    const bytes = first(1).payload(new Uint8Array(16)).build();
    bytes[14 + 40] = 6;
    expect(fieldsOf(bytes)).toMatchObject({ problem: 'fragment-no-l4', l4: 'tcp' });
  });

  test('whose header chain ends in a later one has no transport header (RFC 7112 §3)', () => {
    const cutWithinOptions = first(1).dstopts({ headerLength: 3 }).payload(new Uint8Array(8)).build();
    expect(fieldsOf(cutWithinOptions)).toMatchObject({ problem: 'fragment-no-l4', l4: null });
  });

  test('that ends with its header chain, while more follows, has no transport header (RFC 7112 §3)', () => {
    const bytes = first(1)
      .payload(numbers([1, 60], [7, 0]))
      .build();
    bytes[54] = 60;
    expect(fieldsOf(bytes)).toMatchObject({ problem: 'fragment-no-l4', l4: null });
  });

  test('that ends past 65,535 bytes, is empty, or ends off an 8-byte boundary is malformed', () => {
    const build = (offset: number, more: boolean, size: number) =>
      fieldsOf(frame().eth().ip6().fragment({ offset, more, next: 17 }).payload(new Uint8Array(size)).build()).problem;
    expect(build(0xfff8, false, 7)).toBeNull();
    expect(build(0xfff8, false, 8)).toBe('malformed');
    expect(build(0xffe8, true, 16)).toBeNull();
    expect(build(8, false, 0)).toBe('malformed');
    expect(build(8, true, 12)).toBe('malformed');
    expect(build(8, true, 16)).toBeNull();
  });
});

describe('a jumbogram (RFC 2675)', () => {
  const JUMBO = (length: number) => numbers([1, 0xc2], [1, 4], [4, length]);

  /** @param size bytes of UDP payload @param tell what the jumbo option says beyond the truth */
  function jumbo(size: number, options = JUMBO(8 + 8 + size), udpLength = 0): Uint8Array {
    return frame()
      .eth()
      .ip6({ payloadLength: 0 })
      .hopopts({ options })
      .udp(546, 547, { length: udpLength })
      .payload(new Uint8Array(size))
      .build();
  }
  const fields = {
    ...datagramBehind(8, 0),
    udpLength: 0,
    payloadLength: 65_528,
    payloadCaptured: 65_528,
  };

  test('is as long as its option says, and its UDP length may be 0', () => {
    expect(fieldsOf(jumbo(65_528))).toEqual(fields);
    const padded = Buffer.concat([jumbo(65_528), new Uint8Array(30)]);
    expect(fieldsOf(padded)).toEqual(fields);
  });

  test('with a UDP datagram of 65,535 bytes or less may not have a UDP length of 0', () => {
    // 8 bytes of options leave 65,528 for UDP in the smallest jumbogram.
    expect(fieldsOf(jumbo(65_520))).toMatchObject({ problem: 'malformed', udpLength: 0, payloadLength: 65_520 });
    expect(fieldsOf(jumbo(65_520, undefined, 65_528))).toMatchObject({ problem: null, udpLength: 65_528 });
    expect(fieldsOf(jumbo(65_527)).problem).toBe('malformed');
    expect(fieldsOf(jumbo(65_528, undefined, 7)).problem).toBe('malformed');
  });

  test('that the frame does not hold is truncated', () => {
    expect(fieldsOf(jumbo(65_528, JUMBO(65_545)))).toMatchObject({ problem: 'truncated', payloadLength: 65_529 });
    const whole = jumbo(65_528);
    expect(fieldsOf(whole.subarray(0, 200), whole.length)).toEqual({ ...fields, payloadCaptured: 130 });
  });

  test('may have its option behind padding and other options', () => {
    for (const before of [
      [0],
      [0, 0, 0],
      [0, 0, 0, 0],
      [1, 2, 0, 0],
      [5, 2, 0, 0],
      [1, 0, 0, 1, 0],
      [0x1e, 3, 0xc2, 4, 0],
    ]) {
      const options = concat(Uint8Array.from(before), JUMBO(65_560 + 8));
      const bytes = Buffer.concat([jumbo(65_544, options), new Uint8Array(30)]);
      expect(fieldsOf(bytes)).toMatchObject({ problem: null, payloadLength: 65_544, l4At: 54 + 16 });
    }
  });

  /** What a packet with payload length 0 and these options is taken to be: null if it is as long as the frame. */
  function lengthWith(options: readonly number[]): number {
    const bytes = frame()
      .eth()
      .ip6({ payloadLength: 0 })
      .hopopts({ options: Uint8Array.from(options) })
      .tcp(1, 2)
      .payload(new Uint8Array(66_000))
      .build();
    return fieldsOf(bytes).payloadLength;
  }

  test('without a valid option is as long as the frame', () => {
    expect(lengthWith([])).toBe(66_000);
    // 0x00010000 is 65,536: the least there may be.
    expect(lengthWith([0xc2, 4, 0, 1, 0, 0])).toBe(65_536 - 8 - 20);
    expect(lengthWith([0xc2, 4, 0, 0, 0xff, 0xff])).toBe(66_000);
    expect(lengthWith([0xc2, 4, 0xff, 0xff, 0xff, 0xff])).toBe(66_000);
    expect(lengthWith([0xc2, 3, 0, 1, 0, 0])).toBe(66_000);
    expect(lengthWith([0xc2, 5, 0, 1, 0, 0])).toBe(66_000);
    expect(lengthWith([0xc3, 4, 0, 1, 0, 0])).toBe(66_000);
  });

  test('takes no option that lies beyond its header', () => {
    // The option would begin within the header and end behind it.
    expect(lengthWith([0, 0, 0xc2, 4, 0, 1])).toBe(66_000);
    expect(lengthWith([0, 0, 0, 0, 0, 0xc2])).toBe(66_000);
    expect(lengthWith([0, 0, 0, 0, 0xc2, 4])).toBe(66_000);
    // An option that is longer than its header hides the next header's bytes too.
    expect(lengthWith([1, 200, 0, 0, 0, 0])).toBe(66_000);
    // The option of another header than hop-by-hop does not count, nor where the payload length is told.
    const inDestination = frame()
      .eth()
      .ip6({ payloadLength: 0 })
      .dstopts({ options: JUMBO(65_544) })
      .tcp(1, 2)
      .payload(new Uint8Array(66_000))
      .build();
    expect(fieldsOf(inDestination).payloadLength).toBe(66_000);
    const told = frame()
      .eth()
      .ip6()
      .hopopts({ options: JUMBO(70_000) })
      .tcp(1, 2)
      .payload('abc')
      .build();
    expect(fieldsOf(told)).toMatchObject({ problem: null, payloadLength: 3 });
  });

  test('cut within its option is truncated', () => {
    const whole = jumbo(65_528);
    for (let length = 54; length < 62; length++) {
      expect(fieldsOf(whole.subarray(0, length), whole.length)).toMatchObject({ problem: 'truncated', proto: 0 });
    }
  });

  test('of 2^31 - 1 bytes is truncated, with numbers that stay 32 bits wide', () => {
    expect(fieldsOf(jumbo(20, JUMBO(0x7fff_ffff)))).toMatchObject({
      problem: 'truncated',
      payloadLength: 0x7fff_ffff - 16,
      payloadCaptured: 20,
    });
  });
});

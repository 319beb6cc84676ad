import { describe, expect, test } from 'vitest';
import { type FrameBuilder, frame } from '../../pcaps/build.ts';
import { numbers } from '../../pcaps/build-bytes.ts';
import { type Fields, fieldsOf, IP4_ONLY, IP6_ONLY } from '../support/parse-frame.ts';

/** Both IP versions, with what the builder's packet says before its transport header. */
const VERSIONS: readonly (readonly [string, () => FrameBuilder, (proto: number) => Fields, number])[] = [
  ['IPv4', () => frame().eth().ip4(), (proto) => ({ ...IP4_ONLY, proto }), 34],
  ['IPv6', () => frame().eth().ip6(), (proto) => ({ ...IP6_ONLY, proto, nextHeader: proto }), 54],
];

describe.each(VERSIONS)('over %s', (_, ip, fieldsOfIp, at) => {
  /** Cuts the transport header to `bytes` on the wire: the IP length says so too. */
  function shortened(protocol: number, header: Uint8Array, bytes: number): Uint8Array {
    const builder = frame().eth();
    const inner = at === 34 ? builder.ip4({ proto: protocol }) : builder.ip6({ next: protocol });
    return inner.payload(header.subarray(0, bytes)).build();
  }

  describe('a TCP segment', () => {
    const build = (flags: number, options = new Uint8Array(0)) =>
      ip().tcp(0xf001, 0x8002, { seq: 0xfedcba98, ack: 0x89abcdef, flags, options }).payload('hello').build();
    const fields = {
      ...fieldsOfIp(6),
      l4: 'tcp',
      l4At: at,
      srcPort: 0xf001,
      dstPort: 0x8002,
      tcpFlags: 0x012,
      tcpSeq: 0xfedcba98,
      tcpAck: 0x89abcdef,
      payloadAt: at + 20,
      payloadLength: 5,
      payloadCaptured: 5,
    };

    test('has ports, numbers, flags and a payload', () => {
      expect(fieldsOf(build(0x012))).toEqual(fields);
    });

    test.each([0xfff, 0x800, 0x100, 0x0ff, 0x001, 0])('has twelve flag bits: %i', (flags) => {
      expect(fieldsOf(build(flags))).toEqual({ ...fields, tcpFlags: flags });
    });

    test.each([4, 12, 40])('with %i bytes of options has its payload behind them', (size) => {
      expect(fieldsOf(build(0x012, new Uint8Array(size).fill(1)))).toEqual({ ...fields, payloadAt: at + 20 + size });
    });

    test.each([0, 1, 4])('whose data offset is %i words is malformed and has no flags', (headerLength) => {
      const bytes = ip().tcp(0xf001, 0x8002, { seq: 7, ack: 8, headerLength }).payload('hello').build();
      expect(fieldsOf(bytes)).toEqual({
        ...fields,
        problem: 'malformed',
        tcpSeq: 7,
        tcpAck: 8,
        tcpFlags: -1,
        payloadAt: -1,
        payloadLength: -1,
        payloadCaptured: 0,
      });
    });

    test('whose data offset lies beyond the packet is malformed, though the frame has padding', () => {
      const bytes = ip().tcp(0xf001, 0x8002, { flags: 2, headerLength: 7 }).payload('hello').padTo(120).build();
      expect(fieldsOf(bytes)).toMatchObject({ problem: 'malformed', tcpFlags: 2, payloadAt: -1, payloadLength: -1 });
      const fits = ip().tcp(0xf001, 0x8002, { flags: 2, headerLength: 6 }).payload('1234').build();
      expect(fieldsOf(fits)).toMatchObject({ problem: null, payloadAt: at + 24, payloadLength: 0 });
    });

    test('whose options a capture has cut is truncated', () => {
      const whole = build(0x012, new Uint8Array(12).fill(1));
      const cut = { ...fields, payloadAt: at + 32 };
      expect(fieldsOf(whole.subarray(0, at + 31), whole.length)).toEqual({
        ...cut,
        problem: 'truncated',
        payloadCaptured: 0,
      });
      expect(fieldsOf(whole.subarray(0, at + 32), whole.length)).toEqual({ ...cut, payloadCaptured: 0 });
      expect(fieldsOf(whole.subarray(0, at + 34), whole.length)).toEqual({ ...cut, payloadCaptured: 2 });
    });

    test('that a capture has cut after its flags still shows them, before them its ports only', () => {
      const whole = build(0x012);
      const cut = { ...fields, problem: 'truncated', payloadAt: -1, payloadLength: -1, payloadCaptured: 0 };
      expect(fieldsOf(whole.subarray(0, at + 19), whole.length)).toEqual(cut);
      expect(fieldsOf(whole.subarray(0, at + 14), whole.length)).toEqual(cut);
      const shorter = { ...cut, tcpFlags: -1, tcpSeq: 0, tcpAck: 0 };
      expect(fieldsOf(whole.subarray(0, at + 13), whole.length)).toEqual(shorter);
      expect(fieldsOf(whole.subarray(0, at + 4), whole.length)).toEqual(shorter);
      const portless = { ...shorter, srcPort: -1, dstPort: -1 };
      expect(fieldsOf(whole.subarray(0, at + 3), whole.length)).toEqual(portless);
      expect(fieldsOf(whole.subarray(0, at), whole.length)).toEqual(portless);
    });

    test('of a packet that has no room for it is malformed, though the frame has padding', () => {
      const segment = build(0x012).subarray(at);
      // An IPv6 payload length of 0 would say 'as long as the frame'.
      for (const size of at === 34 ? [0, 3, 19] : [3, 19]) {
        const bytes = shortened(6, segment, size);
        expect(fieldsOf(Buffer.concat([bytes, new Uint8Array(40)]))).toMatchObject({
          problem: 'malformed',
          l4: 'tcp',
          srcPort: size < 4 ? -1 : 0xf001,
          tcpFlags: size < 14 ? -1 : 0x012,
          payloadLength: -1,
        });
      }
      expect(fieldsOf(shortened(6, segment, 20))).toMatchObject({ problem: null, payloadLength: 0 });
    });
  });

  describe('a UDP datagram', () => {
    const build = (length?: number) =>
      ip()
        .udp(0xf001, 0x8002, length === undefined ? {} : { length })
        .payload('hello')
        .build();
    const fields = {
      ...fieldsOfIp(17),
      l4: 'udp',
      l4At: at,
      srcPort: 0xf001,
      dstPort: 0x8002,
      udpLength: 13,
      payloadAt: at + 8,
      payloadLength: 5,
      payloadCaptured: 5,
    };

    test('has ports, a length and a payload', () => {
      expect(fieldsOf(build())).toEqual(fields);
    });

    test('shorter than its IP packet is right, and its payload is as long as the packet', () => {
      expect(fieldsOf(build(8))).toEqual({ ...fields, udpLength: 8 });
    });

    test.each([0, 1, 7, 14, 0xffff])('of length %i in a packet of 13 bytes is malformed', (length) => {
      expect(fieldsOf(build(length))).toEqual({ ...fields, problem: 'malformed', udpLength: length });
    });

    test('that a capture has cut within its header is truncated, and has ports', () => {
      const whole = build();
      expect(fieldsOf(whole.subarray(0, at + 7), whole.length)).toMatchObject({
        problem: 'truncated',
        srcPort: 0xf001,
        udpLength: -1,
        payloadLength: -1,
      });
      expect(fieldsOf(whole.subarray(0, at + 8), whole.length)).toEqual({ ...fields, payloadCaptured: 0 });
    });
  });

  test('a UDP-Lite datagram has ports; its third field is no length', () => {
    const bytes = ip().udplite(9, 10, { coverage: 8 }).payload('hello').build();
    const fields = {
      ...fieldsOfIp(136),
      l4: 'udplite',
      l4At: at,
      srcPort: 9,
      dstPort: 10,
      payloadAt: at + 8,
      payloadLength: 5,
      payloadCaptured: 5,
    };
    expect(fieldsOf(bytes)).toEqual(fields);
    expect(fieldsOf(ip().udplite(9, 10).payload('hello').build())).toEqual(fields);
  });

  test('an SCTP packet has ports and chunks as payload', () => {
    expect(fieldsOf(ip().sctp(36412, 2905).payload(new Uint8Array(16)).build())).toEqual({
      ...fieldsOfIp(132),
      l4: 'sctp',
      l4At: at,
      srcPort: 36412,
      dstPort: 2905,
      payloadAt: at + 12,
      payloadLength: 16,
      payloadCaptured: 16,
    });
  });

  describe('a DCCP packet', () => {
    const fields = { ...fieldsOfIp(33), l4: 'dccp', l4At: at, srcPort: 5001, dstPort: 5002 };

    test('has ports and a header as long as it says', () => {
      expect(fieldsOf(ip().dccp(5001, 5002).payload('hello').build())).toEqual({
        ...fields,
        payloadAt: at + 16,
        payloadLength: 5,
        payloadCaptured: 5,
      });
    });

    test.each([
      [0, 'malformed', -1],
      [2, 'malformed', -1],
      [3, null, 9],
      [5, null, 1],
      [6, 'malformed', -1],
      [255, 'malformed', -1],
    ] as const)('with a data offset of %i words is %s', (words, problem, payloadLength) => {
      const bytes = ip().dccp(5001, 5002).payload('hello').padTo(100).build();
      bytes[at + 4] = words;
      expect(fieldsOf(bytes)).toEqual({
        ...fields,
        problem,
        payloadLength,
        payloadAt: payloadLength < 0 ? -1 : at + words * 4,
        payloadCaptured: Math.max(0, payloadLength),
      });
    });

    test('whose options a capture has cut is truncated', () => {
      const whole = ip().dccp(5001, 5002).payload('hello').build();
      expect(fieldsOf(whole.subarray(0, at + 15), whole.length)).toMatchObject({
        problem: 'truncated',
        payloadLength: 5,
        payloadCaptured: 0,
      });
    });
  });

  test.each([
    ['UDP', 17, 8],
    ['UDP-Lite', 136, 8],
    ['SCTP', 132, 12],
    ['DCCP', 33, 12],
  ])('a %s header needs its least bytes and shows its ports before', (_name, protocol, least) => {
    const header = numbers([2, 7], [2, 8], [1, 0], [1, 8], [2, 0], [4, 0]).slice(0, least);
    if (protocol === 33) header[4] = 3;
    const build = (bytes: number) => shortened(protocol, header, bytes);
    expect(fieldsOf(build(least)).problem).toBeNull();
    expect(fieldsOf(build(least - 1))).toMatchObject({
      problem: 'malformed',
      srcPort: 7,
      dstPort: 8,
      payloadLength: -1,
    });
    const whole = build(least);
    expect(fieldsOf(whole.subarray(0, -1), whole.length)).toMatchObject({ problem: 'truncated', srcPort: 7 });
    expect(fieldsOf(build(3))).toMatchObject({ problem: 'malformed', srcPort: -1, dstPort: -1 });
  });

  test.each([
    ['ICMP', 1, 8, at === 34],
    ['ICMPv6', 58, 4, at === 54],
    ['IGMP', 2, 8, at === 34],
  ] as const)('%s (protocol %i) is read where it belongs, from its first bytes', (name, protocol, least, belongs) => {
    const message = numbers([1, 200], [1, 201], [2, 0], [4, 0], [2, 0]);
    const bytes = shortened(protocol, message, 10);
    const fields = fieldsOfIp(protocol);
    if (!belongs) {
      expect(fieldsOf(bytes)).toEqual(fields);
      return;
    }
    const l4 = name.toLowerCase();
    expect(fieldsOf(bytes)).toEqual({
      ...fields,
      l4,
      l4At: at,
      icmpType: 200,
      icmpCode: name === 'IGMP' ? -1 : 201,
      payloadAt: at + least,
      payloadLength: 10 - least,
      payloadCaptured: 10 - least,
    });
    expect(fieldsOf(shortened(protocol, message, least))).toMatchObject({ problem: null, payloadLength: 0 });
    expect(fieldsOf(shortened(protocol, message, least - 1))).toEqual({
      ...fields,
      problem: 'malformed',
      l4,
      l4At: at,
    });
    const cut = bytes.subarray(0, at + least - 1);
    expect(fieldsOf(cut, bytes.length)).toEqual({ ...fields, problem: 'truncated', l4, l4At: at });
  });

  test('ESP ends what can be read', () => {
    expect(fieldsOf(ip().esp().payload(new Uint8Array(40)).build())).toEqual(fieldsOfIp(50));
    expect(
      fieldsOf(
        ip()
          .esp()
          .truncateTo(at + 2)
          .build(),
        at + 8,
      ),
    ).toEqual(fieldsOfIp(50));
  });

  test.each([4, 41, 47, 59, 89, 112, 135, 139, 140, 253, 255])('protocol %i is told and not read further', (proto) => {
    expect(fieldsOf(shortened(proto, new Uint8Array(24).fill(0xff), 24))).toEqual(fieldsOfIp(proto));
  });

  test('what an ICMP error quotes is not taken for the frame’s own', () => {
    const quoted = frame().ip4().tcp(80, 81).build();
    const isIp4 = at === 34;
    const bytes = (isIp4 ? ip().icmp({ type: 3, code: 1 }) : ip().icmpv6({ type: 1, code: 4 })).payload(quoted).build();
    expect(fieldsOf(bytes)).toMatchObject({ problem: null, srcPort: -1, tcpFlags: -1, icmpType: isIp4 ? 3 : 1 });
  });
});

test('AH in IPv4 stays protocol 51', () => {
  expect(fieldsOf(frame().eth().ip4().ah().tcp(80, 81).build())).toEqual({ ...IP4_ONLY, proto: 51 });
});

describe('a first fragment', () => {
  const first = (proto: number, bytes: Uint8Array) =>
    fieldsOf(frame().eth().ip4({ moreFrags: true, id: 3, proto }).payload(bytes).build());

  test.each([
    ['TCP', 6, 16],
    ['TCP', 6, 8],
    ['SCTP', 132, 8],
    ['DCCP', 33, 8],
  ] as const)('without a whole %s header (protocol %i, %i bytes) has no transport header', (_, proto, size) => {
    expect(first(proto, new Uint8Array(size).fill(0x80))).toMatchObject({
      problem: 'fragment-no-l4',
      srcPort: 0x8080,
      payloadLength: -1,
    });
  });

  test('with TCP options beyond it has no whole transport header', () => {
    const header = frame()
      .tcp(80, 81, { options: new Uint8Array(12) })
      .build();
    expect(first(6, header.subarray(0, 24))).toMatchObject({ problem: 'fragment-no-l4', tcpFlags: 16 });
    expect(first(6, header)).toMatchObject({ problem: null, payloadLength: 0 });
  });

  test('whose TCP data offset or DCCP data offset is impossible has no transport header', () => {
    expect(first(6, frame().tcp(80, 81, { headerLength: 4 }).payload('1234').build()).problem).toBe('fragment-no-l4');
    expect(first(33, new Uint8Array(16)).problem).toBe('fragment-no-l4');
  });

  test('that a capture has cut within its transport header has no whole one', () => {
    const bytes = frame().eth().ip4({ moreFrags: true, id: 3 }).tcp(80, 81).payload('1234').build();
    expect(fieldsOf(bytes.subarray(0, 50), bytes.length)).toMatchObject({ problem: 'fragment-no-l4', srcPort: 80 });
    // The frame itself was cut: that is the first problem found.
    expect(fieldsOf(bytes.subarray(0, 50)).problem).toBe('truncated');
  });

  test('of a protocol without ports that are read is no problem', () => {
    expect(first(50, new Uint8Array(8))).toMatchObject({ problem: null, l4: null });
    expect(first(1, new Uint8Array(8))).toMatchObject({ problem: null, l4: 'icmp', icmpType: 0 });
  });
});

describe('a UDP length in an offload frame', () => {
  test('is not judged', () => {
    const bytes = frame().eth().ip4({ totalLength: 0 }).udp(1, 2, { length: 9999 }).payload('x').build();
    expect(fieldsOf(bytes)).toMatchObject({ problem: null, udpLength: 9999, payloadLength: 1 });
    const six = frame().eth().ip6({ payloadLength: 0 }).udp(1, 2, { length: 0 }).payload('x').build();
    expect(fieldsOf(six)).toMatchObject({ problem: null, udpLength: 0, payloadLength: 1 });
  });
});

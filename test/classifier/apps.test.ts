import { describe, expect, it } from 'vitest';
import { RECOGNISERS } from '../../classifier/apps/index.ts';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { L3, L4, type L4Kind, Parsed } from '../../classifier/parsed.ts';

/** Bytes around the payload, which no recogniser may read: an access to the view there throws. */
const MARGIN = 7;

interface Shape {
  readonly l4?: L4Kind;
  readonly ports?: readonly [number, number];
  /** Bytes that the capture kept. */
  readonly captured?: number;
}

function ask(app: 'sip' | 'rtp', payload: string | readonly number[], shape: Shape = {}): number {
  const bytes = typeof payload === 'string' ? Array.from(payload, (char) => char.charCodeAt(0)) : payload;
  const captured = shape.captured ?? bytes.length;
  const memory = Uint8Array.from([...Array(MARGIN).fill(0xff), ...bytes.slice(0, captured)]);
  const p = new Parsed();
  p.l3 = L3.ip4;
  p.l4 = shape.l4 ?? L4.udp;
  [p.srcPort, p.dstPort] = shape.ports ?? [20000, 30000];
  p.udpLength = p.l4 === L4.udp ? bytes.length + 8 : -1;
  p.payloadOffset = MARGIN;
  p.payloadLength = bytes.length;
  p.payloadCaptured = captured;
  return RECOGNISERS[app](p, new DataView(memory.buffer));
}

const METHODS = 'INVITE ACK BYE CANCEL OPTIONS REGISTER PRACK SUBSCRIBE NOTIFY UPDATE MESSAGE REFER PUBLISH INFO'.split(
  ' ',
);

describe('app sip', () => {
  it.each(METHODS)('takes a %s request, over UDP and TCP, whatever the scheme', (method) => {
    for (const l4 of [L4.udp, L4.tcp]) {
      for (const uri of ['sip:bob@example.com', 'sips:bob@example.com', 'tel:+15551234', 'urn:service:sos', 'SIP:x']) {
        expect(ask('sip', `${method} ${uri} SIP/2.0\r\nVia: x`, { l4 })).toBe(ANSWER.yes);
      }
    }
  });

  it.each([
    ['a status line', 'SIP/2.0 180 Ringing\r\n'],
    ['a status line without a reason', 'SIP/2.0 200\r\n'],
    ['the highest code', 'sip/2.0 699 x\r\n'],
    ['an extension method with a SIP URI', 'BENOTIFY sip:a SIP/2.0\r\n'],
    ['blank lines before the message', '\r\n\r\nBYE sip:a SIP/2.0\r\n'],
    ['a line that ends in LF alone', 'BYE sip:a SIP/2.0\n'],
  ])('takes %s', (_, text) => {
    expect(ask('sip', text)).toBe(ANSWER.yes);
  });

  it.each([
    ['the keep-alive of two blank lines', '\r\n\r\n'],
    ['an HTTP request', 'GET / HTTP/1.1\r\n'],
    ['an RTSP request with a method that SIP has too', 'OPTIONS rtsp://cam/ RTSP/1.0\r\n'],
    ['an extension method with a foreign URI', 'FOO http://a SIP/2.0\r\n'],
    ['a method in small letters with a foreign URI', 'invite http://a SIP/2.0\r\n'],
    ['another version', 'INVITE sip:a SIP/3.0\r\n'],
    ['a version that goes on', 'INVITE sip:a SIP/2.01\r\n'],
    ['a line that ends in the URI', 'INVITE sip:a\r\nSIP/2.0\r\n'],
    ['no URI', 'INVITE  SIP/2.0\r\n'],
    ['code 700', 'SIP/2.0 700 x\r\n'],
    ['code 099', 'SIP/2.0 099 x\r\n'],
    ['a code of four digits', 'SIP/2.0 2000 x\r\n'],
    ['a code of two digits', 'SIP/2.0 20 x\r\n'],
    ['a code after no blank', 'SIP/2.0/200 x\r\n'],
    ['a token that never ends', 'A'.repeat(100)],
    ['an empty payload', ''],
    ['a datagram that ends inside the request line', 'INVITE sip:a SIP/2.'],
  ])('refuses %s', (_, text) => {
    expect(ask('sip', text)).toBe(ANSWER.no);
  });

  it('takes a TCP segment that ends inside the request line, once the scheme is told', () => {
    expect(ask('sip', 'INVITE sip:bob@exam', { l4: L4.tcp })).toBe(ANSWER.yes);
    expect(ask('sip', 'INVITE sip:bob SIP/', { l4: L4.tcp })).toBe(ANSWER.yes);
    expect(ask('sip', 'INVITE si', { l4: L4.tcp })).toBe(ANSWER.no);
    expect(ask('sip', 'INVITE http://a', { l4: L4.tcp })).toBe(ANSWER.no);
  });

  it('is not asked of other transports', () => {
    expect(ask('sip', 'BYE sip:a SIP/2.0\r\n', { l4: L4.sctp })).toBe(ANSWER.no);
    expect(ask('sip', 'BYE sip:a SIP/2.0\r\n', { l4: L4.udplite })).toBe(ANSWER.no);
  });

  it.each(['BYE sip:a SIP/2.0\r\n', 'SIP/2.0 200 OK\r\n', '\r\n\r\nACK tel:1 SIP/2.0\r\n'])(
    'says unknown for every cut of %j that the evidence outlasts, and never changes its mind to no',
    (text) => {
      const needed = text.startsWith('SIP') ? 'SIP/2.0 200 '.length : text.length - 1;
      for (let captured = 0; captured < text.length; captured++) {
        expect(ask('sip', text, { captured })).toBe(captured < needed ? ANSWER.unknown : ANSWER.yes);
      }
    },
  );

  it('says no for a cut that already disagrees', () => {
    for (let captured = 5; captured < 15; captured++) {
      expect(ask('sip', 'GET /index HTTP/1.1\r\n', { captured })).toBe(ANSWER.no);
    }
  });
});

/** An RTP packet: first byte, second byte, the rest of the fixed header, then `more`. */
function rtp(first: number, second: number, more: readonly number[]): number[] {
  return [first, second, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, ...more];
}

describe('app rtp', () => {
  it('takes exactly the assigned and the dynamic payload types, with the marker and without', () => {
    const taken = Array.from({ length: 128 }, (_, type) => type).filter((type) => {
      const plain = ask('rtp', rtp(0x80, type, [9]));
      expect(ask('rtp', rtp(0x80, type | 0x80, [9]))).toBe(plain);
      return plain === ANSWER.yes;
    });
    const assigned = [0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 25, 26, 28, 31, 32, 33, 34];
    expect(taken).toEqual([...assigned, ...Array.from({ length: 32 }, (_, i) => 96 + i)]);
  });

  it('takes version 2 only', () => {
    for (const version of [0, 1, 3]) expect(ask('rtp', rtp(version << 6, 0, [9]))).toBe(ANSWER.no);
  });

  it('takes l4Ports from 1024 on, at both ends', () => {
    expect(ask('rtp', rtp(0x80, 0, [9]), { ports: [1024, 1024] })).toBe(ANSWER.yes);
    expect(ask('rtp', rtp(0x80, 0, [9]), { ports: [1023, 1024] })).toBe(ANSWER.no);
    expect(ask('rtp', rtp(0x80, 0, [9]), { ports: [1024, 1023] })).toBe(ANSWER.no);
  });

  it('is not asked of other transports', () => {
    expect(ask('rtp', rtp(0x80, 0, [9]), { l4: L4.tcp })).toBe(ANSWER.no);
  });

  it('wants something after the header', () => {
    expect(ask('rtp', rtp(0x80, 0, []))).toBe(ANSWER.no);
    expect(ask('rtp', rtp(0x82, 0, Array(8).fill(1)))).toBe(ANSWER.no);
    expect(ask('rtp', rtp(0x82, 0, Array(9).fill(1)))).toBe(ANSWER.yes);
  });

  it('wants the extension to fit', () => {
    expect(ask('rtp', rtp(0x90, 0, [0xbe, 0xde, 0, 1, 1, 1, 1, 1]))).toBe(ANSWER.no);
    expect(ask('rtp', rtp(0x90, 0, [0xbe, 0xde, 0, 1, 1, 1, 1, 1, 9]))).toBe(ANSWER.yes);
    expect(ask('rtp', rtp(0x90, 0, [0xbe, 0xde, 0]))).toBe(ANSWER.no);
  });

  it('wants the padding to fit and to count itself', () => {
    expect(ask('rtp', rtp(0xa0, 0, [9, 0, 0, 3]))).toBe(ANSWER.yes);
    expect(ask('rtp', rtp(0xa0, 0, [0, 0, 0, 4]))).toBe(ANSWER.yes);
    expect(ask('rtp', rtp(0xa0, 0, [0, 0, 0, 5]))).toBe(ANSWER.no);
    expect(ask('rtp', rtp(0xa0, 0, [0, 0, 0, 0]))).toBe(ANSWER.no);
  });

  it('says unknown where the capture lacks the bytes that decide', () => {
    const padded = rtp(0xb0, 0, [0xbe, 0xde, 0, 0, 9, 9, 9, 1]);
    for (let captured = 0; captured < padded.length; captured++) {
      expect(ask('rtp', padded, { captured })).toBe(ANSWER.unknown);
    }
    expect(ask('rtp', padded)).toBe(ANSWER.yes);
    expect(ask('rtp', rtp(0x80, 0, [9, 9]), { captured: 2 })).toBe(ANSWER.yes);
    expect(ask('rtp', rtp(0x80, 72, [9, 9]), { captured: 2 })).toBe(ANSWER.no);
  });
});

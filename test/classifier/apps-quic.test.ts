import { describe, expect, it } from 'vitest';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { joined, QUIC_INITIAL, quic, TCP, times, u32 } from '../support/app-samples.ts';
import { askApp, askCuts } from '../support/ask-app.ts';

const V1 = 1;
const V2 = 0x6b3343cf;
const draft = (number: number) => (0xff000000 | number) >>> 0;
/** Initial, 0-RTT, Handshake, Retry: the first byte, in version 1. */
const INITIAL = 0xc0;
const ZERO_RTT = 0xd0;
const HANDSHAKE = 0xe0;
const RETRY = 0xf0;

describe('app quic', () => {
  it.each([
    ['version 1', V1, INITIAL],
    ['version 2, whose Initial has another number', V2, ZERO_RTT],
    ['draft 22', draft(22), INITIAL],
    ['draft 34', draft(34), INITIAL],
  ])('takes an Initial of %s', (_, version, first) => {
    expect(askApp('quic', quic(first, version, QUIC_INITIAL))).toBe(ANSWER.yes);
  });

  it.each([2, draft(21), draft(35), 0x51303436, 0xfaceb002, 0x1a2a3a4a])('refuses version 0x%x', (version) => {
    for (const first of [INITIAL, ZERO_RTT]) {
      expect(askApp('quic', quic(first, version, QUIC_INITIAL))).toBe(ANSWER.no);
    }
  });

  it('takes a fixed bit that is greased (RFC 9287), and refuses short headers', () => {
    expect(askApp('quic', quic(INITIAL & ~0x40, V1, QUIC_INITIAL))).toBe(ANSWER.yes);
    expect(askApp('quic', quic(0x40, V1, QUIC_INITIAL))).toBe(ANSWER.no);
  });

  it('reads 0-RTT and Handshake packets without a token', () => {
    for (const first of [ZERO_RTT, HANDSHAKE]) {
      expect(askApp('quic', quic(first, V1, [20, ...times(20)]))).toBe(ANSWER.yes);
      expect(askApp('quic', quic(first, V1, [20, ...times(19)]))).toBe(ANSWER.no);
    }
    expect(askApp('quic', quic(INITIAL, V2, times(16)))).toBe(ANSWER.yes);
  });

  it('wants the tag of a Retry', () => {
    expect(askApp('quic', quic(RETRY, V1, times(16)))).toBe(ANSWER.yes);
    expect(askApp('quic', quic(RETRY, V1, times(15)))).toBe(ANSWER.no);
  });

  it.each([
    ['one byte', [20]],
    ['two bytes', [0x40, 20]],
    ['four bytes', [0x80, 0, 0, 20]],
    ['eight bytes', [0xc0, 0, 0, 0, 0, 0, 0, 20]],
  ])('reads a length of %s', (_, length) => {
    expect(askApp('quic', quic(HANDSHAKE, V1, [...length, ...times(20)]))).toBe(ANSWER.yes);
    expect(askApp('quic', quic(HANDSHAKE, V1, [...length, ...times(19)]))).toBe(ANSWER.no);
    expect(askApp('quic', quic(HANDSHAKE, V1, length.slice(0, -1)))).toBe(ANSWER.no);
  });

  it.each([
    ['no length', quic(HANDSHAKE, V1, [])],
    ['a length below what header protection samples', quic(HANDSHAKE, V1, [19, ...times(40)])],
    ['a token that does not fit', quic(INITIAL, V1, [40, ...times(30)])],
    ['a token that leaves no room for the length', quic(INITIAL, V1, [30, ...times(30)])],
    ['a length of 2^32 and more', quic(HANDSHAKE, V1, [0xc0, 0, 0, 1, 0, 0, 0, 20, ...times(20)])],
    ['a length of 2^31', quic(HANDSHAKE, V1, [0xc0, 0, 0, 0, 0x80, 0, 0, 20, ...times(20)])],
    ['a length of 2^30', quic(HANDSHAKE, V1, [0xc0, 0, 0, 0, 0x40, 0, 0, 20, ...times(20)])],
    ['a first id of 21 bytes', joined(INITIAL, u32(V1), 21, times(60))],
    ['a second id of 21 bytes', joined(INITIAL, u32(V1), 0, 21, times(60))],
    ['ids that do not fit', joined(INITIAL, u32(V1), 20, times(20))],
    ['a datagram that ends behind the version', joined(INITIAL, u32(V1))],
    ['a datagram that ends in the version', [INITIAL, 0, 0]],
  ])('refuses %s', (_, bytes) => {
    expect(askApp('quic', bytes)).toBe(ANSWER.no);
  });

  it('takes version negotiation with whole versions, at least one', () => {
    expect(askApp('quic', quic(0x80, 0, [...u32(V1), ...u32(V2)]))).toBe(ANSWER.yes);
    expect(askApp('quic', quic(0xff, 0, u32(0x1a2a3a4a)))).toBe(ANSWER.yes);
    expect(askApp('quic', quic(0x80, 0, []))).toBe(ANSWER.no);
    expect(askApp('quic', quic(0x80, 0, [1, 2, 3]))).toBe(ANSWER.no);
  });

  it('looks at the first packet of a datagram only', () => {
    expect(askApp('quic', joined(quic(HANDSHAKE, V1, [20, ...times(20)]), times(30, 0x40)))).toBe(ANSWER.yes);
  });

  it('says unknown until the length was captured', () => {
    const bytes = quic(INITIAL, V1, QUIC_INITIAL);
    const needed = bytes.length - 20;
    expect(askCuts('quic', bytes)).toEqual([...times(needed, ANSWER.unknown), ...times(20, ANSWER.yes)]);
  });

  it.each([
    ['a short header', joined(0x40, times(40)), 1],
    ['an unknown version', quic(INITIAL, 2, times(40)), 5],
    ['a first id of 21 bytes', joined(INITIAL, u32(V1), 21, times(40)), 6],
    ['a second id of 21 bytes', joined(INITIAL, u32(V1), 0, 21, times(40)), 7],
    ['a token that does not fit', quic(INITIAL, V1, [40, ...times(30)]), 20],
    ['a length that is too small', quic(HANDSHAKE, V1, [19, ...times(40)]), 20],
  ])('says no to a cut frame as soon as it disagrees: %s', (_, bytes, needed) => {
    const cuts = askCuts('quic', bytes);
    expect(cuts.slice(0, needed)).toEqual(times(needed, ANSWER.unknown));
    expect(new Set(cuts.slice(needed))).toEqual(new Set([ANSWER.no]));
  });

  it('is not asked of TCP', () => {
    expect(askApp('quic', quic(INITIAL, V1, QUIC_INITIAL), TCP)).toBe(ANSWER.no);
  });
});

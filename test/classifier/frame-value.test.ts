import { describe, expect, test } from 'vitest';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { WORD, WORD_COUNT } from '../../classifier/field.ts';
import { fieldValue, presence, readWord, sctpChunkPresence } from '../../classifier/frame-value.ts';
import { L3, L4, Parsed } from '../../classifier/parsed.ts';

/** An IPv4 header's first ten bytes at 4, and what an IPv6 header would have there. */
const SLAB = new DataView(new ArrayBuffer(64));
for (let i = 0; i < 64; i++) SLAB.setUint8(i, 0xe0 - 5 * i);

function frame(l3: Parsed['l3'], l4: Parsed['l4']): Parsed {
  const p = new Parsed();
  p.l3 = l3;
  p.l4 = l4;
  p.l3Offset = 4;
  p.wireLength = 100;
  return p;
}

describe('a word of a frame', () => {
  test('is what the header has at its place', () => {
    const four = frame(L3.ip4, L4.udp);
    const six = frame(L3.ip6, L4.udp);
    const byte = (at: number) => SLAB.getUint8(at);
    expect(readWord(four, WORD.dscp, SLAB)).toBe(byte(5) >> 2);
    // The traffic class has the low half of the first byte and the high half of the second.
    expect(readWord(six, WORD.dscp, SLAB)).toBe(((byte(4) & 15) << 2) | (byte(5) >> 6));
    expect(readWord(four, WORD.hopLimit, SLAB)).toBe(byte(12));
    expect(readWord(six, WORD.hopLimit, SLAB)).toBe(byte(11));
    expect(readWord(four, WORD.ipLength, SLAB)).toBe(byte(6) * 256 + byte(7));
    expect(readWord(six, WORD.ipLength, SLAB)).toBe(byte(8) * 256 + byte(9));
    expect(readWord(four, WORD.fragOff, SLAB)).toBe(byte(10) * 256 + byte(11));
  });

  test('counts the length without Ethernet header and one tag', () => {
    const p = frame(L3.arp, L4.none);
    const lengths = () => [readWord(p, WORD.metaLength, SLAB), readWord(p, WORD.frameLength, SLAB)];
    expect(lengths()).toEqual([86, 100]);
    p.vlanCount = 1;
    expect(lengths()).toEqual([82, 100]);
    p.vlanCount = 2;
    expect(lengths()).toEqual([82, 100]);
  });

  test('has a number below the count of words', () => {
    const p = frame(L3.ip4, L4.udp);
    expect(() => readWord(p, WORD_COUNT, SLAB)).toThrow(new RangeError('no word 31'));
    expect(() => readWord(p, -1, SLAB)).toThrow('no word -1');
  });
});

describe('a field', () => {
  test('is absent, present or unknown', () => {
    expect(presence(frame(L3.ip4, L4.udp), 'udp.dport')).toBe(ANSWER.yes);
    expect(presence(frame(L3.ip4, L4.udp), 'tcp.dport')).toBe(ANSWER.no);
    expect(presence(frame(L3.unknown, L4.none), 'tcp.dport')).toBe(ANSWER.unknown);
    expect(presence(frame(L3.unknown, L4.none), 'ether.type')).toBe(ANSWER.yes);
    expect(presence(frame(L3.unknown, L4.none), 'vlan.id')).toBe(ANSWER.no);
  });

  test("is, for SCTP's chunk, there if the packet has bytes behind its header", () => {
    const p = frame(L3.ip4, L4.sctp);
    const asked = () => [sctpChunkPresence(p), presence(p, 'sctp.chunk')];
    p.payloadLength = 0;
    expect(asked()).toEqual([ANSWER.no, ANSWER.no]);
    p.payloadLength = 1;
    expect(asked()).toEqual([ANSWER.unknown, ANSWER.unknown]);
    p.payloadCaptured = 1;
    expect(asked()).toEqual([ANSWER.yes, ANSWER.yes]);
    expect(presence(frame(L3.ip4, L4.udp), 'sctp.chunk')).toBe(ANSWER.no);
  });

  test('has a value of as many bits as it is wide, or null', () => {
    const p = frame(L3.ip4, L4.tcp);
    [p.src0, p.srcMacHigh, p.srcMacLow] = [-1, -2, 0xfffe];
    expect(fieldValue(p, 'ip.saddr', SLAB)).toBe(0xffffffffn);
    expect(fieldValue(p, 'ether.saddr', SLAB)).toBe(0xfffffffefffen);
    expect(fieldValue(p, 'ip6.saddr', SLAB)).toBeNull();
    expect(fieldValue(p, 'udp.sport', SLAB)).toBeNull();
    expect(fieldValue(frame(L3.unknown, L4.none), 'ip.saddr', SLAB)).toBeNull();
    const six = frame(L3.ip6, L4.tcp);
    [six.src0, six.src1, six.src2, six.src3] = [0x20010db8, -1, 5, -0x80000000];
    expect(fieldValue(six, 'ip6.saddr', SLAB)).toBe(0x20010db8_ffffffff_00000005_80000000n);
  });
});

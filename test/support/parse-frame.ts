import { parse } from '../../classifier/parse.ts';
import { L3, L4_NAMES, MAX_VLAN_TAGS, Parsed } from '../../classifier/parsed.ts';
import { REASON_NAMES, type ReasonName } from '../../classifier/verdict.ts';
import { formatIp4, formatIp6, formatMac } from '../../rules/addresses.ts';

/** A view that throws when anything outside the frame is read. */
export class GuardedView extends DataView<ArrayBuffer> {
  readonly #from: number;
  readonly #to: number;

  /** @param from first byte that may be read @param to the byte after the last that may be read */
  constructor(bytes: Uint8Array, from: number, to: number) {
    super(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
    this.#from = from;
    this.#to = to;
  }

  override getUint8(at: number): number {
    this.#check(at, 1);
    return super.getUint8(at);
  }

  override getUint16(at: number): number {
    this.#check(at, 2);
    return super.getUint16(at);
  }

  override getInt32(at: number): number {
    this.#check(at, 4);
    return super.getInt32(at);
  }

  #check(at: number, size: number): void {
    if (!(at >= this.#from && at + size <= this.#to)) {
      throw new RangeError(`read of ${size} bytes at ${at - this.#from} of a frame of ${this.#to - this.#from} bytes`);
    }
  }
}

/** Where `place` puts a frame in its slab: odd, so that offsets from 0 and alignment show. */
export const FRAME_OFFSET = 37;

/** @returns a slab of `canary` bytes with the frame at FRAME_OFFSET, readable only where the frame lies */
export function place(frame: Uint8Array, canary = 0xa5): GuardedView {
  const slab = new Uint8Array(FRAME_OFFSET + frame.length + 64).fill(canary);
  slab.set(frame, FRAME_OFFSET);
  return new GuardedView(slab, FRAME_OFFSET, FRAME_OFFSET + frame.length);
}

/** Parses into `out`, with a guard around the frame. @param wireLength bytes before a capture cut the frame */
export function parseInto(out: Parsed, frame: Uint8Array, wireLength = frame.length, canary = 0xa5): GuardedView {
  const slab = place(frame, canary);
  parse(out, slab, FRAME_OFFSET, frame.length, wireLength);
  return slab;
}

export function parsedOf(frame: Uint8Array, wireLength = frame.length): Parsed {
  const out = new Parsed();
  parseInto(out, frame, wireLength);
  return out;
}

/** Every field as it lies in `Parsed`, of tags only those that count. */
export function rawFields(p: Parsed): Record<string, unknown> {
  return { ...p, vlanTci: Array.from(p.vlanTci).slice(0, Math.min(p.vlanCount, MAX_VLAN_TAGS)) };
}

/** What a frame says, in words; offsets count from the frame's start. */
export interface Fields {
  problem: ReasonName | null;
  dstMac: string;
  srcMac: string;
  /** Tag control information, outermost first. */
  tags: number[];
  etherType: number;
  l3: 'ip4' | 'ip6' | 'arp' | null;
  /** Where raw `@nh` counts from. */
  networkAt: number;
  l3At: number;
  src: string | null;
  dst: string | null;
  proto: number;
  nextHeader: number;
  fragOffset: number;
  moreFrags: number;
  isFragment: number;
  fragId: number;
  fragLength: number;
  arpOperation: number;
  arpMac: string | null;
  l4: string | null;
  l4At: number;
  srcPort: number;
  dstPort: number;
  tcpFlags: number;
  tcpSeq: number;
  tcpAck: number;
  udpLength: number;
  icmpType: number;
  icmpCode: number;
  payloadAt: number;
  payloadLength: number;
  payloadCaptured: number;
}

/** Of an untagged frame that says nothing but its addresses, which are the frame builder's. */
export const NOTHING: Fields = {
  problem: null,
  dstMac: '02:00:00:00:00:02',
  srcMac: '02:00:00:00:00:01',
  tags: [],
  etherType: -1,
  l3: null,
  networkAt: 14,
  l3At: -1,
  src: null,
  dst: null,
  proto: -1,
  nextHeader: -1,
  fragOffset: -1,
  moreFrags: 0,
  isFragment: 0,
  fragId: 0,
  fragLength: 0,
  arpOperation: -1,
  arpMac: null,
  l4: null,
  l4At: -1,
  srcPort: -1,
  dstPort: -1,
  tcpFlags: -1,
  tcpSeq: 0,
  tcpAck: 0,
  udpLength: -1,
  icmpType: -1,
  icmpCode: -1,
  payloadAt: -1,
  payloadLength: -1,
  payloadCaptured: 0,
};

/** Of the frame builder's IPv4 packet before anything follows it. */
export const IP4_ONLY: Fields = {
  ...NOTHING,
  etherType: 0x0800,
  l3: 'ip4',
  l3At: 14,
  src: '192.0.2.1',
  dst: '198.51.100.2',
  proto: 253,
  fragOffset: 0,
  l4At: 34,
};

/** Of the frame builder's IPv6 packet before anything follows it. */
export const IP6_ONLY: Fields = {
  ...NOTHING,
  etherType: 0x86dd,
  l3: 'ip6',
  l3At: 14,
  src: '2001:db8::1',
  dst: '2001:db8::2',
  proto: 253,
  nextHeader: 253,
  l4At: 54,
};

/** Parses a frame as a capture or port delivers it and says what was found. */
export function fieldsOf(frame: Uint8Array, wireLength = frame.length): Fields {
  return fieldsIn(parsedOf(frame, wireLength));
}

export function fieldsIn(p: Parsed): Fields {
  return {
    problem: p.problem === 0 ? null : REASON_NAMES[p.problem]!,
    dstMac: mac(p.dstMacHigh, p.dstMacLow),
    srcMac: mac(p.srcMacHigh, p.srcMacLow),
    tags: Array.from(p.vlanTci).slice(0, p.vlanCount),
    etherType: p.etherType,
    l3: ([null, 'ip4', 'ip6', 'arp'] as const)[p.l3],
    networkAt: fromStart(p, p.networkOffset),
    l3At: fromStart(p, p.l3Offset),
    src: address(p, [p.src0, p.src1, p.src2, p.src3]),
    dst: address(p, [p.dst0, p.dst1, p.dst2, p.dst3]),
    proto: p.proto,
    nextHeader: p.nextHeader,
    fragOffset: p.fragOffset,
    moreFrags: p.moreFrags,
    isFragment: p.isFragment,
    fragId: p.fragId >>> 0,
    fragLength: p.fragLength,
    arpOperation: p.arpOperation,
    arpMac: p.l3 === L3.arp ? mac(p.arpMacHigh, p.arpMacLow) : null,
    l4: L4_NAMES[p.l4],
    l4At: fromStart(p, p.l4Offset),
    srcPort: p.srcPort,
    dstPort: p.dstPort,
    tcpFlags: p.tcpFlags,
    tcpSeq: p.tcpSeq >>> 0,
    tcpAck: p.tcpAck >>> 0,
    udpLength: p.udpLength,
    icmpType: p.icmpType,
    icmpCode: p.icmpCode,
    payloadAt: fromStart(p, p.payloadOffset),
    payloadLength: p.payloadLength,
    payloadCaptured: p.payloadCaptured,
  };
}

function fromStart(p: Parsed, offset: number): number {
  return offset === -1 ? -1 : offset - p.offset;
}

function mac(high: number, low: number): string {
  return formatMac(joined([high]) * 0x1_0000n + BigInt(low));
}

function joined(words: readonly number[]): bigint {
  return words.reduce((value, word) => (value << 32n) | BigInt(word >>> 0), 0n);
}

function address(p: Parsed, words: readonly number[]): string | null {
  if (p.l3 === L3.ip6) return formatIp6(joined(words));
  if (words.slice(1).some((word) => word !== 0)) throw new Error('an IPv4 address has one word');
  if (p.l3 === L3.unknown) return words[0] === 0 ? null : 'an address without a network header';
  return formatIp4(joined(words.slice(0, 1)));
}

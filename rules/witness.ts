import type { Box } from './box.ts';
import { fieldKey, fieldOf, KEY, L3_VALUE } from './coordinates.ts';
import { type ImaginedFrame, TCP, UDP } from './imagined.ts';
import { complement, firstFrom, includes, intersect, mergeIntervals } from './intervals.ts';
import { FIELDS, type FieldName, type Interval } from './rule.ts';

const ETH_BYTES = 14;
const TAG_BYTES = 4;
const IP4_BYTES = 20;
const IP6_BYTES = 40;
const ARP_BYTES = 28;
const CHUNK_BYTES = 4;
/** The longest IPv4 packet behind Ethernet and a tag. */
const MAX_FRAME = 65_553n;

const SCTP = 132n;

/** Bytes of each transport header, and the fields in it that say nothing of lengths. */
const TRANSPORTS: ReadonlyMap<bigint, { readonly bytes: number; readonly fields: readonly FieldName[] }> = new Map([
  [UDP, { bytes: 8, fields: ['th.sport', 'th.dport'] }],
  [TCP, { bytes: 20, fields: ['th.sport', 'th.dport', 'tcp.flags'] }],
  [1n, { bytes: 8, fields: ['icmp.type', 'icmp.code'] }],
  [58n, { bytes: 4, fields: ['icmpv6.type', 'icmpv6.code'] }],
  [SCTP, { bytes: 12, fields: ['th.sport', 'th.dport'] }],
  [136n, { bytes: 8, fields: ['th.sport', 'th.dport'] }],
  [33n, { bytes: 16, fields: ['th.sport', 'th.dport'] }],
  [2n, { bytes: 8, fields: ['igmp.type'] }],
]);
const ONLY_IP4: readonly bigint[] = [1n, 2n];
const ONLY_IP6: readonly bigint[] = [58n];
/** Extension headers of IPv6: behind them there would be another protocol. */
const EXTENSIONS: readonly bigint[] = [0n, 43n, 44n, 51n, 60n];

const ETHER_TYPE_OF: ReadonlyMap<bigint, bigint> = new Map([
  [L3_VALUE.ip4, 0x0800n],
  [L3_VALUE.ip6, 0x86ddn],
  [L3_VALUE.arp, 0x0806n],
]);
/** What no frame of an unknown network header has there: lengths, tags, and numbers that are read further. */
const READ_ETHER_TYPES: readonly Interval[] = mergeIntervals(
  [0x0800n, 0x0806n, 0x8100n, 0x86ddn, 0x8847n, 0x8848n, 0x8864n, 0x88a8n, 0x9100n]
    .map((type) => ({ low: type, high: type }))
    .concat({ low: 0n, high: 0x05ffn }),
);
const UNREAD_ETHER_TYPES = complement(READ_ETHER_TYPES, 0xffffn);
/** Neither more fragments nor an offset (RFC 791 §3.1). */
const UNFRAGMENTED: readonly Interval[] = [0x4000n, 0n, 0x8000n, 0xc000n].map((value) => ({ low: value, high: value }));

/** What is chosen where nothing else is asked for: documentation addresses, and ports that no service has. */
const USUAL: Partial<Record<FieldName, bigint>> = {
  'ether.saddr': 0x02_00_00_00_00_01n,
  'ether.daddr': 0x02_00_00_00_00_02n,
  'ether.type': 0x88b5n,
  'ip.saddr': 0xc0000201n,
  'ip.daddr': 0xc6336401n,
  'ip.ttl': 64n,
  'ip6.saddr': (0x20010db8n << 96n) | 1n,
  'ip6.daddr': (0x20010db8n << 96n) | 2n,
  'ip6.hoplimit': 64n,
  'th.sport': 40_000n,
  'th.dport': 40_000n,
  'arp.operation': 1n,
};

/** Frames in which an application can be stated. */
interface AppFrames {
  readonly protocols: readonly bigint[];
  /** Of payload, at least; its messages can have any length from there on. */
  readonly bytes: number;
  /** The lowest port at either end. */
  readonly port: bigint;
  /** Message types that such a frame may have: from 1 to this. */
  readonly types: bigint;
}

/** Applications whose recognisers ask for no more than this. Those of the others might not take what is imagined. */
const APPS: Readonly<Record<string, AppFrames>> = {
  'app sip': { protocols: [UDP, TCP], bytes: 64, port: 0n, types: 2n },
  'app http': { protocols: [TCP], bytes: 64, port: 0n, types: 2n },
  'app ssh': { protocols: [TCP], bytes: 64, port: 0n, types: 1n },
  'app rtp': { protocols: [UDP], bytes: 172, port: 1024n, types: 1n },
};

/** So many ends of intervals are tried where a mask has to fit too. */
const MAX_TRIED = 4;

/**
 * A frame in the box that really can be sent, if one is easily found: the lowest values that go together, the shortest lengths.
 * @returns null if there is none, or none was found
 */
export function imagineFrame(box: Box): ImaginedFrame | null {
  // What raw bits say of the fields in them is not worked out.
  if ([...box.keys()].some((key) => key.startsWith('@'))) return null;
  for (const l3 of [L3_VALUE.ip4, L3_VALUE.ip6, L3_VALUE.arp, L3_VALUE.other]) {
    if (!isAllowed(box, KEY.l3, l3)) continue;
    for (const tagged of [0n, 1n]) {
      if (!isAllowed(box, KEY.tagged, tagged)) continue;
      for (const protocol of protocolsFor(box, l3)) {
        const frame = new FrameDraft(box, l3, tagged === 1n, protocol).finish();
        if (frame !== null) return frame;
      }
    }
  }
  return null;
}

function isAllowed(box: Box, key: string, value: bigint): boolean {
  const side = box.get(key);
  return side === undefined || includes(side.set, value);
}

/** @returns [null] where there is no IP header */
function protocolsFor(box: Box, l3: bigint): (bigint | null)[] {
  if (l3 !== L3_VALUE.ip4 && l3 !== L3_VALUE.ip6) return [null];
  const foreign = l3 === L3_VALUE.ip4 ? ONLY_IP6 : [...ONLY_IP4, ...EXTENSIONS];
  const wanted = box.get(fieldKey('meta.l4proto'))?.set ?? [];
  const ends = wanted.slice(0, MAX_TRIED).flatMap(({ low, high }) => [low, high]);
  const tried = [...new Set([...TRANSPORTS.keys(), 89n, ...ends])];
  return tried.filter((protocol) => {
    if (foreign.includes(protocol)) return false;
    if (!isAllowed(box, 'ip6.nexthdr', protocol)) return false;
    const hasHeader = TRANSPORTS.has(protocol) ? 1n : 0n;
    return isAllowed(box, fieldKey('meta.l4proto'), protocol) && isAllowed(box, KEY.transport, hasHeader);
  });
}

class FrameDraft {
  readonly #box: Box;
  readonly #l3: bigint;
  readonly #networkOffset: number;
  readonly #protocol: bigint | null;
  readonly #values = new Map<string, bigint>();
  readonly #stated = new Map<string, bigint>();
  #app: AppFrames | null = null;
  #fits = true;

  constructor(box: Box, l3: bigint, isTagged: boolean, protocol: bigint | null) {
    this.#box = box;
    this.#l3 = l3;
    this.#protocol = protocol;
    this.#networkOffset = ETH_BYTES + (isTagged ? TAG_BYTES : 0);
    this.#values.set(KEY.l3, l3).set(KEY.tagged, isTagged ? 1n : 0n);
    for (const [key, { set }] of box) this.#state(key, set[0]!.low);
  }

  /** Takes what no field tells for granted, if a frame can be made so. */
  #state(key: string, value: bigint): void {
    const [kind] = key.split(' ');
    if (kind === 'app') {
      if (value > 0n) this.#stateApp(APPS[key], value);
    } else if (kind === 'set' || kind === 'declared') {
      // Any element may be added to a set. One that the file itself puts there should not be thought away.
      if (value === 0n) this.#fits = false;
    } else {
      return;
    }
    this.#stated.set(key, value);
  }

  /** Two at once are not thought through. */
  #stateApp(app: AppFrames | undefined, type: bigint): void {
    const isPossible = this.#app === null && app !== undefined && app.protocols.includes(this.#protocol!);
    if (isPossible && type <= app.types) this.#app = app;
    else this.#fits = false;
  }

  /** @returns null if the values do not go together */
  finish(): ImaginedFrame | null {
    this.#chooseLink();
    let bytes = 0;
    let transport: number | null = null;
    let payload = 0;
    if (this.#protocol !== null) {
      const header = TRANSPORTS.get(this.#protocol);
      this.#chooseTransport(header?.fields ?? []);
      const least = this.#leastSegment(header?.bytes ?? 0);
      const ip = this.#chooseIp(least);
      bytes = ip.bytes;
      transport = this.#networkOffset + ip.headerBytes;
      payload = header === undefined ? 0 : bytes - ip.headerBytes - header.bytes;
    } else if (this.#l3 === L3_VALUE.arp) {
      this.#choose('arp.operation');
      bytes = ARP_BYTES;
    }
    const lengthBytes = this.#chooseLength(bytes);
    // What follows an SCTP header is a chunk.
    if (this.#protocol === SCTP && payload > 0 && this.#values.get(KEY.chunk) === 0n) return null;
    if (!this.#fits) return null;
    return {
      values: this.#values,
      lengthBytes,
      networkOffset: this.#networkOffset,
      transportOffset: transport,
      hasPayload: payload > 0,
      stated: this.#stated,
    };
  }

  #chooseLink(): void {
    this.#choose('ether.saddr');
    this.#choose('ether.daddr');
    const etherType = ETHER_TYPE_OF.get(this.#l3);
    this.#choose('ether.type', etherType === undefined ? UNREAD_ETHER_TYPES : [{ low: etherType, high: etherType }]);
    if (this.#values.get(KEY.tagged) === 0n) return;
    this.#choose('vlan.id');
    this.#choose('vlan.pcp');
  }

  #chooseTransport(fields: readonly FieldName[]): void {
    const app = this.#app;
    this.#values.set(KEY.transport, fields.length > 0 ? 1n : 0n);
    for (const field of fields) {
      this.#choose(field, field.startsWith('th.') && app !== null ? [{ low: app.port, high: 65_535n }] : undefined);
    }
    const hasChunk = !isAllowed(this.#box, KEY.chunk, 0n);
    this.#values.set(KEY.chunk, hasChunk ? 1n : 0n);
    if (hasChunk) this.#choose('sctp.chunk');
  }

  /** @returns the least bytes behind the IP header */
  #leastSegment(header: number): number {
    const chunk = this.#values.get(KEY.chunk) === 1n ? CHUNK_BYTES : 0;
    const least = header + chunk + (this.#app?.bytes ?? 0);
    if (this.#protocol !== UDP) return least;
    return this.#chooseAtLeast('udp.length', least);
  }

  #chooseIp(segment: number): { readonly headerBytes: number; readonly bytes: number } {
    this.#values.set(fieldKey('meta.l4proto'), this.#protocol!);
    if (this.#l3 === L3_VALUE.ip4) {
      for (const field of ['ip.saddr', 'ip.daddr', 'ip.dscp', 'ip.ttl'] as const) this.#choose(field);
      this.#choose('ip.frag-off', UNFRAGMENTED);
      return { headerBytes: IP4_BYTES, bytes: this.#chooseAtLeast('ip.length', IP4_BYTES + segment) };
    }
    for (const field of ['ip6.saddr', 'ip6.daddr', 'ip6.dscp', 'ip6.hoplimit'] as const) this.#choose(field);
    this.#values.set('ip6.nexthdr', this.#protocol!);
    // A payload length of 0 would be a jumbogram's or an offload frame's.
    const length = this.#chooseAtLeast('ip6.length', Math.max(1, segment));
    return { headerBytes: IP6_BYTES, bytes: IP6_BYTES + length };
  }

  #chooseAtLeast(field: FieldName, least: number): number {
    const value = firstFrom(this.#setOf(field), BigInt(least));
    if (value === null) this.#fits = false;
    this.#values.set(field, value ?? 0n);
    return Number(value ?? 0n);
  }

  /** @param network bytes of the network packet */
  #chooseLength(network: number): number {
    const offset = BigInt(this.#networkOffset);
    const frames = intersect(this.#setOf('frame.length'), [{ low: offset + BigInt(network), high: MAX_FRAME }]);
    const behind = this.#setOf('meta.length').map(({ low, high }) => ({ low: low + offset, high: high + offset }));
    const length = firstFrom(intersect(frames, behind), 0n);
    if (length === null) this.#fits = false;
    this.#values.set('frame.length', length ?? 0n).set('meta.length', (length ?? offset) - offset);
    return Number(length ?? 0n);
  }

  #setOf(field: FieldName): readonly Interval[] {
    return this.#box.get(field)?.set ?? [{ low: 0n, high: (1n << BigInt(FIELDS[field].bits)) - 1n }];
  }

  /** @param allowed in order of preference */
  #choose(field: FieldName, allowed?: readonly Interval[]): void {
    const set = this.#setOf(field);
    const sets = allowed === undefined ? [set] : allowed.map((one) => intersect(set, [one]));
    const ends = sets.flatMap((one) => one.slice(0, MAX_TRIED).flatMap(({ low, high }) => [low, high]));
    const usual = USUAL[field] ?? 0n;
    const isUsual = sets.some((one) => includes(one, usual));
    const tried = this.#fitMasks(field, isUsual ? [usual, ...ends] : ends);
    const value = tried.find((one) => sets.some((each) => includes(each, one)) && this.#fitsMasks(field, one));
    if (value === undefined) this.#fits = false;
    this.#values.set(field, value ?? 0n);
  }

  /** The values, and what becomes of them when the bits under a mask are made to fit. */
  #fitMasks(field: FieldName, values: readonly bigint[]): bigint[] {
    const tried = [...values];
    for (const { mask, set } of this.#masksOn(field)) {
      for (const { low } of set.slice(0, MAX_TRIED))
        tried.push(...values.map((value) => (value & ~mask) | (low & mask)));
    }
    return tried;
  }

  #fitsMasks(field: FieldName, value: bigint): boolean {
    return this.#masksOn(field).every(({ mask, set }) => includes(set, value & mask));
  }

  #masksOn(field: FieldName): { readonly mask: bigint; readonly set: readonly Interval[] }[] {
    const found = [];
    for (const [key, { set }] of this.#box) {
      const of = fieldOf(key);
      if (of !== null && of.field === field && of.mask !== null) found.push({ mask: of.mask, set });
    }
    return found;
  }
}

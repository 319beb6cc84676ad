import { ARP, ETH, ETHERTYPE, IP4, IP6, PROTO } from '../classifier/headers.ts';
import { MAX_VLAN_TAGS } from '../classifier/parsed.ts';
import type { Clock } from './clock.ts';
import type { FrameBatch } from './frame-batch.ts';
import { bytesOfIp, textOfIp } from './ip-bytes.ts';
import { type Membership, Memberships } from './memberships.ts';
import { isSame, placeOf, type Reach, tagsOf } from './reach.ts';

/** How a machine speaks. */
interface Speaker extends Reach {
  /** It said that it is a router (RFC 4861 §4.4, R). */
  readonly isRouter: boolean;
}

/** An address of the VM's. */
export interface OwnAddress extends Speaker {
  /** 4 or 16 bytes. */
  readonly ip: Uint8Array;
  /** Its advertisements replace what neighbours know; those of an anycast address must not (RFC 4861 §7.2.7). */
  readonly overrides: boolean;
}

const MAX_ADDRESSES = 1024;
/** ICMPv6 types of neighbour discovery (RFC 4861 §4), and where their options begin. */
const ND = { routerSolicitation: 133, routerAdvertisement: 134, solicitation: 135, advertisement: 136 } as const;
const ND_OPTIONS_AT: Readonly<Record<number, number>> = { 133: 8, 134: 16, 135: 24, 136: 24 };
const ND_FLAGS_AT = 4;
const ND_TARGET_AT = 8;
const ND_FLAG = { router: 0x80, solicited: 0x40, override: 0x20 } as const;
/** ND options: link-layer address of the sender, of the target; lengths are in units of 8 bytes. */
const ND_OPTION = { source: 1, target: 2, unit: 8, header: 2 } as const;
/** Nobody is more than a link away (RFC 4861 §7.1). */
const ND_HOP_LIMIT = 255;
const MAC_BYTES = 6;
const IP4_BYTES = 4;
const IP6_BYTES = 16;
const ARP_REQUEST = 1;
const ARP_REPLY = 2;
const HARDWARE_ETHERNET = 1;

/**
 * What the VM told its neighbours of itself by ARP and neighbour discovery, in frames that have left: an announcement that was
 * rolled back was never made by the VM that lives on. The last word counts, also another machine's: an address that somebody on the
 * network announced since is not the VM's any more. Bounded, the address that was announced longest ago goes first. And by the way
 * which multicast groups it has joined: by its addresses it is told which of them are its own.
 *
 * Allocates nothing for frames that say none of this.
 */
export class OwnAddresses {
  readonly #known = new Map<string, OwnAddress>();
  readonly #memberships: Memberships;
  /** How the VM spoke last. */
  #last: Speaker | null = null;
  // What `#read` found, as places in the slab; -1: nothing.
  #ipAt = -1;
  #ipBytes = 0;
  #macAt = -1;
  #saysRouter = false;
  #overrides = false;

  constructor(clock: Clock) {
    this.#memberships = new Memberships(clock);
  }

  get size(): number {
    return this.#known.size;
  }

  /** Frame `i` of the batch has left for the network. */
  left(batch: FrameBatch, i: number): void {
    const { view } = batch.slab;
    const start = batch.offset[i]!;
    const at = controlHeader(view, start, start + batch.length[i]!);
    if (at < 0) return;
    if (isNeighbours(view, at)) this.#learn(batch, i, at);
    else this.#memberships.left(batch, i, at);
  }

  /** Frame `i` of the batch has come from the network. */
  came(batch: FrameBatch, i: number): void {
    if (this.#known.size === 0) return;
    const { view } = batch.slab;
    const start = batch.offset[i]!;
    const at = controlHeader(view, start, start + batch.length[i]!);
    if (at >= 0 && isNeighbours(view, at)) this.#unlearn(batch, i, at);
  }

  /**
   * @param configured IP texts to announce besides, by the MAC address that the VM used last
   * @returns what to announce, and of `configured` what cannot be, because the VM has never said a word
   */
  toAnnounce(configured: readonly string[] = []): {
    addresses: OwnAddress[];
    memberships: Membership[];
    unknown: string[];
  } {
    const addresses = [...this.#known.values()];
    const texts = new Set(addresses.map(({ ip }) => textOfIp(ip)));
    const unknown: string[] = [];
    for (const text of configured) {
      const ip = bytesOfIp(text);
      if (texts.has(textOfIp(ip))) continue;
      const reach = this.#last ?? addresses[0];
      if (reach === undefined) {
        unknown.push(text);
        continue;
      }
      const { pair, tags, mac } = reach;
      const isRouter = reach.isRouter || addresses.some((one) => one.isRouter && isSame(one.mac, mac));
      addresses.push({ pair, tags, mac, ip, isRouter, overrides: true });
      texts.add(textOfIp(ip));
    }
    return { addresses, memberships: this.#memberships.of(addresses), unknown };
  }

  /** What another gateway learned of the VM, of its memberships too. What the VM said here counts more. */
  adopt(addresses: readonly OwnAddress[], memberships: readonly Membership[] = []): void {
    this.#memberships.adopt(memberships);
    for (const address of addresses) {
      const { ip, pair, tags } = address;
      const key = keyOf(ip, pair, tags, 0, ip.length);
      if (this.#known.has(key)) continue;
      this.#add(key, address);
      this.#last ??= address;
    }
  }

  #add(key: string, address: OwnAddress): void {
    if (this.#known.size === MAX_ADDRESSES) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(key, address);
  }

  #learn(batch: FrameBatch, i: number, at: number): void {
    const { bytes, view } = batch.slab;
    const start = batch.offset[i]!;
    const sourceAt = start + MAC_BYTES;
    const isSpoken = this.#read(view, start, at, start + batch.length[i]!);
    // What was said in another's name, or by nobody in particular, is not the VM's.
    if (!isSpoken || !isUnicastMac(view, this.#macAt)) return;
    if (isArp(view, at) && !isSamePlace(bytes, this.#macAt, sourceAt)) return;
    const reach = {
      pair: batch.pair[i]!,
      tags: tagsOf(view, start, at),
      mac: bytes.slice(this.#macAt, this.#macAt + MAC_BYTES),
    };
    this.#last = { ...reach, isRouter: this.#saysRouter };
    if (!this.#isUnicast(view)) return;
    const key = keyOf(bytes, reach.pair, reach.tags, this.#ipAt, this.#ipBytes);
    const before = this.#known.get(key);
    const isSameMachine = before !== undefined && isSame(before.mac, reach.mac);
    // An answer to a single neighbour's question need not say it, though others do.
    const overrides = this.#overrides || (isSameMachine && before.overrides);
    this.#known.delete(key);
    const ip = bytes.slice(this.#ipAt, this.#ipAt + this.#ipBytes);
    const isRouter = this.#saysRouter || (isSameMachine && before.isRouter && !this.#isAdvertisement(view, at));
    this.#add(key, { ...reach, ip, isRouter, overrides });
  }

  #unlearn(batch: FrameBatch, i: number, at: number): void {
    const { bytes, view } = batch.slab;
    const start = batch.offset[i]!;
    if (!this.#read(view, start, at, start + batch.length[i]!) || !this.#isUnicast(view)) return;
    const key = keyOf(bytes, batch.pair[i]!, tagsOf(view, start, at), this.#ipAt, this.#ipBytes);
    const known = this.#known.get(key);
    if (known === undefined) return;
    // The VM's own words may come back to it by another of its ports, or from a link that echoes.
    if (!isSame(known.mac, bytes.subarray(this.#macAt, this.#macAt + MAC_BYTES))) this.#known.delete(key);
  }

  /** Only an advertisement says that a machine is no router. */
  #isAdvertisement(view: DataView, at: number): boolean {
    return !isArp(view, at) && view.getUint8(at + IP6.header) === ND.advertisement;
  }

  /** @returns whether the frame binds a MAC address, perhaps to an IP address */
  #read(view: DataView, start: number, at: number, end: number): boolean {
    this.#saysRouter = false;
    this.#overrides = true;
    return isArp(view, at) ? this.#readArp(view, at, end) : this.#readNd(view, start, at, end);
  }

  /** RFC 826; a probe's sender address 0.0.0.0 (RFC 5227 §2.1.1) is refused as no unicast address. */
  #readArp(view: DataView, at: number, end: number): boolean {
    if (at + ARP.full > end) return false;
    if (view.getUint16(at) !== HARDWARE_ETHERNET || view.getUint16(at + ARP.protocol) !== ETHERTYPE.ip4) return false;
    if (view.getUint16(at + ARP.protocol + 2) !== ARP.lengths) return false;
    const operation = view.getUint16(at + ARP.operation);
    this.#macAt = at + ARP.senderMac;
    this.#ipAt = at + ARP.senderIp;
    this.#ipBytes = IP4_BYTES;
    return operation === ARP_REQUEST || operation === ARP_REPLY;
  }

  /** An advertisement binds its target, the other messages their sender if they name its link-layer address. */
  #readNd(view: DataView, start: number, at: number, end: number): boolean {
    const icmpAt = at + IP6.header;
    const packetEnd = Math.min(end, icmpAt + view.getUint16(at + IP6.payloadLength));
    if (packetEnd < icmpAt + 4 || view.getUint8(at + IP6.hopLimit) !== ND_HOP_LIMIT) return false;
    const type = view.getUint8(icmpAt);
    const optionsAt = ND_OPTIONS_AT[type];
    if (optionsAt === undefined || view.getUint8(icmpAt + 1) !== 0 || icmpAt + optionsAt > packetEnd) return false;
    const isAdvertisement = type === ND.advertisement;
    const option = isAdvertisement ? ND_OPTION.target : ND_OPTION.source;
    const macAt = findMac(view, icmpAt + optionsAt, packetEnd, option);
    if (macAt === -2) return false;
    this.#ipBytes = IP6_BYTES;
    if (!isAdvertisement) {
      this.#saysRouter = type === ND.routerAdvertisement;
      this.#macAt = macAt;
      this.#ipAt = at + IP6.src;
      return macAt >= 0;
    }
    const flags = view.getUint8(icmpAt + ND_FLAGS_AT);
    this.#saysRouter = (flags & ND_FLAG.router) !== 0;
    this.#overrides = (flags & ND_FLAG.override) !== 0;
    this.#macAt = macAt >= 0 ? macAt : start + MAC_BYTES;
    this.#ipAt = icmpAt + ND_TARGET_AT;
    // §7.1.2: nobody solicits by multicast.
    return view.getUint8(at + IP6.dst) !== 0xff || (flags & ND_FLAG.solicited) === 0;
  }

  /** The address that `#read` found can be a single machine's on a network. */
  #isUnicast(view: DataView): boolean {
    const first = view.getUint8(this.#ipAt);
    if (this.#ipBytes === IP4_BYTES) return first > 0 && first !== 127 && first < 224;
    if (first === 0xff) return false;
    // Neither `::`, as who probes for duplicates has, nor `::1`.
    for (let k = 0; k < IP6_BYTES - 1; k++) if (view.getUint8(this.#ipAt + k) !== 0) return true;
    return view.getUint8(this.#ipAt + IP6_BYTES - 1) > 1;
  }
}

/** @returns where the network header of an ARP packet, or of one that may be IGMP, MLD or neighbour discovery, begins; -1 for other frames */
function controlHeader(view: DataView, start: number, end: number): number {
  let at = start + ETH.type;
  for (let tags = 0; tags <= MAX_VLAN_TAGS && at + 2 <= end; tags++) {
    const type = view.getUint16(at);
    if (type === ETHERTYPE.arp) return at + 2;
    if (type === ETHERTYPE.ip4) {
      const isWhole = at + 2 + IP4.minHeader <= end;
      return isWhole && view.getUint8(at + 2 + IP4.protocol) === PROTO.igmp ? at + 2 : -1;
    }
    if (type === ETHERTYPE.ip6) {
      const next = at + 2 + IP6.header <= end ? view.getUint8(at + 2 + IP6.nextHeader) : PROTO.tcp;
      return next === PROTO.icmpv6 || next === PROTO.hopByHop ? at + 2 : -1;
    }
    if (type !== ETHERTYPE.vlan && type !== ETHERTYPE.serviceVlan && type !== ETHERTYPE.legacyVlan) return -1;
    at += ETH.tag;
  }
  return -1;
}

/** Of such a packet. @returns whether it is ARP, or may be neighbour discovery, which no extension header precedes */
function isNeighbours(view: DataView, at: number): boolean {
  if (view.getUint16(at - 2) === ETHERTYPE.ip6) return view.getUint8(at + IP6.nextHeader) === PROTO.icmpv6;
  return isArp(view, at);
}

function isArp(view: DataView, at: number): boolean {
  return view.getUint16(at - 2) === ETHERTYPE.arp;
}

/** @returns where the link-layer address of that option is, -1 without one, -2 where the options contradict themselves */
function findMac(view: DataView, from: number, end: number, wanted: number): number {
  let found = -1;
  for (let at = from; at < end; ) {
    const length = at + ND_OPTION.header > end ? 0 : view.getUint8(at + 1) * ND_OPTION.unit;
    if (length === 0 || at + length > end) return -2;
    if (view.getUint8(at) === wanted && length === ND_OPTION.unit && found < 0) found = at + ND_OPTION.header;
    at += length;
  }
  return found;
}

function keyOf(bytes: Uint8Array, pair: number, tags: readonly number[], ipAt: number, ipBytes: number): string {
  return `${placeOf({ pair, tags })} ${bytes.subarray(ipAt, ipAt + ipBytes)}`;
}

/** Neither a group's nor 00:00:00:00:00:00. */
function isUnicastMac(view: DataView, at: number): boolean {
  if ((view.getUint8(at) & 1) !== 0) return false;
  return view.getUint16(at) !== 0 || view.getUint32(at + 2) !== 0;
}

function isSamePlace(bytes: Uint8Array, a: number, b: number): boolean {
  for (let k = 0; k < MAC_BYTES; k++) if (bytes[a + k] !== bytes[b + k]) return false;
  return true;
}

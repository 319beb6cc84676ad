import { ARP, ETH, ETHERTYPE, IP6, PROTO } from '../classifier/headers.ts';
import { MAX_VLAN_TAGS } from '../classifier/parsed.ts';
import { slabOf } from '../classifier/slab.ts';
import { VERDICT } from '../classifier/verdict.ts';
import { FrameBatch } from './frame-batch.ts';
import { REPORT_BYTES, writeReport } from './membership-reports.ts';
import type { Membership } from './memberships.ts';
import type { OwnAddress } from './own-addresses.ts';
import { BundlePort } from './port/bundle.ts';
import { foldSum, onesSum } from './port/checksum.ts';
import type { Port } from './port/port.ts';

const NS_PER_MS = 1e6;
/** How often each of them is announced, and the gaps between: at once, then 50, 150, 250 and 350 ms later, as QEMU does it. */
const ROUNDS = 5;
const FIRST_GAP_NS = 50 * NS_PER_MS;
const GAP_STEP_NS = 100 * NS_PER_MS;
/** After the port refused. */
const RETRY_NS = NS_PER_MS;
const BATCH_FRAMES = 64;
/** Neighbour advertisement with one option (RFC 4861 §4.4). */
const NA = { bytes: 32, type: 136, flags: 4, target: 8, option: 24, router: 0x80, override: 0x20 } as const;
const TARGET_LINK_LAYER = 0x0201;
const FRAME_BYTES = Math.max(ETH.header + MAX_VLAN_TAGS * ETH.tag + IP6.header + NA.bytes, REPORT_BYTES);
const BROADCAST = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
/** All nodes on the link, as MAC address (RFC 2464 §7) and as IP address. */
const ALL_NODES_MAC = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);
const ALL_NODES = Uint8Array.of(0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const HARDWARE_ETHERNET = 1;
const ARP_REQUEST = 1;
const ARP_REPLY = 2;
const IP6_VERSION = 0x6000_0000;
const ND_HOP_LIMIT = 255;

/**
 * Tells the network where the VM's addresses are, and which multicast groups it has joined: each several times, for a single one may be
 * lost. These frames are the gateway's,
 * not the VM's: they are counted here and by the port, not in the VM's counters.
 */
export class Announcer {
  /** Announcements that the outside port has accepted. */
  sentFrames = 0;
  /** Called with the batch, of which the port has accepted the first `count` frames. Null: nobody looks. */
  onAccepted: ((batch: FrameBatch, count: number) => void) | null = null;
  /** Pairs of ports that an address can be reached through. */
  readonly pairs: number;
  readonly #outside: Port;
  readonly #batch = new FrameBatch(slabOf(new Uint8Array(BATCH_FRAMES * FRAME_BYTES)), BATCH_FRAMES);
  #told: readonly (OwnAddress | Membership)[] = [];
  #round = 0;
  #next = 0;
  #dueNs = Number.POSITIVE_INFINITY;

  constructor(outside: Port) {
    this.#outside = outside;
    this.pairs = outside instanceof BundlePort ? outside.size : 1;
    for (let i = 0; i < BATCH_FRAMES; i++) this.#batch.offset[i] = i * FRAME_BYTES;
    this.#batch.verdict.fill(VERDICT.pass);
  }

  /** Tells of these from `nowNs` on; what was being announced is not any more. */
  begin(told: readonly (OwnAddress | Membership)[], nowNs: number): void {
    this.#told = told;
    this.#round = 0;
    this.#next = 0;
    this.#dueNs = told.length === 0 ? Number.POSITIVE_INFINITY : nowNs;
  }

  /** Announces nothing more. */
  end(): void {
    this.begin([], 0);
  }

  /** @returns when `pump` is needed next, Infinity when everything has been announced */
  nextDueNs(): number {
    return this.#dueNs;
  }

  /** Sends what is due by `nowNs`. */
  pump(nowNs: number): void {
    if (nowNs < this.#dueNs) return;
    while (this.#next < this.#told.length) {
      const count = this.#fill();
      const accepted = this.#outside.transmit(this.#batch, 0, count);
      if (accepted > 0 && this.onAccepted !== null) this.onAccepted(this.#batch, accepted);
      this.sentFrames += accepted;
      this.#next += accepted;
      if (accepted < count) {
        this.#dueNs = nowNs + RETRY_NS;
        return;
      }
    }
    this.#next = 0;
    this.#round++;
    if (this.#round === ROUNDS) this.end();
    else this.#dueNs = nowNs + FIRST_GAP_NS + (this.#round - 1) * GAP_STEP_NS;
  }

  /** @returns how many frames the batch has now, for what is told from `#next` on */
  #fill(): number {
    const batch = this.#batch;
    const { bytes, view } = batch.slab;
    const count = Math.min(BATCH_FRAMES, this.#told.length - this.#next);
    for (let i = 0; i < count; i++) {
      const one = this.#told[this.#next + i]!;
      const start = batch.offset[i]!;
      // RFC 5227 §3 wants a request; there are devices that heed replies only.
      const operation = this.#round % 2 === 0 ? ARP_REQUEST : ARP_REPLY;
      const isJoined = 'group' in one;
      const length = isJoined
        ? writeReport(bytes, view, start, one)
        : writeAnnouncement(bytes, view, start, one, operation);
      batch.length[i] = length;
      batch.wireLength[i] = length;
      batch.pair[i] = one.pair;
    }
    return count;
  }
}

/**
 * A gratuitous ARP packet (RFC 5227 §3), or an unsolicited neighbour advertisement (RFC 4861 §7.2.6).
 * @returns bytes that the frame has
 */
function writeAnnouncement(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  address: OwnAddress,
  operation: number,
): number {
  const { ip, mac, tags } = address;
  const isIp4 = ip.length === 4;
  bytes.set(isIp4 ? BROADCAST : ALL_NODES_MAC, start);
  bytes.set(mac, start + 6);
  let at = start + ETH.type;
  for (const tag of tags) {
    view.setUint32(at, tag);
    at += ETH.tag;
  }
  view.setUint16(at, isIp4 ? ETHERTYPE.arp : ETHERTYPE.ip6);
  at += 2;
  const end = isIp4 ? writeArp(bytes, view, at, address, operation) : writeAdvertisement(bytes, view, at, address);
  return end - start;
}

function writeArp(bytes: Uint8Array, view: DataView, at: number, { ip, mac }: OwnAddress, operation: number): number {
  view.setUint16(at, HARDWARE_ETHERNET);
  view.setUint16(at + ARP.protocol, ETHERTYPE.ip4);
  view.setUint16(at + ARP.protocol + 2, ARP.lengths);
  view.setUint16(at + ARP.operation, operation);
  bytes.set(mac, at + ARP.senderMac);
  bytes.set(ip, at + ARP.senderIp);
  // Who the target is, a request asks; a gratuitous reply answers everybody.
  bytes.fill(operation === ARP_REQUEST ? 0 : 0xff, at + ARP.senderIp + ip.length, at + ARP.targetIp);
  bytes.set(ip, at + ARP.targetIp);
  return at + ARP.full;
}

function writeAdvertisement(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  { ip, mac, isRouter, overrides }: OwnAddress,
): number {
  const icmp = at + IP6.header;
  bytes.fill(0, at, icmp + NA.bytes);
  view.setUint32(at, IP6_VERSION);
  view.setUint16(at + IP6.payloadLength, NA.bytes);
  view.setUint8(at + IP6.nextHeader, PROTO.icmpv6);
  view.setUint8(at + IP6.hopLimit, ND_HOP_LIMIT);
  bytes.set(ip, at + IP6.src);
  bytes.set(ALL_NODES, at + IP6.dst);
  view.setUint8(icmp, NA.type);
  // Without the router flag hosts would take a router out of their lists (RFC 4861 §7.2.5).
  view.setUint8(icmp + NA.flags, (isRouter ? NA.router : 0) | (overrides ? NA.override : 0));
  bytes.set(ip, icmp + NA.target);
  view.setUint16(icmp + NA.option, TARGET_LINK_LAYER);
  bytes.set(mac, icmp + NA.option + 2);
  // The pseudo-header (RFC 8200 §8.1): both addresses, the length, the protocol.
  const sum = onesSum(view, at + IP6.src, 2 * ip.length, NA.bytes + PROTO.icmpv6);
  view.setUint16(icmp + 2, foldSum(onesSum(view, icmp, NA.bytes, sum)));
  return icmp + NA.bytes;
}

import type { FrameBatch } from '../frame-batch.ts';
import { foldSum, onesSum } from './checksum.ts';
import { copyBytes } from './copy-bytes.ts';

const TYPE = { arp: 0x0806, ip6: 0x86dd } as const;
const ETHERNET = { source: 6, type: 12, bytes: 14 } as const;
/** RFC 826, behind the Ethernet header. */
const ARP = { operation: 6, senderMac: 8, senderIp: 14, targetMac: 18, targetIp: 24, bytes: 28 } as const;
const ARP_ETHERNET_IP4 = [0x00010800, 0x0604] as const;
const ARP_REQUEST = 1;
const ARP_REPLY = 2;
const IP6 = { payloadLength: 4, nextHeader: 6, hopLimit: 7, source: 8, destination: 24, bytes: 40 } as const;
const ICMP6 = 58;
const HOP_LIMIT = 255;
/** RFC 4861 §4.3 and §4.4, within the ICMPv6 message; an option with the target's MAC follows. */
const ND = { type: 0, checksum: 2, flags: 4, target: 8, option: 24, bytes: 32 } as const;
const SOLICITATION = 135;
const ADVERTISEMENT = 136;
const SOLICITED_AND_OVERRIDE = 0x6000_0000;
const TARGET_MAC_OPTION = 0x0201;
const ANSWER_ROOM = 96;
const MOST_WAITING = 64;

/**
 * Answers who asks for the MAC of an address on a link that has none: it is ours for every address but the asker's own. Without
 * it nobody with an Ethernet device would send anything there.
 */
export class NeighbourAnswers {
  readonly #mac: readonly number[];
  readonly #room = new DataView(new ArrayBuffer(MOST_WAITING * ANSWER_ROOM));
  readonly #lengths = new Int32Array(MOST_WAITING);
  #first = 0;
  #count = 0;

  /** @param mac whom the answers name, six bytes */
  constructor(mac: readonly number[]) {
    this.#mac = mac;
  }

  /** Answers that wait to be taken. */
  get waiting(): number {
    return this.#count;
  }

  /** @returns whether frame `i` is such a question, or about neighbours otherwise: then it is dealt with */
  hear(batch: FrameBatch, i: number): boolean {
    const { view } = batch.slab;
    const at = batch.offset[i]!;
    if (view.getUint16(at + ETHERNET.type) === TYPE.arp) {
      if (batch.length[i]! >= ETHERNET.bytes + ARP.bytes) this.#hearArp(view, at);
      return true;
    }
    if (!this.isAboutNeighbours(batch, i)) return false;
    if (view.getUint8(at + ETHERNET.bytes + IP6.bytes + ND.type) === SOLICITATION) this.#hearSolicitation(view, at);
    return true;
  }

  /** @returns whether an IPv6 packet asks for, or tells, a MAC */
  isAboutNeighbours(batch: FrameBatch, i: number): boolean {
    const { view } = batch.slab;
    const ip = batch.offset[i]! + ETHERNET.bytes;
    if (view.getUint16(ip - 2) !== TYPE.ip6 || batch.length[i]! < ETHERNET.bytes + IP6.bytes + ND.option) return false;
    if (view.getUint8(ip + IP6.nextHeader) !== ICMP6 || view.getUint8(ip + IP6.hopLimit) !== HOP_LIMIT) return false;
    const type = view.getUint8(ip + IP6.bytes + ND.type);
    return type === SOLICITATION || type === ADVERTISEMENT;
  }

  /** Writes the answer that has waited longest. @returns its length */
  take(out: DataView, at: number): number {
    const length = this.#lengths[this.#first]!;
    copyBytes(this.#room, this.#first * ANSWER_ROOM, out, at, length);
    this.#first = (this.#first + 1) % MOST_WAITING;
    this.#count--;
    return length;
  }

  #hearArp(view: DataView, at: number): void {
    const arp = at + ETHERNET.bytes;
    if (view.getUint32(arp) !== ARP_ETHERNET_IP4[0] || view.getUint16(arp + 4) !== ARP_ETHERNET_IP4[1]) return;
    const sender = view.getUint32(arp + ARP.senderIp);
    const target = view.getUint32(arp + ARP.targetIp);
    // A probe for, or an announcement of, the sender's own address (RFC 5227).
    if (view.getUint16(arp + ARP.operation) !== ARP_REQUEST || sender === 0 || sender === target) return;
    const out = this.#begin(view, at, TYPE.arp, ETHERNET.bytes + ARP.bytes);
    if (out < 0) return;
    const room = this.#room;
    const to = out + ETHERNET.bytes;
    room.setUint32(to, ARP_ETHERNET_IP4[0]);
    room.setUint16(to + 4, ARP_ETHERNET_IP4[1]);
    room.setUint16(to + ARP.operation, ARP_REPLY);
    this.#writeMac(to + ARP.senderMac);
    room.setUint32(to + ARP.senderIp, target);
    copyBytes(view, arp + ARP.senderMac, room, to + ARP.targetMac, ARP.targetMac - ARP.senderMac);
  }

  #hearSolicitation(view: DataView, at: number): void {
    const ip = at + ETHERNET.bytes;
    // Duplicate address detection (RFC 4862 §5.4.2): the address is to be the asker's own.
    if (onesSum(view, ip + IP6.source, 16, 0) === 0) return;
    const out = this.#begin(view, at, TYPE.ip6, ETHERNET.bytes + IP6.bytes + ND.bytes);
    if (out < 0) return;
    const room = this.#room;
    const to = out + ETHERNET.bytes;
    const icmp = to + IP6.bytes;
    room.setUint32(to, 0x6000_0000);
    room.setUint16(to + IP6.payloadLength, ND.bytes);
    room.setUint8(to + IP6.nextHeader, ICMP6);
    room.setUint8(to + IP6.hopLimit, HOP_LIMIT);
    copyBytes(view, ip + IP6.bytes + ND.target, room, to + IP6.source, 16);
    copyBytes(view, ip + IP6.source, room, to + IP6.destination, 16);
    room.setUint32(icmp, 0);
    room.setUint8(icmp + ND.type, ADVERTISEMENT);
    room.setUint32(icmp + ND.flags, SOLICITED_AND_OVERRIDE);
    copyBytes(view, ip + IP6.bytes + ND.target, room, icmp + ND.target, 16);
    room.setUint16(icmp + ND.option, TARGET_MAC_OPTION);
    this.#writeMac(icmp + ND.option + 2);
    const pseudo = onesSum(room, to + IP6.source, 32, ICMP6 + ND.bytes);
    room.setUint16(icmp + ND.checksum, foldSum(onesSum(room, icmp, ND.bytes, pseudo)));
  }

  /** @returns where an answer to the frame at `at` begins, its Ethernet header written; -1: no room */
  #begin(view: DataView, at: number, type: number, length: number): number {
    if (this.#count === MOST_WAITING) return -1;
    const k = (this.#first + this.#count++) % MOST_WAITING;
    this.#lengths[k] = length;
    const out = k * ANSWER_ROOM;
    copyBytes(view, at + ETHERNET.source, this.#room, out, 6);
    this.#writeMac(out + ETHERNET.source);
    this.#room.setUint16(out + ETHERNET.type, type);
    return out;
  }

  #writeMac(at: number): void {
    for (let k = 0; k < 6; k++) this.#room.setUint8(at + k, this.#mac[k]!);
  }
}

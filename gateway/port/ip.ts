import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { NeighbourAnswers } from './neighbour-answers.ts';
import { PacketPort } from './packet.ts';
import { PORT_COUNT } from './port-counters.ts';

const LINKTYPE_ETHERNET = 1;
const ETHERNET = { source: 6, type: 12, bytes: 14 } as const;
const TYPE = { ip4: 0x0800, ip6: 0x86dd } as const;
/** Locally administered; "HOLD" in it. */
const OUR_MAC = [0x02, 0x48, 0x4f, 0x4c, 0x44, 0x01] as const;

/**
 * A device without Ethernet, as tun, PPP and WireGuard are, for the outside of a VM: IP packets leave without their Ethernet
 * header, and get one when they come, from a MAC of our own to the one that the VM used last. The VM finds that MAC behind every
 * address that it asks for, so that any address of the network can be its default gateway. Other frames are counted `invalid`.
 */
export class IpPort extends PacketPort {
  readonly #answers = new NeighbourAnswers(OUR_MAC);
  /** Everybody, until the VM has sent something. */
  readonly #vmMac = new Uint8Array(6).fill(0xff);

  /**
   * @param name the device's name
   * @throws PortError for a device that must not be a port, or without the right to use it
   */
  constructor(name: string, clock: Clock) {
    super(name, clock, {}, 'ip');
  }

  override receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number {
    if (this.socket === null || slotBytes <= ETHERNET.bytes) return 0;
    const { values } = this.counters;
    const { view } = batch.slab;
    let count = 0;
    for (; count < max && this.#answers.waiting > 0; count++) {
      const i = from + count;
      const length = this.#answers.take(view, batch.offset[i]!);
      batch.length[i] = length;
      batch.wireLength[i] = length;
      batch.linkType[i] = LINKTYPE_ETHERNET;
      batch.arrivalNs[i] = this.clock.nowNs();
      batch.gsoType[i] = 0;
      values[PORT_COUNT.received]!++;
      values[PORT_COUNT.receivedBytes]! += length;
    }
    const got = super.receive(batch, from + count, max - count, slotBytes);
    for (let i = from + count; i < from + count + got; i++) {
      const at = batch.offset[i]!;
      for (let k = 0; k < 6; k++) {
        view.setUint8(at + k, this.#vmMac[k]!);
        view.setUint8(at + ETHERNET.source + k, OUR_MAC[k]!);
      }
      const version = view.getUint8(at + ETHERNET.bytes) >> 4;
      view.setUint16(at + ETHERNET.type, version === 6 ? TYPE.ip6 : TYPE.ip4);
    }
    return count + got;
  }

  override transmit(batch: FrameBatch, from: number, count: number): number {
    let done = 0;
    while (done < count) {
      let packets = 0;
      while (done + packets < count && this.#isPacket(batch, from + done + packets)) packets++;
      if (packets > 0) {
        const sent = super.transmit(batch, from + done, packets);
        done += sent;
        if (sent < packets) return done;
      } else {
        this.#hear(batch, from + done);
        done++;
      }
    }
    return count;
  }

  /** @returns whether the frame is an IP packet that goes out, about no neighbours */
  #isPacket(batch: FrameBatch, i: number): boolean {
    if (batch.length[i]! <= ETHERNET.bytes) return false;
    const { view } = batch.slab;
    const at = batch.offset[i]!;
    const type = view.getUint16(at + ETHERNET.type);
    if (type !== TYPE.ip4 && type !== TYPE.ip6) return false;
    for (let k = 0; k < 6; k++) this.#vmMac[k] = view.getUint8(at + ETHERNET.source + k);
    return type === TYPE.ip4 || !this.#answers.isAboutNeighbours(batch, i);
  }

  #hear(batch: FrameBatch, i: number): void {
    const { values } = this.counters;
    if (this.link !== 'up') {
      values[PORT_COUNT.linkDown]!++;
    } else if (batch.length[i]! > ETHERNET.bytes && this.#answers.hear(batch, i)) {
      values[PORT_COUNT.sent]!++;
      values[PORT_COUNT.sentBytes]! += batch.length[i]!;
      if (this.#answers.waiting > 0) setImmediate(() => this.onReady?.());
    } else {
      values[PORT_COUNT.invalid]!++;
    }
  }
}

import { createRequire } from 'node:module';
import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { copyBytes } from './copy-bytes.ts';
import { NetdevPort } from './netdev-port.ts';
import { PcapLink } from './pcap-link.ts';
import { PORT_COUNT, PortCounters } from './port-counters.ts';
import { PortError } from './port-error.ts';
import { finishUnfinishedChecksum } from './unfinished-checksum.ts';

export interface PcapPortOptions {
  /** Arguments of the child's node; by default those of this process. */
  readonly nodeArguments?: readonly string[];
}

const ETHERNET_AND_TAGS = 22;

/**
 * An existing network device, through libpcap and npm's `cap` in a process of its own. Needs nothing of the kernel but packet
 * capture; costs two more copies and a wake-up each way. Nothing on the link may make super-frames.
 */
export class PcapPort extends NetdevPort<PcapLink> {
  /**
   * @param name the device's name
   * @throws PortError for a device that must not be a port, or where `cap` is not installed
   */
  constructor(name: string, clock: Clock, { nodeArguments = process.execArgv }: PcapPortOptions = {}) {
    try {
      createRequire(import.meta.url).resolve('cap');
    } catch {
      throw new PortError(
        'no-cap',
        'pcap ports need the package cap, which npm builds: install libpcap-dev, make and g++, then npm install cap',
      );
    }
    const counters = new PortCounters();
    const open = () => new PcapLink(name, clock, counters, nodeArguments, () => this.check());
    super(name, clock, open, counters);
  }

  /** How often the child has ended by itself since the device is there. */
  get restarts(): number {
    return this.socket?.restarts ?? 0;
  }

  /** Reads what the child has handed over; what the child or the kernel still has comes later. */
  gather(): void {
    this.socket?.stream.gather();
  }

  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number {
    const { socket } = this;
    if (socket === null || max <= 0) return 0;
    const { values } = this.counters;
    const longest = this.device!.mtu + ETHERNET_AND_TAGS;
    for (;;) {
      const count = socket.stream.receive(batch, from, max, slotBytes);
      let kept = 0;
      for (let i = from; i < from + count; i++) {
        if (batch.wireLength[i]! > longest) {
          // A super-frame: nothing tells any more where it is to be cut.
          values[PORT_COUNT.lost]!++;
          values[PORT_COUNT.received]!--;
          values[PORT_COUNT.receivedBytes]! -= batch.wireLength[i]!;
          continue;
        }
        finishUnfinishedChecksum(batch, i);
        moveFrame(batch, i, from + kept);
        kept++;
      }
      if (count === max) socket.goOn();
      if (kept > 0 || count === 0) return kept;
    }
  }

  transmit(batch: FrameBatch, from: number, count: number): number {
    if (this.socket !== null && this.link === 'up') return this.socket.stream.transmit(batch, from, count);
    this.counters.values[PORT_COUNT.linkDown]! += count;
    return count;
  }

  protected override check(): void {
    super.check();
    this.socket?.deviceIs(this.device?.isUp === true);
  }
}

/** Frame `to` becomes what frame `i` is. */
function moveFrame(batch: FrameBatch, i: number, to: number): void {
  if (i === to) return;
  copyBytes(batch.slab.view, batch.offset[i]!, batch.slab.view, batch.offset[to]!, batch.length[i]!);
  batch.length[to] = batch.length[i]!;
  batch.wireLength[to] = batch.wireLength[i]!;
  batch.linkType[to] = batch.linkType[i]!;
  batch.arrivalNs[to] = batch.arrivalNs[i]!;
  batch.gsoType[to] = batch.gsoType[i]!;
}

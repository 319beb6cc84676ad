import type { FrameBatch } from '../frame-batch.ts';
import type { Port, PortCapabilities } from './port.ts';

/** @param ports in the order of pairs, at least one @returns one port for all of them */
export function joinPorts(ports: readonly Port[]): Port {
  return ports.length === 1 ? ports[0]! : new BundlePort(ports);
}

/**
 * A VM's ports of one side as one port. A frame's `pair` says through which it came, and so through which of the other side's
 * ports it goes.
 */
export class BundlePort implements Port {
  readonly name: string;
  readonly capabilities: PortCapabilities;
  readonly #ports: readonly Port[];
  #first = 0;

  /** @param ports in the order of pairs, at most 256 */
  constructor(ports: readonly Port[]) {
    this.#ports = ports;
    this.name = ports.map(({ name }) => name).join(' ');
    this.capabilities = {
      pushesBack: ports.every(({ capabilities }) => capabilities.pushesBack),
      cutsFrames: ports.some(({ capabilities }) => capabilities.cutsFrames),
    };
  }

  /** How many ports these are. */
  get size(): number {
    return this.#ports.length;
  }

  /** Begins with another port each time, so that none is starved by a busy one. */
  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number {
    const ports = this.#ports;
    let count = 0;
    for (let k = 0; k < ports.length && count < max; k++) {
      const pair = (this.#first + k) % ports.length;
      const got = ports[pair]!.receive(batch, from + count, max - count, slotBytes);
      batch.pair.fill(pair, from + count, from + count + got);
      count += got;
    }
    this.#first = (this.#first + 1) % ports.length;
    return count;
  }

  /** Frames that come after one that its port refuses wait too: the order across ports is the order of holding. */
  transmit(batch: FrameBatch, from: number, count: number): number {
    const { pair } = batch;
    let done = 0;
    while (done < count) {
      const at = pair[from + done]!;
      let end = done + 1;
      while (end < count && pair[from + end] === at) end++;
      const accepted = this.#ports[at]!.transmit(batch, from + done, end - done);
      done += accepted;
      if (done < end) break;
    }
    return done;
  }

  gather(): void {
    for (const port of this.#ports) port.gather?.();
  }

  close(): void {
    for (const port of this.#ports) port.close();
  }
}

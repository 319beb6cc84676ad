import type { FrameBatch } from '../../gateway/frame-batch.ts';
import type { Port, PortCapabilities } from '../../gateway/port/port.ts';
import { frame } from '../../pcaps/build.ts';

/**
 * A port that costs as little as a port can: it copies its frames in, the same ones over and over, and accepts whatever
 * leaves. What is measured between two of them is the gateway's own work.
 */
export class BenchPort implements Port {
  readonly name: string;
  readonly capabilities: PortCapabilities = { pushesBack: true, cutsFrames: false };
  /** Frames that `receive` still has. */
  waiting = 0;
  accepted = 0;
  readonly #frames: readonly Uint8Array[];
  #next = 0;

  constructor(name: string, frames: readonly Uint8Array[]) {
    this.name = name;
    this.#frames = frames;
  }

  receive(batch: FrameBatch, from: number, max: number): number {
    const count = max < this.waiting ? max : this.waiting;
    for (let i = from; i < from + count; i++) {
      const bytes = this.#frames[this.#next]!;
      batch.slab.bytes.set(bytes, batch.offset[i]!);
      batch.length[i] = bytes.length;
      batch.wireLength[i] = bytes.length;
      batch.linkType[i] = 1;
      batch.arrivalNs[i] = 0;
      this.#next = this.#next + 1 === this.#frames.length ? 0 : this.#next + 1;
    }
    this.waiting -= count;
    return count;
  }

  transmit(_batch: FrameBatch, _from: number, count: number): number {
    this.accepted += count;
    return count;
  }

  close(): void {
    this.waiting = 0;
  }
}

/** @returns TCP frames of `length` bytes, each of another of `flows` flows */
export function tcpFrames(length: number, flows: number): Uint8Array[] {
  return Array.from({ length: flows }, (_, flow) => {
    const headers = frame()
      .eth()
      .ip4({ dst: `198.51.100.${flow % 250}` })
      .tcp(443, 1024 + flow);
    const bare = headers.build().length;
    return frame()
      .eth()
      .ip4({ dst: `198.51.100.${flow % 250}` })
      .tcp(443, 1024 + flow)
      .payload(new Uint8Array(length - bare))
      .build();
  });
}

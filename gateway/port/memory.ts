import { type Slab, slabOf } from '../../classifier/slab.ts';
import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import type { Port, PortCapabilities } from './port.ts';

/** Frames in one direction of a memory link: a ring of equal slots. */
class Lane {
  readonly slab: Slab;
  readonly frameBytes: number;
  readonly capacity: number;
  readonly length: Uint32Array;
  readonly wireLength: Uint32Array;
  readonly linkType: Uint16Array;
  readonly gsoType: Uint8Array;
  readonly gsoSize: Uint16Array;
  readonly l4Start: Uint16Array;
  head = 0;
  count = 0;

  constructor(capacity: number, frameBytes: number) {
    this.capacity = capacity;
    this.frameBytes = frameBytes;
    this.slab = slabOf(new Uint8Array(capacity * frameBytes));
    this.length = new Uint32Array(capacity);
    this.wireLength = new Uint32Array(capacity);
    this.linkType = new Uint16Array(capacity);
    this.gsoType = new Uint8Array(capacity);
    this.gsoSize = new Uint16Array(capacity);
    this.l4Start = new Uint16Array(capacity);
  }
}

/** One end of a memory link. What it transmits, the other end receives; a full lane refuses. */
export class MemoryPort implements Port {
  readonly name: string;
  readonly capabilities: PortCapabilities = { pushesBack: true, cutsFrames: false };
  readonly #in: Lane;
  readonly #out: Lane;
  readonly #clock: Clock;
  #closed = false;

  constructor(name: string, receives: Lane, transmits: Lane, clock: Clock) {
    this.name = name;
    this.#in = receives;
    this.#out = transmits;
    this.#clock = clock;
  }

  /** Frames that wait to be received here. */
  get waiting(): number {
    return this.#in.count;
  }

  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number {
    if (this.#closed) return 0;
    const lane = this.#in;
    const n = max < lane.count ? max : lane.count;
    for (let i = from; i < from + n; i++) {
      const slot = lane.head;
      const whole = lane.length[slot]!;
      const length = whole < slotBytes ? whole : slotBytes;
      copy(lane.slab.bytes, slot * lane.frameBytes, batch.slab.bytes, batch.offset[i]!, length);
      batch.length[i] = length;
      batch.wireLength[i] = lane.wireLength[slot]!;
      batch.linkType[i] = lane.linkType[slot]!;
      batch.gsoType[i] = lane.gsoType[slot]!;
      batch.gsoSize[i] = lane.gsoSize[slot]!;
      batch.l4Start[i] = lane.l4Start[slot]!;
      batch.arrivalNs[i] = this.#clock.nowNs();
      lane.head = slot + 1 === lane.capacity ? 0 : slot + 1;
      lane.count--;
    }
    return n;
  }

  transmit(batch: FrameBatch, from: number, count: number): number {
    if (this.#closed) return 0;
    const lane = this.#out;
    const room = lane.capacity - lane.count;
    const n = count < room ? count : room;
    for (let i = from; i < from + n; i++) {
      const length = batch.length[i]!;
      if (length > lane.frameBytes) throw new RangeError(`${this.name}: a frame of ${length} bytes does not fit`);
      let slot = lane.head + lane.count;
      if (slot >= lane.capacity) slot -= lane.capacity;
      copy(batch.slab.bytes, batch.offset[i]!, lane.slab.bytes, slot * lane.frameBytes, length);
      lane.length[slot] = length;
      lane.wireLength[slot] = batch.wireLength[i]!;
      lane.linkType[slot] = batch.linkType[i]!;
      lane.gsoType[slot] = batch.gsoType[i]!;
      lane.gsoSize[slot] = batch.gsoSize[i]!;
      lane.l4Start[slot] = batch.l4Start[i]!;
      lane.count++;
    }
    return n;
  }

  close(): void {
    this.#closed = true;
  }
}

/** TypedArray.set would allocate a subarray for every frame. */
function copy(from: Uint8Array, fromOffset: number, to: Uint8Array, toOffset: number, length: number): void {
  for (let i = 0; i < length; i++) to[toOffset + i] = from[fromOffset + i]!;
}

/**
 * Two ports joined back to back.
 * @param capacityFrames how many frames each direction takes before it refuses
 * @param frameBytes the longest frame
 */
export function memoryLink(
  name: string,
  capacityFrames: number,
  frameBytes: number,
  clock: Clock,
): readonly [MemoryPort, MemoryPort] {
  const there = new Lane(capacityFrames, frameBytes);
  const back = new Lane(capacityFrames, frameBytes);
  return [new MemoryPort(`${name}.a`, back, there, clock), new MemoryPort(`${name}.b`, there, back, clock)];
}

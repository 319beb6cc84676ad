import type { Slab } from '../classifier/slab.ts';

/**
 * Frames on their way, one per index in each array: bytes stay where they are in the slab, a frame is an offset and a
 * length. Made once and filled again.
 */
export class FrameBatch {
  readonly slab: Slab;
  readonly capacity: number;
  count = 0;
  /** Bytes from the slab's start. */
  readonly offset: Uint32Array;
  /** Bytes that are there, without FCS. */
  readonly length: Uint32Array;
  /** Bytes the frame had on the wire; more than `length` only where a port cuts frames. */
  readonly wireLength: Uint32Array;
  /** LINKTYPE_ number; 1 is Ethernet. */
  readonly linkType: Uint16Array;
  readonly arrivalNs: Float64Array;
  /**
   * 0: an ordinary frame. Else a super-frame, which offload hardware or the kernel cuts into segments later, and its kind as
   * virtio numbers it (`GSO` in port/vnet-header.ts). Its transport checksum is unfinished.
   */
  readonly gsoType: Uint8Array;
  /** Of a super-frame: payload bytes of each segment. */
  readonly gsoSize: Uint16Array;
  /** Of a super-frame: bytes from its start to its transport header; 0: not known, and the checksum is not unfinished. */
  readonly l4Start: Uint16Array;
  /** Which of the VM's pairs of ports the frame came in through, from 0. */
  readonly pair: Uint8Array;
  /** The epoch that was open when the frame was judged; 0 while the VM is not replicated. */
  readonly epoch: Float64Array;
  readonly verdict: Uint8Array;
  readonly reason: Uint8Array;
  /** Handle of the deciding rule, 0 without one. */
  readonly rule: Int32Array;
  /** The transmit buffer's name for a frame that it lent. */
  readonly ticket: Int32Array;

  constructor(slab: Slab, capacity: number) {
    this.slab = slab;
    this.capacity = capacity;
    this.offset = new Uint32Array(capacity);
    this.length = new Uint32Array(capacity);
    this.wireLength = new Uint32Array(capacity);
    this.linkType = new Uint16Array(capacity).fill(1);
    this.arrivalNs = new Float64Array(capacity);
    this.gsoType = new Uint8Array(capacity);
    this.gsoSize = new Uint16Array(capacity);
    this.l4Start = new Uint16Array(capacity);
    this.pair = new Uint8Array(capacity);
    this.epoch = new Float64Array(capacity);
    this.verdict = new Uint8Array(capacity);
    this.reason = new Uint8Array(capacity);
    this.rule = new Int32Array(capacity);
    this.ticket = new Int32Array(capacity);
  }

  /** Copies what is known of a frame, not its bytes. */
  copyFrom(index: number, from: FrameBatch, fromIndex: number): void {
    this.offset[index] = from.offset[fromIndex]!;
    this.length[index] = from.length[fromIndex]!;
    this.wireLength[index] = from.wireLength[fromIndex]!;
    this.linkType[index] = from.linkType[fromIndex]!;
    this.arrivalNs[index] = from.arrivalNs[fromIndex]!;
    this.gsoType[index] = from.gsoType[fromIndex]!;
    this.gsoSize[index] = from.gsoSize[fromIndex]!;
    this.l4Start[index] = from.l4Start[fromIndex]!;
    this.pair[index] = from.pair[fromIndex]!;
    this.epoch[index] = from.epoch[fromIndex]!;
    this.verdict[index] = from.verdict[fromIndex]!;
    this.reason[index] = from.reason[fromIndex]!;
    this.rule[index] = from.rule[fromIndex]!;
    this.ticket[index] = from.ticket[fromIndex]!;
  }
}

import type { Slab } from '../../classifier/slab.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { FramePointer, NativeMemory } from './libc.ts';
import { writeVnetHeader } from './vnet-header.ts';

/** struct mmsghdr: a msghdr of 56 bytes, then how many bytes went over. */
const MESSAGE = { bytes: 64, vectors: 16, vectorCount: 24, control: 32, controlLength: 40, length: 56 } as const;
/** Two struct iovec: the frame's virtio header, the frame. */
const VECTORS = { bytes: 32, headerBase: 0, headerLength: 8, frameBase: 16, frameLength: 24 } as const;
/** Points nowhere: no slot is there. */
const NOWHERE = 0xffff_ffff;
const HEADER_ROOM = 16;
const CONTROL_ROOM = 64;
/** cmsghdr and struct tpacket_auxdata with padding. */
const CONTROL_BYTES = 40;
/** Within the control data, behind the cmsghdr: struct tpacket_auxdata. */
const AUX = { cmsgLevel: 8, cmsgType: 12, status: 16, tci: 32, tpid: 34, end: 36 } as const;
const SOL_PACKET = 263;
const PACKET_AUXDATA = 8;
const TP_STATUS_VLAN_VALID = 1 << 4;
const TP_STATUS_VLAN_TPID_VALID = 1 << 6;
const DEFAULT_TPID = 0x8100;

/**
 * What recvmmsg and sendmmsg are told, built once: message headers that point to pairs of vectors. Per frame only the place
 * and length of the frame are written.
 */
export class MessageRing {
  readonly capacity: number;
  /** Address of the message headers. */
  readonly address: number;
  /** The frames' virtio headers: that of message `k` begins at `headerAt(k)`. */
  readonly headers: DataView;
  readonly #memory: NativeMemory;
  readonly #vectors: number;
  readonly #header: number;
  readonly #control: number;
  readonly #pointer = new FramePointer();
  /** By message, where in the slab it points to; slots come in the same order again and again, so that there is little to write. */
  readonly #at: Uint32Array;
  #slab: Slab | null = null;
  #skip = 0;
  /** By message: its virtio header is all zeros. */
  readonly #isPlain: Uint8Array;

  /** @param headerBytes length of a virtio header */
  constructor(capacity: number, headerBytes: number, hasControl: boolean) {
    this.capacity = capacity;
    this.#vectors = capacity * MESSAGE.bytes;
    this.#header = this.#vectors + capacity * VECTORS.bytes;
    this.#control = this.#header + capacity * HEADER_ROOM;
    this.#memory = new NativeMemory(this.#control + capacity * CONTROL_ROOM);
    this.address = this.#memory.address;
    this.#at = new Uint32Array(capacity).fill(NOWHERE);
    this.#isPlain = new Uint8Array(capacity).fill(1);
    const { view } = this.#memory;
    this.headers = view;
    for (let k = 0; k < capacity; k++) {
      const message = k * MESSAGE.bytes;
      const vectors = this.#vectors + k * VECTORS.bytes;
      this.#writePointer(message + MESSAGE.vectors, vectors);
      view.setUint32(message + MESSAGE.vectorCount, 2, true);
      if (hasControl) this.#writePointer(message + MESSAGE.control, this.#control + k * CONTROL_ROOM);
      this.#writePointer(vectors + VECTORS.headerBase, this.headerAt(k));
      view.setUint32(vectors + VECTORS.headerLength, headerBytes, true);
    }
  }

  /** @returns where message `k`'s virtio header is in `headers` */
  headerAt(k: number): number {
    return this.#header + k * HEADER_ROOM;
  }

  /** The frame of message `k` is frame `i` of the batch, or goes there: `length` bytes of it, from its byte `skip` on. */
  point(k: number, batch: FrameBatch, i: number, length: number, skip = 0): void {
    const { words } = this.#memory;
    const at = (this.#vectors + k * VECTORS.bytes + VECTORS.frameBase) >> 2;
    if (batch.offset[i] !== this.#at[k] || batch.slab !== this.#slab || skip !== this.#skip) {
      if (batch.slab !== this.#slab || skip !== this.#skip) this.#at.fill(NOWHERE);
      this.#slab = batch.slab;
      this.#skip = skip;
      this.#at[k] = batch.offset[i]!;
      this.#pointer.write(words, at, batch, i, skip);
    }
    words[at + 2] = length;
  }

  /** Writes the virtio header with which frame `i` of the batch is sent as message `k`. */
  writeHeader(k: number, batch: FrameBatch, i: number, skip: number): void {
    const isPlain = batch.gsoType[i] === 0 ? 1 : 0;
    if (isPlain !== 0 && this.#isPlain[k] !== 0) return;
    writeVnetHeader(batch, i, this.headers, this.headerAt(k), skip);
    this.#isPlain[k] = isPlain;
  }

  /** Message `k` may be received with control data; the kernel has written how much came the last time. */
  offerControl(k: number): void {
    this.#memory.words[(k * MESSAGE.bytes + MESSAGE.controlLength) >> 2] = CONTROL_BYTES;
  }

  /** @returns bytes that came or went with message `k`, header included; more than there was room for if it was cut */
  lengthOf(k: number): number {
    return this.#memory.words[(k * MESSAGE.bytes + MESSAGE.length) >> 2]!;
  }

  /** @returns the VLAN tag that the kernel took out of the frame, TPID in the upper 16 bits; 0: none */
  strippedTag(k: number): number {
    const { view, words } = this.#memory;
    if (words[(k * MESSAGE.bytes + MESSAGE.controlLength) >> 2]! < AUX.end) return 0;
    const at = this.#control + k * CONTROL_ROOM;
    if (words[(at + AUX.cmsgLevel) >> 2] !== SOL_PACKET || words[(at + AUX.cmsgType) >> 2] !== PACKET_AUXDATA) return 0;
    const status = words[(at + AUX.status) >> 2]!;
    if ((status & TP_STATUS_VLAN_VALID) === 0) return 0;
    const tpid = (status & TP_STATUS_VLAN_TPID_VALID) === 0 ? DEFAULT_TPID : view.getUint16(at + AUX.tpid, true);
    return ((tpid << 16) | view.getUint16(at + AUX.tci, true)) >>> 0;
  }

  #writePointer(at: number, to: number): void {
    this.#memory.view.setBigUint64(at, BigInt(this.address + to), true);
  }
}

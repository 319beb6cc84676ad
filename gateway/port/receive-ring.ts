import { errnoName, libc, NativeMemory } from './libc.ts';
import { MappedMemory } from './mapped-memory.ts';
import { PortError } from './port-error.ts';

const SOL_PACKET = 263;
const PACKET = { receiveRing: 5, copyThreshold: 7, version: 10 } as const;
const TPACKET_V2 = 1;
/** Room in front of a frame: struct tpacket2_hdr, sockaddr_ll, virtio header and padding. */
const HEADER_ROOM = 128;
const ETHERNET_AND_TAGS = 22;
const LEAST_FRAME_BYTES = 2048;
const BLOCK_BYTES = 65536;
/** linux/if_packet.h: struct tpacket2_hdr */
const HEADER = { status: 0, length: 4, snapLength: 8, mac: 12, tci: 24, tpid: 26 } as const;
const STATUS = { kernel: 0, user: 1, copy: 1 << 1, vlan: 1 << 4, vlanTpid: 1 << 6 } as const;
const DEFAULT_TPID = 0x8100;

/**
 * A ring of frames that a packet socket shares with the kernel (packet_mmap, TPACKET_V2). The next frame is described by the
 * getters, until `release` gives its place back to the kernel.
 */
export class ReceiveRing {
  readonly view: DataView;
  readonly #memory: MappedMemory;
  readonly #words: Int32Array;
  readonly #frameBytes: number;
  readonly #end: number;
  #at = 0;
  #status: number = STATUS.kernel;

  /**
   * @param fd a packet socket that hears nothing yet
   * @param mtu of the device: a frame of it has room; a longer one, as a super-frame, comes through the socket's queue
   * @param ringBytes how much memory the ring may take
   * @throws PortError
   */
  constructor(fd: number, mtu: number, ringBytes: number) {
    const need = HEADER_ROOM + ETHERNET_AND_TAGS + mtu;
    const frameBytes = Math.min(BLOCK_BYTES, Math.max(LEAST_FRAME_BYTES, 2 ** Math.ceil(Math.log2(need))));
    const blocks = Math.max(1, Math.floor(ringBytes / BLOCK_BYTES));
    setOption(fd, 'PACKET_VERSION', PACKET.version, TPACKET_V2);
    setOption(fd, 'PACKET_COPY_THRESH', PACKET.copyThreshold, 1);
    // struct tpacket_req
    setOption(
      fd,
      'PACKET_RX_RING',
      PACKET.receiveRing,
      BLOCK_BYTES,
      blocks,
      frameBytes,
      (blocks * BLOCK_BYTES) / frameBytes,
    );
    this.#memory = new MappedMemory(fd, blocks * BLOCK_BYTES, 0);
    this.view = this.#memory.view;
    this.#words = this.#memory.words;
    this.#frameBytes = frameBytes;
    this.#end = blocks * BLOCK_BYTES;
  }

  /** @returns whether a frame is there */
  look(): boolean {
    this.#status = Atomics.load(this.#words, this.#at >> 2);
    return (this.#status & STATUS.user) !== 0;
  }

  /** The frame was too long for the ring; all of it is next in the socket's queue. */
  get isElsewhere(): boolean {
    return (this.#status & STATUS.copy) !== 0;
  }

  /** Bytes from the ring's start to the frame; its virtio header ends there. */
  get start(): number {
    return this.#at + this.view.getUint16(this.#at + HEADER.mac, true);
  }

  /** Bytes that are in the ring, without a tag that the kernel took out. */
  get length(): number {
    return this.#words[(this.#at + HEADER.snapLength) >> 2]!;
  }

  /** Bytes that the frame has, without a tag that the kernel took out. */
  get wireLength(): number {
    return this.#words[(this.#at + HEADER.length) >> 2]!;
  }

  /** The VLAN tag that the kernel took out of the frame, TPID in the upper 16 bits of 32, signed; 0: none. */
  get tag(): number {
    if ((this.#status & STATUS.vlan) === 0) return 0;
    const hasTpid = (this.#status & STATUS.vlanTpid) !== 0;
    const tpid = hasTpid ? this.view.getUint16(this.#at + HEADER.tpid, true) : DEFAULT_TPID;
    // An unsigned number of this size would be allocated.
    return (tpid << 16) | this.view.getUint16(this.#at + HEADER.tci, true);
  }

  release(): void {
    Atomics.store(this.#words, this.#at >> 2, STATUS.kernel);
    this.#at += this.#frameBytes;
    if (this.#at === this.#end) this.#at = 0;
  }

  unmap(): void {
    this.#memory.unmap();
  }
}

function setOption(fd: number, name: string, option: number, ...values: readonly number[]): void {
  const { words, address } = new NativeMemory(values.length * 4);
  words.set(values);
  if (libc().setsockopt(fd, SOL_PACKET, option, address, values.length * 4) < 0) {
    throw new PortError('system', `${name}: ${errnoName(libc().errno())}`);
  }
}

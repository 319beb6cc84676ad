import { ERRNO, errnoName, libc, NativeMemory } from './libc.ts';
import { PortError } from './port-error.ts';

const BPF_SYSCALL = process.arch === 'arm64' ? 280 : 321;
/** enum bpf_cmd */
const BPF = { createMap: 0, updateElement: 2, loadProgram: 5, createLink: 28 } as const;
const ATTRIBUTE_BYTES = 128;
const MAP_TYPE_XSKMAP = 17;
const PROGRAM_TYPE_XDP = 6;
const ATTACH_TYPE_XDP = 37;
/** The program can bear frames in several pieces: without it a device with jumbo frames takes no program. */
const PROGRAM_HAS_FRAGMENTS = 1 << 5;
const XDP_DROP = 1;
const HELPER_REDIRECT_MAP = 51;
const PSEUDO_MAP_FD = 1;
/** In struct xdp_md. */
const RX_QUEUE_INDEX = 16;
/** Bits of linux/if_link.h's XDP_FLAGS. */
const MODE_FLAGS = { skb: 2, native: 4 } as const;

/** `native`: in the driver; `skb`: in the kernel behind it, for every device. */
export type XdpMode = keyof typeof MODE_FLAGS;

/**
 * The XDP program on a device that gives each frame of receive queue 0 to an AF_XDP socket, and drops what the socket cannot
 * take: nothing goes up to the kernel's stack. The kernel detaches it when this process ends, however it ends.
 */
export class XdpProgram {
  readonly mode: XdpMode;
  readonly #link: number;

  /**
   * @param socket a bound AF_XDP socket
   * @param wanted null: native, or skb where the driver cannot
   * @throws PortError
   */
  constructor(index: number, socket: number, wanted: XdpMode | null) {
    const c = libc();
    const map = bpf(BPF.createMap, 'map', ({ view }) => {
      view.setUint32(0, MAP_TYPE_XSKMAP, true);
      view.setUint32(4, 4, true);
      view.setUint32(8, 4, true);
      view.setUint32(12, 1, true);
    });
    try {
      const element = new NativeMemory(8);
      element.view.setUint32(4, socket, true);
      bpf(BPF.updateElement, 'map element', ({ view }) => {
        view.setUint32(0, map, true);
        view.setBigUint64(8, BigInt(element.address), true);
        view.setBigUint64(16, BigInt(element.address + 4), true);
      });
      const program = load(map);
      try {
        [this.mode, this.#link] = attach(program, index, wanted);
      } finally {
        c.close(program);
      }
    } finally {
      // The program keeps its map, the link its program.
      c.close(map);
    }
  }

  close(): void {
    libc().close(this.#link);
  }
}

function load(map: number): number {
  const instructions = new NativeMemory(6 * 8);
  const { view } = instructions;
  let at = 0;
  const add = (code: number, registers: number, offset: number, immediate: number) => {
    view.setUint8(at, code);
    view.setUint8(at + 1, registers);
    view.setInt16(at + 2, offset, true);
    view.setInt32(at + 4, immediate, true);
    at += 8;
  };
  // return bpf_redirect_map(&map, context->rx_queue_index, XDP_DROP); registers: source in the upper half.
  add(0x61, 0x12, RX_QUEUE_INDEX, 0);
  add(0x18, (PSEUDO_MAP_FD << 4) | 1, 0, map);
  add(0, 0, 0, 0);
  add(0xb7, 0x03, 0, XDP_DROP);
  add(0x85, 0, 0, HELPER_REDIRECT_MAP);
  add(0x95, 0, 0, 0);
  const license = new NativeMemory(16);
  new TextEncoder().encodeInto('Apache-2.0', license.bytes);
  const prepare = (flags: number) => (attributes: NativeMemory) => {
    attributes.view.setUint32(0, PROGRAM_TYPE_XDP, true);
    attributes.view.setUint32(4, at / 8, true);
    attributes.view.setBigUint64(8, BigInt(instructions.address), true);
    attributes.view.setBigUint64(16, BigInt(license.address), true);
    attributes.view.setUint32(44, flags, true);
    new TextEncoder().encodeInto('holdfast', attributes.bytes.subarray(48, 63));
    attributes.view.setUint32(68, ATTACH_TYPE_XDP, true);
  };
  try {
    return bpf(BPF.loadProgram, 'program', prepare(PROGRAM_HAS_FRAGMENTS));
  } catch {
    // Before Linux 5.18.
    return bpf(BPF.loadProgram, 'program', prepare(0));
  }
}

function attach(program: number, index: number, wanted: XdpMode | null): [XdpMode, number] {
  const create = (mode: XdpMode) =>
    bpf(BPF.createLink, `${mode} mode`, ({ view }) => {
      view.setUint32(0, program, true);
      view.setUint32(4, index, true);
      view.setUint32(8, ATTACH_TYPE_XDP, true);
      view.setUint32(12, MODE_FLAGS[mode], true);
    });
  if (wanted !== null) return [wanted, create(wanted)];
  try {
    return ['native', create('native')];
  } catch (error) {
    if (error instanceof PortError && error.code === 'taken') throw error;
    return ['skb', create('skb')];
  }
}

/** @returns a file descriptor, or 0 @throws PortError */
function bpf(command: number, what: string, fill: (attributes: NativeMemory) => void): number {
  const c = libc();
  const attributes = new NativeMemory(ATTRIBUTE_BYTES);
  fill(attributes);
  const result = c.syscall(BPF_SYSCALL, command, attributes.address, ATTRIBUTE_BYTES);
  if (result >= 0) return result;
  const errno = c.errno();
  if (errno === ERRNO.EPERM) throw new PortError('not-permitted', 'XDP needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF');
  if (errno === ERRNO.EBUSY || errno === ERRNO.EEXIST) {
    throw new PortError('taken', 'another XDP program is on the device (ip link shows it)');
  }
  throw new PortError('system', `XDP ${what}: ${errnoName(errno)}`);
}

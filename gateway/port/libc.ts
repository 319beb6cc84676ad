import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';
import type { Slab } from '../../classifier/slab.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { PortError } from './port-error.ts';

/** The parts of koffi that ports use. */
export type KoffiModule = typeof Koffi;

/** Addresses are numbers: user space lies below 2^47, on arm64 below 2^48. Each function returns -1 on failure; then `errno` tells why. */
export interface Libc {
  readonly koffi: KoffiModule;
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: number, length: number): number;
  send(fd: number, data: number, length: number, flags: number): number;
  recv(fd: number, data: number, length: number, flags: number): number;
  recvmmsg(fd: number, messages: number, count: number, flags: number, timeout: number): number;
  sendmmsg(fd: number, messages: number, count: number, flags: number): number;
  readv(fd: number, vectors: number, count: number): number;
  writev(fd: number, vectors: number, count: number): number;
  setsockopt(fd: number, level: number, name: number, value: number, length: number): number;
  getsockopt(fd: number, level: number, name: number, value: number, length: number): number;
  open(path: string, flags: number): number;
  ioctl(fd: number, request: number, argument: number): number;
  mmap(address: number, length: number, protection: number, flags: number, fd: number, offset: number): number;
  munmap(address: number, length: number): number;
  syscall(number: number, a: number, b: number, c: number): number;
  close(fd: number): number;
  /** Bytes: 4096 on x64; kernels for arm64 have 4, 16 or 64 KiB. */
  getpagesize(): number;
  errno(): number;
}

/** Numbers of the errors that ports tell apart (Linux, asm-generic/errno.h). */
export const ERRNO = {
  EPERM: 1,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EAGAIN: 11,
  ENOMEM: 12,
  EBUSY: 16,
  ENODEV: 19,
  EEXIST: 17,
  EINVAL: 22,
  EBADFD: 77,
  EMSGSIZE: 90,
  ENETDOWN: 100,
  ENOBUFS: 105,
} as const;

let loaded: Libc | null = null;

/**
 * The C library through koffi, which is loaded by the first call.
 * @throws PortError `no-koffi` where koffi is not installed, `not-linux` elsewhere than on 64-bit little-endian Linux
 */
export function libc(): Libc {
  if (loaded !== null) return loaded;
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    throw new PortError('not-linux', 'ports on network devices need Linux on x64 or arm64');
  }
  let koffi: KoffiModule;
  try {
    koffi = createRequire(import.meta.url)('koffi') as KoffiModule;
  } catch (error) {
    throw new PortError('no-koffi', `ports on network devices need the package koffi: ${(error as Error).message}`);
  }
  const c = koffi.load(null);
  loaded = {
    koffi,
    socket: c.func('int socket(int, int, int)'),
    bind: c.func('int bind(int, uintptr_t, unsigned int)'),
    send: c.func('long send(int, uintptr_t, size_t, int)'),
    recv: c.func('long recv(int, uintptr_t, size_t, int)'),
    recvmmsg: c.func('int recvmmsg(int, uintptr_t, unsigned int, int, uintptr_t)'),
    sendmmsg: c.func('int sendmmsg(int, uintptr_t, unsigned int, int)'),
    readv: c.func('long readv(int, uintptr_t, int)'),
    writev: c.func('long writev(int, uintptr_t, int)'),
    setsockopt: c.func('int setsockopt(int, int, int, uintptr_t, unsigned int)'),
    getsockopt: c.func('int getsockopt(int, int, int, uintptr_t, uintptr_t)'),
    open: c.func('int open(const char *, int)'),
    ioctl: c.func('int ioctl(int, unsigned long, uintptr_t)'),
    mmap: c.func('intptr_t mmap(uintptr_t, size_t, int, int, int, long)'),
    munmap: c.func('int munmap(uintptr_t, size_t)'),
    syscall: c.func('long syscall(long, uintptr_t, uintptr_t, uintptr_t)'),
    close: c.func('int close(int)'),
    getpagesize: c.func('int getpagesize(void)'),
    errno: () => koffi.errno(),
  };
  return loaded;
}

/** @returns the name of an error number, as EPERM */
export function errnoName(errno: number): string {
  const names = libc().koffi.os.errno;
  return Object.keys(names).find((name) => names[name] === errno) ?? `errno ${errno}`;
}

/** Memory whose address is known and stays: what system calls read and write. */
export class NativeMemory {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly address: number;

  constructor(length: number) {
    // Shorter arrays lie in the garbage collector's heap, which moves them.
    const buffer = new ArrayBuffer(Math.max(4096, (length + 7) & ~7));
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.words = new Uint32Array(buffer);
    this.address = addressOf(this.bytes);
  }
}

/** Writes addresses of frames into memory that the kernel reads. */
export class FramePointer {
  /** Kept: an address alone does not keep memory alive. */
  #slab: Slab | null = null;
  /** Of the slab; in an array, because a number of this size in a field could be allocated again and again. */
  readonly #base = new Float64Array(1);

  /** Writes the address of frame `i`, or of its slot, plus `skip` bytes, as two words from `at` on. */
  write(words: Uint32Array, at: number, batch: FrameBatch, i: number, skip = 0): void {
    if (batch.slab !== this.#slab) {
      this.#slab = batch.slab;
      this.#base[0] = addressOf(batch.slab.bytes);
    }
    const address = this.#base[0]! + batch.offset[i]! + skip;
    words[at] = address;
    words[at + 1] = address / 0x1_0000_0000;
  }
}

function addressOf(bytes: Uint8Array): number {
  return Number(libc().koffi.address(bytes));
}

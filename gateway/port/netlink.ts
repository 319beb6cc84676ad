import { ERRNO, errnoName, libc, NativeMemory } from './libc.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_ROUTE = 0;
const MSG_DONTWAIT = 0x40;
const HEADER_BYTES = 16;
const REPLY_BYTES = 65536;
/** nlmsg_type of the kernel's answers. */
const NLMSG = { error: 2, done: 3 } as const;
/** Bits of nlmsg_flags. */
export const NLM = { request: 1, ack: 4, exclusive: 0x200, create: 0x400, dump: 0x300 } as const;

/** The kernel refuses a request. */
export class NetlinkError extends Error {
  readonly errno: number;

  constructor(errno: number) {
    super(errnoName(errno));
    this.name = 'NetlinkError';
    this.errno = errno;
  }
}

/** One attribute: its type, and its value as bytes. */
export type Attribute = readonly [type: number, value: Uint8Array];

/** @returns the attributes one after another, each with its header and padding (RFC 3549 §2.3) */
export function attributes(...list: readonly Attribute[]): Uint8Array {
  const parts = list.map(([type, value]) => {
    const part = new Uint8Array((4 + value.length + 3) & ~3);
    const view = new DataView(part.buffer);
    view.setUint16(0, 4 + value.length, true);
    view.setUint16(2, type, true);
    part.set(value, 4);
    return part;
  });
  return joined(...parts);
}

/** @returns the attributes in `bytes` from `offset` on, by type */
export function readAttributes(bytes: Uint8Array, offset: number): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = offset; at + 4 <= bytes.length; ) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > bytes.length) break;
    // The two highest bits are flags.
    found.set(view.getUint16(at + 2, true) & 0x3fff, bytes.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function u32(value: number): Uint8Array {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value, true);
  return out;
}

/** @returns the text with the zero that ends it */
export function zeroEnded(text: string): Uint8Array {
  return joined(new TextEncoder().encode(text), Uint8Array.of(0));
}

/** @returns a socket of the rtnetlink family; `groups` is a mask of what it is told of unasked */
export function netlinkSocket(groups: number): number {
  const c = libc();
  const fd = c.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (fd < 0) throw new NetlinkError(c.errno());
  const address = new NativeMemory(12);
  address.view.setUint16(0, AF_NETLINK, true);
  address.view.setUint32(8, groups, true);
  if (c.bind(fd, address.address, 12) < 0) {
    const error = new NetlinkError(c.errno());
    c.close(fd);
    throw error;
  }
  return fd;
}

/**
 * Asks the kernel once. It answers while it takes the request, so that nothing waits.
 * @param body the message behind its netlink header
 * @returns the bodies of what it answers
 * @throws NetlinkError
 */
export function netlinkRequest(type: number, flags: number, body: Uint8Array): Uint8Array[] {
  const c = libc();
  const fd = netlinkSocket(0);
  try {
    const memory = new NativeMemory(REPLY_BYTES);
    const length = HEADER_BYTES + body.length;
    memory.view.setUint32(0, length, true);
    memory.view.setUint16(4, type, true);
    memory.view.setUint16(6, flags | NLM.request | ((flags & NLM.dump) === NLM.dump ? 0 : NLM.ack), true);
    memory.bytes.set(body, HEADER_BYTES);
    if (c.send(fd, memory.address, length, 0) < 0) throw new NetlinkError(c.errno());
    const answers: Uint8Array[] = [];
    for (;;) {
      const got = c.recv(fd, memory.address, REPLY_BYTES, MSG_DONTWAIT);
      if (got < 0) throw new NetlinkError(c.errno());
      if (readReplies(memory, got, answers)) return answers;
    }
  } finally {
    c.close(fd);
  }
}

/** @returns whether the answer is complete */
function readReplies(memory: NativeMemory, length: number, answers: Uint8Array[]): boolean {
  for (let at = 0; at + HEADER_BYTES <= length; ) {
    const size = memory.view.getUint32(at, true);
    const type = memory.view.getUint16(at + 4, true);
    if (type === NLMSG.done) return true;
    if (type === NLMSG.error) {
      const errno = -memory.view.getInt32(at + HEADER_BYTES, true);
      if (errno !== 0) throw new NetlinkError(errno);
      return true;
    }
    answers.push(memory.bytes.slice(at + HEADER_BYTES, at + size));
    at += (size + 3) & ~3;
  }
  return false;
}

/** Reads away what the socket was told. @returns whether there was anything */
export function drainNetlink(fd: number, memory: NativeMemory): boolean {
  const c = libc();
  let any = false;
  for (;;) {
    if (c.recv(fd, memory.address, memory.bytes.length, MSG_DONTWAIT) >= 0) any = true;
    // Too much to be told: something has changed.
    else if (c.errno() === ERRNO.ENOBUFS) any = true;
    else return any;
  }
}

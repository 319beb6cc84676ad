import koffi from 'koffi';

const AF_INET = 2;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;
const MSG_DONTWAIT = 0x40;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOCKADDR_BYTES = 16;

const c = koffi.load(null);
const socket = c.func('int socket(int, int, int)');
const bind = c.func('int bind(int, const uint8_t *, unsigned int)');
const sendto = c.func('long sendto(int, const uint8_t *, size_t, int, const uint8_t *, unsigned int)');
const recv = c.func('long recv(int, _Out_ uint8_t *, size_t, int)');
const setsockopt = c.func('int setsockopt(int, int, int, const uint32_t *, unsigned int)');
const close = c.func('int close(int)');

/** A UDP socket of the kernel's, one system call a datagram, nothing between it and the caller. */
export class UdpSocket {
  readonly #fd = socket(AF_INET, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0) as number;

  constructor(address: string, port: number, receiveBufferBytes = 64 * 2 ** 20) {
    setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, Uint32Array.of(receiveBufferBytes), 4);
    if (bind(this.#fd, sockaddr(address, port), SOCKADDR_BYTES) !== 0) {
      throw new Error(`cannot bind to ${address}:${port}`);
    }
  }

  /** @returns whether the kernel took it */
  send(to: Uint8Array, bytes: Uint8Array, length: number): boolean {
    return sendto(this.#fd, bytes, length, MSG_DONTWAIT, to, SOCKADDR_BYTES) === length;
  }

  /** @returns bytes that came; negative: nothing is there */
  receive(into: Uint8Array): number {
    return recv(this.#fd, into, into.length, MSG_DONTWAIT);
  }

  close(): void {
    close(this.#fd);
  }
}

/** An IPv4 address and port as the kernel has them. */
export function sockaddr(address: string, port: number): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_BYTES);
  bytes[0] = AF_INET;
  bytes[2] = port >> 8;
  bytes[3] = port & 0xff;
  bytes.set(address.split('.').map(Number), 4);
  return bytes;
}

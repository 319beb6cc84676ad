import { libc, NativeMemory } from '../../gateway/port/libc.ts';

const AF_UNIX = 1;
const SOCK_DGRAM_NONBLOCK = 2 | 0o4000;
const MSG_DONTWAIT = 0x40;

/** A unix datagram socket that is bound to a name, as systemd's. */
export class DatagramReceiver {
  readonly #fd: number;
  readonly #memory = new NativeMemory(8192);

  /** @param name a path, or an abstract name with '@' in front */
  constructor(name: string) {
    const c = libc();
    this.#fd = c.socket(AF_UNIX, SOCK_DGRAM_NONBLOCK, 0);
    const bytes = Buffer.from(name.startsWith('@') ? `\0${name.slice(1)}` : `${name}\0`);
    this.#memory.view.setUint16(0, AF_UNIX, true);
    this.#memory.bytes.set(bytes, 2);
    if (c.bind(this.#fd, this.#memory.address, 2 + bytes.length) !== 0) throw new Error(`cannot bind ${name}`);
  }

  /** @returns the messages that have come since the last call */
  take(): string[] {
    const messages: string[] = [];
    for (;;) {
      const { address, bytes } = this.#memory;
      const length = libc().recv(this.#fd, address, bytes.length, MSG_DONTWAIT);
      if (length < 0) return messages;
      messages.push(Buffer.from(bytes.subarray(0, length)).toString());
    }
  }

  close(): void {
    libc().close(this.#fd);
  }
}

import { sockaddr, UdpSocket } from '../soak/udp.ts';
import { leaveNetns, type Netns } from './netns.ts';

const MOST_BYTES = 65_536;

/** A UDP socket in a network namespace, in this process's hand: what is sent is on its way when the call returns. */
export class UdpHand {
  readonly #socket: UdpSocket;
  readonly #buffer = new Uint8Array(MOST_BYTES);

  constructor(netns: Netns, address: string, port: number) {
    netns.enter();
    try {
      this.#socket = new UdpSocket(address, port);
    } finally {
      leaveNetns();
    }
  }

  send(address: string, port: number, text: string): void {
    const bytes = new TextEncoder().encode(text);
    if (!this.#socket.send(sockaddr(address, port), bytes, bytes.length)) throw new Error(`'${text}' was not sent`);
  }

  /** @returns what has come since */
  take(): string[] {
    const texts: string[] = [];
    for (;;) {
      const length = this.#socket.receive(this.#buffer);
      if (length < 0) return texts;
      texts.push(new TextDecoder().decode(this.#buffer.subarray(0, length)));
    }
  }

  close(): void {
    this.#socket.close();
  }
}

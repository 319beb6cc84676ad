import { connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly client: Socket;
  readonly gateway: Socket;
}

/** Stands between a client and the gateway, or another server, and loses answers on purpose. */
export class CutProxy {
  readonly path: string;
  /** When each of the connections so far came, ms of performance.now(). */
  readonly connectedAt: number[] = [];
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #cutAfter: string | null = null;
  #isDown = false;
  #deaf: 'client' | 'server' | null = null;
  readonly #pairs = new Set<Pair>();

  constructor(to: string) {
    this.path = `${to}.proxy`;
    this.#server = createServer((client) => this.#join(client, to));
  }

  get connections(): number {
    return this.connectedAt.length;
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(this.path, resolve));
    return this;
  }

  /** The next request of this method reaches the gateway, its answer is lost and the connection breaks. */
  loseAnswerTo(method: string): void {
    this.#cutAfter = method;
  }

  /** Breaks all connections; new ones break too until `up`. */
  down(): void {
    this.#isDown = true;
    for (const socket of this.#open) socket.destroy();
  }

  up(): void {
    this.#isDown = false;
  }

  /** One side hears nothing of the other any more, not even that it has hung up, and is heard. Null: it hears now what was said since. */
  deafen(side: 'client' | 'server' | null): void {
    this.#deaf = side;
    for (const pair of this.#pairs) this.#silence(pair);
  }

  async close(): Promise<void> {
    this.down();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket, to: string): void {
    this.connectedAt.push(performance.now());
    if (this.#isDown) {
      client.destroy();
      return;
    }
    const gateway = connect(to);
    const pair = { client, gateway };
    this.#pairs.add(pair);
    let isCut = false;
    for (const socket of [client, gateway]) {
      this.#open.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#open.delete(socket);
        this.#pairs.delete(pair);
        client.destroy();
        gateway.destroy();
      });
    }
    client.on('data', (chunk) => {
      if (this.#cutAfter !== null && chunk.includes(`"method":"${this.#cutAfter}"`)) {
        this.#cutAfter = null;
        isCut = true;
      }
      gateway.write(chunk);
    });
    gateway.on('data', (chunk) => {
      if (isCut) client.destroy();
      else client.write(chunk);
    });
    this.#silence(pair);
  }

  #silence({ client, gateway }: Pair): void {
    if (this.#deaf === 'server') client.pause();
    else client.resume();
    if (this.#deaf === 'client') gateway.pause();
    else gateway.resume();
  }
}

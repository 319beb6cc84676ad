import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ImageSender } from './standby-link.ts';

/** What takes the bytes of a stream; `write` says false where `onDrained` tells when there is room again. */
type ImageSink = Pick<ImageSender, 'onDrained'> & { write(bytes: Buffer): boolean };

/** Takes a machine's migration streams on a unix socket of its own, and sends them on. */
export class ImageRelay {
  /** For the machine's `migrate`. */
  readonly uri: string;
  readonly #folder: string;
  readonly #server: Server;
  #sender: ImageSink | null = null;
  #socket: Socket | null = null;
  #ended: ((isWhole: boolean) => void) | null = null;

  private constructor(folder: string) {
    this.#folder = folder;
    this.uri = `unix:${join(folder, 'image')}`;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async open(): Promise<ImageRelay> {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-image-'));
    const relay = new ImageRelay(folder);
    const path = join(folder, 'image');
    await new Promise<void>((resolve, reject) => {
      relay.#server.once('error', reject);
      relay.#server.listen(path, resolve);
    });
    chmodSync(path, 0o600);
    return relay;
  }

  /**
   * The next stream that comes is sent there; one that comes still is cut.
   * @returns when it has ended: whether by itself, so that all that the machine has written is there; else it was cut
   */
  to(sender: ImageSink): Promise<boolean> {
    this.cut();
    this.#sender = sender;
    return new Promise((resolve) => {
      this.#ended = resolve;
    });
  }

  /** The stream that is on its way comes to nothing. */
  cut(): void {
    this.#sender = null;
    this.#socket?.destroy();
    this.#socket = null;
    this.#ended?.(false);
    this.#ended = null;
  }

  close(): void {
    this.cut();
    this.#server.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #accept(socket: Socket): void {
    const sender = this.#sender;
    if (sender === null || this.#socket !== null) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => {
      if (sender.write(bytes)) return;
      socket.pause();
      sender.onDrained(() => socket.resume());
    });
    socket.on('error', () => {});
    socket.on('close', (hadError) => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#sender = null;
      this.#ended?.(!hadError);
      this.#ended = null;
    });
  }
}

import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  statSync,
} from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { listenOnSocket } from '../host/socket-file.ts';
import { QmpError } from './qmp.ts';
import type { ImageSender } from './standby-link.ts';

const NAME = 'socket';
/** Of a unix socket's path, in bytes; unix(7). */
const MOST_PATH_BYTES = 107;

/** What takes the bytes of a stream; `write` says false where `onDrained` tells when there is room again. */
type ImageSink = Pick<ImageSender, 'onDrained'> & { write(bytes: Buffer): boolean };

/** Takes a machine's migration streams on a unix socket of its own, and sends them on. */
export class ImageRelay {
  /** For the machine's `migrate`. */
  readonly uri: string;
  readonly #folder: string;
  readonly #fd: number;
  readonly #server: Server;
  #sender: ImageSink | null = null;
  #socket: Socket | null = null;
  #ended: ((isWhole: boolean) => void) | null = null;

  private constructor(folder: string, fd: number) {
    this.#folder = folder;
    this.#fd = fd;
    this.uri = `unix:${join(folder, NAME)}`;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /**
   * @param qmp the machine's QMP socket: beside it, where the machine may make one, it may connect to one
   * @throws QmpError where there is no place for a socket
   */
  static async open(qmp: string): Promise<ImageRelay> {
    try {
      // The machine may have been started elsewhere.
      const folder = folderFor(resolve(qmp));
      const fd = letIn(folder, statSync(qmp));
      const relay = new ImageRelay(folder, fd);
      // For whoever gets into the folder, and in that folder, whatever its name leads to by now.
      await listenOnSocket(relay.#server, `/proc/self/fd/${fd}/${NAME}`, 0).catch((error) => {
        closeSync(fd);
        throw error;
      });
      return relay;
    } catch (error) {
      throw new QmpError('no-image-socket', `no socket for the machine's memory: ${(error as Error).message}`);
    }
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
    closeSync(this.#fd);
    try {
      rmdirSync(this.#folder);
    } catch {
      // Somebody else has put something there, or has removed it.
    }
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

/** @returns a folder for the socket: one that a driver before has left, too */
function folderFor(qmp: string): string {
  const beside = `${qmp}.image`;
  if (Buffer.byteLength(join(beside, NAME)) > MOST_PATH_BYTES) return otherFolder();
  try {
    mkdirSync(beside, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return otherFolder();
  }
  return beside;
}

function otherFolder(): string {
  return mkdtempSync(join(resolve(tmpdir()), 'holdfast-image-'));
}

/**
 * The machine's user gets into the folder, and nobody else. That user may own the folder around it, and is not trusted: nothing is
 * done by a name that may have become another file's.
 * @param machine the owner of its socket
 * @returns the folder, open
 */
function letIn(folder: string, machine: { readonly uid: number; readonly gid: number }): number {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const { uid } = fstatSync(fd);
    const us = process.getuid!();
    if (uid !== us && uid !== machine.uid) throw new Error(`${folder} is somebody else's (uid ${uid})`);
    fchmodSync(fd, 0o700);
    if (us === 0) fchownSync(fd, machine.uid, machine.gid);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

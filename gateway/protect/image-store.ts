import {
  closeSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { syncFolder } from '../disk/file-io.ts';
import { isDelta } from './delta-image.ts';
import { troubleAt } from './folder-trouble.ts';
import { imagePath, imagesIn, isWhole } from './image-name.ts';
import type { RamBase } from './ram-base.ts';
import type { Checkpoint } from './standby-api.ts';
import { StandbyLease } from './standby-lease.ts';

const SPARE = 'incoming';

/** An image that is not what its sender says; what was kept before is as it was. */
export class TornImageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TornImageError';
  }
}

/** A complete image. */
export interface StoredImage extends Checkpoint {
  readonly path: string;
  readonly bytes: number;
  /** Where in it the machine's devices are, and memory is in a file of its own; null: it has all, and nothing else. */
  readonly devices: { readonly start: number; readonly bytes: number } | null;
  /** A failover may have switched the network to a machine that had loaded it; that machine has not run. */
  readonly mayBeSwitched: boolean;
}

interface Incoming extends Checkpoint {
  readonly fd: number;
  bytes: number;
  crc: number;
}

/**
 * A standby's images, in a folder of their own: the newest complete one, and one on its way. A complete one is written, measured,
 * and only then given its name; so whoever is killed in the middle finds the one before.
 */
export class ImageStore {
  /** Of the machine that the images are of. */
  readonly lease: StandbyLease;
  readonly #folder: string;
  /** What an image is written to; its place is taken over from the image before the last, whose memory the kernel need not find again. */
  readonly #spare: string;
  readonly #syncs: boolean;
  readonly #ram: RamBase | null;
  #newest: StoredImage | null = null;
  #incoming: Incoming | null = null;
  /** The image that could not be kept, until one has been, and why: its sender asks at its end. */
  #lost: (Checkpoint & { readonly why: string }) | null = null;
  /** Memory is what the newest image says. */
  #isApplied = true;
  /** How often images were. */
  #abandoned = 0;

  /**
   * Opens the folder and finds what an earlier process left there; what is torn, or older than the newest, is removed.
   * @param syncs an image counts only when the storage has it; needed where the folder must survive a power failure
   * @param ram the memory that images change; null: each has all of it
   * @throws Error where images of the other kind are there, or what comes cannot be written
   */
  constructor(folder: string, syncs = false, ram: RamBase | null = null) {
    this.#folder = folder;
    this.#spare = join(folder, SPARE);
    this.#syncs = syncs;
    this.#ram = ram;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.lease = new StandbyLease(folder, syncs);
    if (lstatSync(this.#spare, { throwIfNoEntry: false })?.isFile() === false) {
      throw new Error(`${this.#spare} is there and is no file`);
    }
    for (const [i, found] of imagesIn(folder).entries()) {
      const { term, epoch, path, bytes } = found;
      // Memory may be ahead of any but the last of them.
      const isCandidate = this.#newest === null && (ram === null || i === 0) && isWhole(found);
      const image = { term, epoch, path, bytes, devices: null, mayBeSwitched: false };
      const kept = isCandidate ? this.#recovered(image) : null;
      if (kept !== null) this.#newest = kept;
      else rmSync(path, { force: true });
    }
    if (this.#newest === null) ram?.forget();
  }

  /** Images of this folder are changes of memory. */
  get keepsChanges(): boolean {
    return this.#ram !== null;
  }

  /** What a failover goes back to. */
  get newest(): StoredImage | null {
    return this.#newest;
  }

  get incoming(): (Checkpoint & { readonly bytes: number }) | null {
    return this.#incoming;
  }

  /** Why the last image could not be kept; null: one has been since. */
  get trouble(): string | null {
    return this.#lost?.why ?? null;
  }

  /** An image begins; one that was on its way is thrown away. Where it cannot be written `end` says so. */
  begin({ term, epoch }: Checkpoint): void {
    this.abandon();
    try {
      // Not truncated: writing over what is there costs half of what new pages cost.
      const fd = openSync(this.#spare, 'a+', 0o600);
      closeSync(fd);
      this.#incoming = { term, epoch, fd: openSync(this.#spare, 'r+'), bytes: 0, crc: 0 };
    } catch (error) {
      this.#lose({ term, epoch }, troubleAt(this.#spare, error));
    }
  }

  /** @param bytes the next ones of the image on its way; without one they are nobody's. Where they cannot be written `end` says so */
  write(bytes: Uint8Array): void {
    const incoming = this.#incoming;
    if (incoming === null) return;
    try {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(incoming.fd, bytes, done, bytes.length - done, incoming.bytes + done);
      }
    } catch (error) {
      this.#lose(incoming, troubleAt(this.#spare, error));
      return;
    }
    incoming.bytes += bytes.length;
    incoming.crc = crc32(bytes, incoming.crc);
  }

  /**
   * The image on its way is complete, if it is what its sender says: then it is the newest.
   * @throws TornImageError; Error where the folder cannot keep it
   */
  async end({ term, epoch }: Checkpoint, bytes: number, crc: number): Promise<void> {
    const incoming = this.#incoming;
    if (incoming === null || incoming.term !== term || incoming.epoch !== epoch) {
      const isLost = incoming === null && this.#lost?.term === term && this.#lost.epoch === epoch;
      throw new TornImageError(isLost ? this.#lost!.why : `no image of epoch ${epoch} in term ${term} is on its way`);
    }
    try {
      await this.#complete(incoming, bytes, crc);
    } catch (error) {
      if (error instanceof TornImageError) throw error;
      // Another one may be on its way by now.
      const why = troubleAt(this.#folder, error);
      if (this.#incoming === incoming || this.#incoming === null) this.#lose(incoming, why);
      throw new Error(why);
    }
  }

  /** @throws as `end` */
  async #complete(incoming: Incoming, bytes: number, crc: number): Promise<void> {
    const { term, epoch } = incoming;
    if (incoming.bytes !== bytes || incoming.crc !== crc) {
      this.abandon();
      throw new TornImageError(
        `the image has ${incoming.bytes} bytes of ${bytes}, with a checksum that is not its own`,
      );
    }
    ftruncateSync(incoming.fd, bytes);
    await this.#ram?.free();
    if (this.#syncs) {
      await promisify(fsync)(incoming.fd).catch((error: Error) => {
        // One that was abandoned meanwhile is closed.
        if (this.#incoming === incoming) throw error;
      });
    }
    if (this.#incoming !== incoming) throw new TornImageError(`the image of epoch ${epoch} was abandoned`);
    const devices = this.#checked();
    this.#incoming = null;
    closeSync(incoming.fd);
    const path = imagePath(this.#folder, incoming, bytes, crc);
    const before = this.#newest;
    renameSync(this.#spare, path);
    if (this.#syncs) {
      const abandoned = this.#abandoned;
      await syncFolder(this.#folder);
      if (this.#abandoned !== abandoned) {
        rmSync(path, { force: true });
        throw new TornImageError(`the image of epoch ${epoch} was abandoned`);
      }
    }
    this.#newest = { term, epoch, path, bytes, devices, mayBeSwitched: false };
    this.#lost = null;
    this.#isApplied = this.#ram === null;
    if (before !== null && before.path !== path) renameSync(before.path, this.#spare);
    this.#apply();
    await this.#ram?.sync();
  }

  /**
   * Memory is what the newest image says.
   * @throws Error where it cannot be; then a machine may have run on it, or runs
   */
  async prepare(): Promise<void> {
    if (this.#ram === null || this.#newest === null) return;
    if (!this.#newest.mayBeSwitched) {
      this.#apply();
      return;
    }
    await this.#ram.free();
    if (this.#ram.isAsKept()) return;
    this.forget();
    throw new Error('a machine has run on the memory of the last checkpoint: there is no way back to it any more');
  }

  /** Does what need not be done before an image is confirmed. */
  settle(): void {
    this.#ram?.settle();
  }

  /** A machine has loaded the newest image, the network is about to be switched to it, and then it runs. Until then the image is of use. */
  switching(): void {
    if (this.#ram === null || this.#newest === null) return;
    this.#ram.markSwitching(this.#newest);
    this.#syncNames();
    this.#newest = { ...this.#newest, mayBeSwitched: true };
  }

  /**
   * The machine that has loaded the newest image runs. Where its memory is the file that images change, there is no way back to one any more.
   */
  handOver(): void {
    if (this.#ram === null || this.#newest === null) return;
    rmSync(this.#newest.path, { force: true });
    this.#ram.forget();
    this.#syncNames();
  }

  /** The image on its way will not be completed. */
  abandon(): void {
    this.#abandoned++;
    if (this.#incoming !== null) closeSync(this.#incoming.fd);
    this.#incoming = null;
  }

  /** No image is of use any more. */
  forget(): void {
    this.abandon();
    if (this.#newest !== null) rmSync(this.#newest.path, { force: true });
    this.#newest = null;
    this.#isApplied = true;
    this.#ram?.forget();
    this.#syncNames();
  }

  /** The images stay. */
  close(): void {
    this.abandon();
    this.#removeSpare();
  }

  /** The image on its way cannot be kept. What has been written of it gives its room back: the memory, or others there, may need it. */
  #lose({ term, epoch }: Checkpoint, why: string): void {
    this.abandon();
    this.#removeSpare();
    this.#lost = { term, epoch, why };
  }

  #removeSpare(): void {
    try {
      rmSync(this.#spare, { force: true });
    } catch {
      // Nobody needs that; and a folder that is read-only does not let it happen.
    }
  }

  #apply(): void {
    if (this.#isApplied) return;
    this.#ram!.apply(this.#newest!.path);
    this.#isApplied = true;
  }

  /** @returns where its devices are @throws TornImageError where the image on its way is not one of this folder's kind, or cannot follow */
  #checked(): StoredImage['devices'] {
    try {
      // It changes memory as it is at the newest.
      this.#apply();
      if (this.#ram !== null) return this.#ram.check(this.#spare, this.#newest);
      if (isDelta(this.#spare)) throw new TornImageError('the image is of changes, and here is kept all of memory');
      return null;
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  /** @returns an image that an earlier process left, or null where it is of no use @throws Error where it is of another kind */
  #recovered(image: StoredImage): StoredImage | null {
    if (isDelta(image.path) !== (this.#ram !== null)) {
      const is = this.#ram === null ? 'was made with --delta' : 'is all of memory, as without --delta';
      throw new Error(`the checkpoint ${image.path} ${is}: go on so, or remove it`);
    }
    if (this.#ram === null) return image;
    return this.#ram.recover(image);
  }

  /** What is no more, or must be known, must be so after a power failure, too: before whoever waits for it goes on. */
  #syncNames(): void {
    if (!this.#syncs) return;
    const fd = openSync(this.#folder, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }
}

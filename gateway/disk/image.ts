import { type FileHandle, open, realpath, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DiskError } from './disk-error.ts';
import { readFully, syncFolder, writeFully } from './file-io.ts';
import { lockFile, punchHole } from './syscalls.ts';

const ZEROS = Buffer.alloc(2 ** 20);
/** The greatest image: what numbers of the protocol and of the log have been tried with. */
export const MAX_IMAGE_BYTES = 2 ** 44;

/** The raw image of a disk: a plain file. */
export class Image {
  /** Real path. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly #file: FileHandle;

  private constructor(path: string, sizeBytes: number, file: FileHandle) {
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.#file = file;
  }

  /**
   * @param sizeBytes what it must have; where there is no image, a sparse one of this size is made. null: as it is
   * @throws DiskError `image-missing`, `image-unusable`
   */
  static async open(path: string, sizeBytes: number | null): Promise<Image> {
    const file = await openOrCreate(path, sizeBytes);
    try {
      const stat = await file.stat();
      const problem = whyUnusable(stat.isFile(), stat.size, sizeBytes) ?? (lockFile(file.fd) ? null : 'is in use');
      if (problem !== null) throw new DiskError('image-unusable', `${path} ${problem}`);
      return new Image(await realpath(path), stat.size, file);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  read(into: Uint8Array, from: number): Promise<void> {
    return readFully(this.#file, into, from);
  }

  write(bytes: Uint8Array, from: number): Promise<void> {
    return writeFully(this.#file, [bytes], from);
  }

  /** @param mayPunch the file may have a hole there afterwards */
  async zero(from: number, to: number, mayPunch: boolean): Promise<void> {
    if (mayPunch && (await punchHole(this.#file.fd, from, to - from))) return;
    for (let at = from; at < to; at += ZEROS.length) {
      await writeFully(this.#file, [ZEROS.subarray(0, Math.min(ZEROS.length, to - at))], at);
    }
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

async function openOrCreate(path: string, sizeBytes: number | null): Promise<FileHandle> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') throw new DiskError('image-unusable', message);
  }
  if (sizeBytes === null) throw new DiskError('image-missing', `${path} does not exist; with a size it would be made`);
  const problem = whyUnusable(true, sizeBytes, null);
  if (problem !== null) throw new DiskError('image-unusable', `${path} ${problem}`);
  const file = await open(path, 'wx+', 0o600);
  try {
    await file.truncate(sizeBytes);
    await file.sync();
    await syncFolder(dirname(path));
    return file;
  } catch (error) {
    // An image without a size would be in the way of the next try.
    await unlink(path);
    await file.close();
    throw error;
  }
}

function whyUnusable(isFile: boolean, size: number, wanted: number | null): string | null {
  if (!isFile) return 'is no plain file';
  if (wanted !== null && size !== wanted) return `has ${size} bytes, not ${wanted}`;
  if (size === 0 || size > MAX_IMAGE_BYTES)
    return `would be a disk of ${size} bytes: 1 to ${MAX_IMAGE_BYTES} are possible`;
  return null;
}

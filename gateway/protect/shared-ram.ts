import { closeSync, fstatSync, openSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { errnoName, libc } from '../port/libc.ts';
import { type QmpClient, QmpError } from './qmp.ts';

const PROT_READ = 1;
const MAP_SHARED = 1;
/** Node's buffers have a limit. */
const MOST_VIEW_BYTES = 2 ** 28;

/** A machine whose memory cannot be read here. */
export class RamError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RamError';
  }
}

interface Memdev {
  readonly id?: string;
  readonly size: number;
  readonly share: boolean;
}

/** The file that is a machine's memory. */
export interface SharedRam {
  /** As QEMU knows it. */
  readonly path: string;
  readonly bytes: number;
}

/** @throws RamError where the machine's memory is not one shared file; QmpError */
export async function sharedRam(qmp: QmpClient): Promise<SharedRam> {
  const shared = (await qmp.execute<readonly Memdev[]>('query-memdev')).filter(({ share }) => share);
  const [memory] = shared;
  if (memory?.id === undefined || shared.length > 1) {
    throw new RamError(
      `the machine's memory must be one shared file, and it shares ${shared.length} memories: -object memory-backend-file,id=pc.ram,size=SIZE,mem-path=FILE,share=on -machine memory-backend=pc.ram`,
    );
  }
  try {
    const path = await qmp.execute<string>('qom-get', { path: `/objects/${memory.id}`, property: 'mem-path' });
    return { path, bytes: memory.size };
  } catch (error) {
    if (!(error instanceof QmpError) || error.code !== 'refused') throw error;
    throw new RamError(`the machine's memory ${memory.id} is not a file: it must be a memory-backend-file`);
  }
}

/**
 * Whoever copies another file than the machine's memory, or changes another one, has no checkpoint at all. Where the machine's process
 * cannot be seen from here nothing is known.
 * @throws RamError where the machine does not have the file that is at `path` now
 */
export async function checkUsed(qmp: QmpClient, path: string): Promise<void> {
  const [cpu] = await qmp.execute<readonly { readonly 'thread-id': number }[]>('query-cpus-fast');
  const maps = await readFile(`/proc/${cpu?.['thread-id']}/maps`, 'utf8').catch(() => null);
  if (maps === null) return;
  const inode = (await stat(path, { bigint: true }).catch(() => null))?.ino.toString();
  const isMapped = maps.split('\n').some((line) => {
    const [, flags, , , number] = line.split(/ +/);
    return flags?.endsWith('s') === true && number === inode;
  });
  if (!isMapped) throw new RamError(`the file that is at ${path} now is not the machine's memory`);
}

/** A machine's memory, to be read. */
export class RamView {
  readonly path: string;
  readonly bytes: number;
  readonly #address: number;
  #pieces: readonly Buffer[] | null;

  /** @param path of a file that has so many bytes and does not get shorter @throws RamError */
  constructor(path: string, bytes: number) {
    this.path = path;
    this.bytes = bytes;
    const { koffi, mmap, errno } = libc();
    const fd = opened(path);
    try {
      const { size } = fstatSync(fd);
      if (size < bytes) throw new RamError(`${path} has ${size} bytes, and the machine's memory ${bytes}`);
      this.#address = mmap(0, bytes, PROT_READ, MAP_SHARED, fd, 0);
      if (this.#address === -1) throw new RamError(`cannot map ${path}: ${errnoName(errno())}`);
    } finally {
      closeSync(fd);
    }
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes; at += MOST_VIEW_BYTES) {
      pieces.push(Buffer.from(koffi.view(this.#address + at, Math.min(MOST_VIEW_BYTES, bytes - at))));
    }
    this.#pieces = pieces;
  }

  /** All of it, in order, to be used at once: not after `close`. @throws RamError after that */
  get pieces(): readonly Buffer[] {
    if (this.#pieces === null) throw new RamError(`the memory ${this.path} is not looked at any more`);
    return this.#pieces;
  }

  close(): void {
    if (this.#pieces === null) return;
    this.#pieces = null;
    libc().munmap(this.#address, this.bytes);
  }
}

function opened(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw new RamError(`cannot read the machine's memory: ${(error as Error).message}`);
  }
}

import { ERRNO, libc } from '../port/libc.ts';
import { StoreError } from './store-error.ts';

/** Linux, asm-generic. */
const PROT_READ_WRITE = 3;
const MAP = { shared: 0x01, private: 0x02, fixed: 0x10, anonymous: 0x20, populate: 0x8000 } as const;
const O = { readWrite: 2, create: 0o100, exclusive: 0o200, closeOnExec: 0o2000000 } as const;
/** Two flags have numbers of their own on arm64 (arch/arm64/include/uapi/asm/fcntl.h). */
const [DIRECTORY, NO_FOLLOW] = process.arch === 'arm64' ? [0o40000, 0o100000] : [0o200000, 0o400000];
const LOCK_EX_NB = 2 | 4;
const ENOSPC = 28;

interface Calls {
  open(path: string, flags: number, type: 'int', mode: number): number;
  close(fd: number): number;
  flock(fd: number, operation: number): number;
  posix_fallocate(fd: number, offset: number, length: number): number;
  mmap(address: number, length: number, protection: number, flags: number, fd: number, offset: number): number;
}

let loaded: Calls | null = null;

function calls(): Calls {
  const { koffi } = libc();
  const c = koffi.load(null);
  loaded ??= {
    open: c.func('int open(const char *, int, ...)'),
    close: c.func('int close(int)'),
    flock: c.func('int flock(int, int)'),
    posix_fallocate: c.func('int posix_fallocate(int, long, long)'),
    mmap: c.func('intptr_t mmap(uintptr_t, size_t, int, int, int, long)'),
  };
  return loaded;
}

/** @returns the least number of whole pages that has room for `bytes`, in bytes */
export function wholePages(bytes: number): number {
  const page = libc().getpagesize();
  return Math.ceil(bytes / page) * page;
}

/** Memory of the process, and behind it that of a file, in one piece. */
export class MappedMemory {
  readonly buffer: ArrayBuffer;
  readonly #fd: number;
  /** Of the file's bytes. */
  readonly #address: number;
  readonly #length: number;

  /**
   * @param path a file that does not exist yet; it is made, for its owner alone, with all its blocks, so that no store fails later
   * @param fileStart where its bytes begin in `buffer`, whole pages; what is before is not in the file
   * @throws StoreError
   */
  constructor(path: string, fileStart: number, fileBytes: number) {
    const { koffi } = libc();
    const c = calls();
    this.#fd = c.open(path, O.readWrite | O.create | O.exclusive | O.closeOnExec | NO_FOLLOW, 'int', 0o600);
    if (this.#fd < 0) throw failed(`cannot make ${path}`, libc().errno());
    this.#length = wholePages(fileBytes);
    try {
      let error: number;
      do error = c.posix_fallocate(this.#fd, 0, fileBytes);
      while (error === ERRNO.EINTR);
      if (error === ENOSPC) throw new StoreError('no-space', `there is no room for the ${fileBytes} bytes of ${path}`);
      if (error !== 0) throw failed(`cannot make ${path}`, error);
      const start = c.mmap(0, fileStart + this.#length, PROT_READ_WRITE, MAP.private | MAP.anonymous, -1, 0);
      if (start === -1) throw failed(`no memory for ${path}`, libc().errno());
      this.#address = start + fileStart;
      this.#map(MAP.shared | MAP.populate);
      this.buffer = koffi.view(start, fileStart + fileBytes);
    } catch (error) {
      c.close(this.#fd);
      throw error;
    }
  }

  /**
   * The file keeps what is in it now. The memory stays and keeps it too, because arrays may still lie in it, but what is stored there
   * changes the file no more.
   */
  release(): void {
    this.#map(MAP.private);
    calls().close(this.#fd);
  }

  #map(flags: number): void {
    const c = calls();
    if (c.mmap(this.#address, this.#length, PROT_READ_WRITE, flags | MAP.fixed, this.#fd, 0) === -1) {
      throw failed('cannot map a file', libc().errno());
    }
  }
}

/**
 * Locks a folder for this process, until it ends or the answer is called.
 * @throws StoreError `in-use`
 */
export function lockFolder(path: string): () => void {
  const c = calls();
  const fd = c.open(path, DIRECTORY | O.closeOnExec | NO_FOLLOW, 'int', 0);
  if (fd < 0) throw failed(`cannot open ${path}`, libc().errno());
  if (c.flock(fd, LOCK_EX_NB) !== 0) {
    const errno = libc().errno();
    c.close(fd);
    if (errno === ERRNO.EAGAIN) throw new StoreError('in-use', `another gateway uses ${path}: it must end first`);
    throw failed(`cannot lock ${path}`, errno);
  }
  return () => c.close(fd);
}

function failed(what: string, errno: number): StoreError {
  const names = libc().koffi.os.errno;
  const name = Object.keys(names).find((one) => names[one] === errno) ?? `errno ${errno}`;
  return new StoreError('system', `${what}: ${name}`);
}

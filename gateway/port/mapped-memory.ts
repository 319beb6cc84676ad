import { errnoName, libc } from './libc.ts';
import { PortError } from './port-error.ts';

const PROT_READ_WRITE = 3;
const MAP_SHARED_POPULATE = 0x01 | 0x8000;

/** Memory that the kernel shares with this process, as a socket offers it. It is unmapped before the socket is closed. */
export class MappedMemory {
  readonly view: DataView;
  /** For Atomics: what the kernel writes is seen in the order in which it wrote it. */
  readonly words: Int32Array;
  readonly #address: number;
  readonly #length: number;

  /** @throws PortError */
  constructor(fd: number, length: number, offset: number) {
    const c = libc();
    this.#length = length;
    this.#address = c.mmap(0, length, PROT_READ_WRITE, MAP_SHARED_POPULATE, fd, offset);
    if (this.#address === -1) throw new PortError('system', `mmap: ${errnoName(c.errno())}`);
    const buffer = c.koffi.view(this.#address, length);
    this.view = new DataView(buffer);
    this.words = new Int32Array(buffer);
  }

  /** From now on its views must not be used: reading them ends the process. */
  unmap(): void {
    libc().munmap(this.#address, this.#length);
  }
}

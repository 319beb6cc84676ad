import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { lockFolder } from './mapped-memory.ts';
import { StoreError } from './store-error.ts';
import { VmStore } from './vm-store.ts';

/** The folder with what outlives the gateway's process, locked for it. */
export class StateDir {
  readonly path: string;
  readonly wallMs: () => number;
  #unlock: () => void;
  readonly #stores: VmStore[] = [];

  /**
   * @param path is made where it does not exist, for its owner alone
   * @param wallMs the time, milliseconds since 1970: stamps names of files that are set aside
   * @throws StoreError
   */
  constructor(path: string, wallMs: () => number) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const stat = lstatSync(path);
    if (!stat.isDirectory()) throw new StoreError('not-owned', `${path} is no folder`);
    const user = process.geteuid?.();
    if (stat.uid !== user) {
      throw new StoreError('not-owned', `${path} belongs to user ${stat.uid}, this gateway is user ${user}`);
    }
    if ((stat.mode & 0o077) !== 0) chmodSync(path, 0o700);
    this.path = path;
    this.wallMs = wallMs;
    this.#unlock = lockFolder(path);
  }

  /**
   * Reads what an earlier process has left of a VM. The VM that is made with it goes on from there.
   * @throws StoreError
   */
  openVm(vm: string, buffer: 'memory' | 'file'): VmStore {
    const store = new VmStore(this, vm, buffer === 'file');
    this.#stores.push(store);
    return store;
  }

  /** Nothing is stored any more, and another gateway may use the folder. The VMs' ports are closed before. May be asked again. */
  close(): void {
    for (const store of this.#stores.splice(0)) store.close();
    this.#unlock();
    // The number of a descriptor that was closed may be another's.
    this.#unlock = () => {};
  }
}

import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { PAGE_BYTES } from '../../gateway/protect/delta-image.ts';
import { ImageStore } from '../../gateway/protect/image-store.ts';
import { QmpClient } from '../../gateway/protect/qmp.ts';
import { RamBase } from '../../gateway/protect/ram-base.ts';
import { type DeltaCopy, RamDelta } from '../../gateway/protect/ram-delta.ts';
import { FakeQemu } from './fake-qemu.ts';

/** Of the machine's memory. */
export const PAGES = 40;
export const RAM_BYTES = PAGES * PAGE_BYTES;
export const DEVICES = Buffer.from('as QEMU wrote them');
const link = { isClosed: false, closed: new Promise<void>(() => {}) };
/** Nobody uses the file at the standby. */
export const free = () => Promise.resolve();

/** A machine's memory, what finds its changes, and a folder where a standby keeps them. */
export class DeltaRig {
  readonly folder: string;
  /** The machine's memory. */
  readonly ram: string;
  /** The standby's. */
  readonly images: string;
  readonly qemu: FakeQemu;
  readonly delta = new RamDelta(null);
  qmp!: QmpClient;

  /** @param folder of nothing yet */
  constructor(folder: string) {
    mkdirSync(folder);
    this.folder = folder;
    this.ram = join(folder, 'machine');
    this.images = join(folder, 'images');
    writeFileSync(this.ram, Buffer.alloc(RAM_BYTES));
    this.qemu = new FakeQemu(join(folder, 'qmp'));
    const { answers } = this.qemu;
    answers.set('query-memdev', () => ({ return: [{ id: 'pc.ram', size: RAM_BYTES, share: true }] }));
    answers.set('qom-get', () => ({ return: this.ram }));
    // A thread that has the file mapped: this process, which looks at it.
    answers.set('query-cpus-fast', () => ({ return: [{ 'thread-id': process.pid }] }));
  }

  async connect(): Promise<this> {
    this.qmp = await QmpClient.connect(join(this.folder, 'qmp'));
    return this;
  }

  close(): void {
    this.delta.close();
    this.qmp.close();
    this.qemu.die();
  }

  opened(syncs = false, isFree = free): ImageStore {
    return new ImageStore(this.images, syncs, new RamBase(this.images, syncs, isFree));
  }

  kept(): Buffer {
    return readFileSync(join(this.images, 'ram'));
  }

  /** The guest writes into some of its pages; 0: what they were at first. */
  change(pages: readonly number[], value: number): void {
    const fd = openSync(this.ram, 'r+');
    for (const page of pages)
      writeSync(fd, Buffer.alloc(PAGE_BYTES - 10, value), 0, PAGE_BYTES - 10, page * PAGE_BYTES + 5);
    closeSync(fd);
  }

  /** @returns what one checkpoint sends */
  async taken(copy: DeltaCopy): Promise<Buffer> {
    copy.write(DEVICES);
    copy.takeChanges();
    const pieces: Buffer[] = [];
    const write = (bytes: Uint8Array) => pieces.push(Buffer.from(bytes)) > 0;
    await copy.send({ write, onDrained() {} }, link);
    return Buffer.concat(pieces);
  }

  async put(store: ImageStore, epoch: number, image: Buffer, bytes = image.length): Promise<void> {
    store.begin({ term: 1, epoch });
    store.write(image.subarray(0, bytes));
    await store.end({ term: 1, epoch }, bytes, crc32(image.subarray(0, bytes)));
  }

  async checkpoint(store: ImageStore, epoch: number): Promise<void> {
    const copy = this.delta.begin();
    await this.put(store, epoch, await this.taken(copy));
    copy.confirmed({ term: 1, epoch });
  }
}

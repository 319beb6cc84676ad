import { randomBytes } from 'node:crypto';
import { DiskBarrier } from '../disk/disk-barrier.ts';
import { type NbdAddress, NbdServer } from '../disk/nbd-server.ts';
import type { NbdTls } from '../disk/nbd-tls.ts';
import { RequestError, RPC } from '../host/protocol.ts';
import type { Checkpoint, DiskPlace, DiskSummary } from './standby-api.ts';

export interface StandbyDisk {
  /** By which the protected machine knows it. */
  readonly name: string;
  /** Raw image, which the machine here opens when the VM goes on here. */
  readonly image: string;
  /** Folder of its redo log alone. */
  readonly log: string;
  /** Needed where there is no image yet. */
  readonly sizeBytes?: number;
}

/** Nobody would reach the disks. */
export class DiskListenError extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
    this.name = 'DiskListenError';
  }
}

/** The disks of a VM at its standby: mirrors of the protected machine's, of the same checkpoint as the image of its memory. */
export class StandbyDisks {
  readonly #barriers: ReadonlyMap<string, DiskBarrier>;
  /** By export. An export is found only by the driver that asked for a copy last. */
  readonly #exported: Map<string, DiskBarrier>;
  readonly #server: NbdServer;
  /** For the driver. */
  readonly #address: string;
  #handedOver: Checkpoint | null = null;
  #isHandedOver = false;

  private constructor(
    barriers: ReadonlyMap<string, DiskBarrier>,
    exported: Map<string, DiskBarrier>,
    server: NbdServer,
    address: string,
  ) {
    this.#barriers = barriers;
    this.#exported = exported;
    this.#server = server;
    this.#address = address;
  }

  /**
   * Opens images and logs as an earlier process left them, and serves them.
   * @throws DiskError; RangeError where the address needs TLS; DiskListenError where it cannot listen
   */
  static async open(disks: readonly StandbyDisk[], address: NbdAddress, tls: NbdTls | null): Promise<StandbyDisks> {
    const barriers = new Map<string, DiskBarrier>();
    const exported = new Map<string, DiskBarrier>();
    const server = new NbdServer({
      ...{ address, disks: exported, hasSecretNames: true },
      ...(tls === null ? {} : { tls }),
    });
    try {
      for (const disk of disks) barriers.set(disk.name, await DiskBarrier.open(disk));
      const listening = await server.listen().catch((error: Error) => {
        throw new DiskListenError(error);
      });
      return new StandbyDisks(barriers, exported, server, addressText(listening, tls !== null));
    } catch (error) {
      for (const barrier of barriers.values()) await barrier.close();
      throw error;
    }
  }

  get names(): readonly string[] {
    return [...this.#barriers.keys()];
  }

  /** What the machine here has to open: real paths. */
  get images(): readonly string[] {
    return this.#all.map(({ status }) => status.image);
  }

  get status(): readonly DiskSummary[] {
    return [...this.#barriers].map(([name, disk]) => {
      const { image, state, term, committedEpoch, log, flushError } = disk.status;
      return { name, image, state, term, committedEpoch, isMirrored: disk.isMirror, logBytes: log.bytes, flushError };
    });
  }

  /** Disks whose images cannot be written now, and why; null: there are none. */
  get trouble(): string | null {
    const failing = this.status.filter(({ flushError }) => flushError !== null);
    return failing.length === 0
      ? null
      : failing.map(({ name, flushError }) => `disk ${name}: its image cannot be written: ${flushError}`).join('; ');
  }

  /** @param onTurn called when a disk's image cannot be written any more, and when it can again; `why` is null then */
  watchFlushes(onTurn: (name: string, why: string | null) => void): void {
    for (const [name, disk] of this.#barriers) disk.watchFlushes((error) => onTurn(name, error?.message ?? null));
  }

  /** What is written from now on counts at once; whoever wrote before writes no more. @returns where the new copies go */
  async copy(): Promise<DiskPlace> {
    this.#exported.clear();
    await this.#each(async (disk) => {
      disk.hangUp();
      const { state, term } = disk.status;
      if (state === 'on') await disk.stop(term);
    });
    const places = [...this.#barriers].map(([name, disk]) => {
      const label = `${name}-${randomBytes(8).toString('hex')}`;
      this.#exported.set(label, disk);
      return { name, export: disk.fence === 0 ? label : `${label}@${disk.fence}`, sizeBytes: disk.sizeBytes };
    });
    return { address: this.#address, disks: places };
  }

  /** The copies are complete: what is written from now on belongs to epochs. @throws RequestError `disk-broken` */
  async start({ term, epoch }: Checkpoint): Promise<void> {
    this.#checkMirrors();
    await this.#each((disk) => disk.start(term, epoch));
  }

  /**
   * A driver comes anew, within a term.
   * @param newest the image that a failover would go back to: later epochs are aborted, up to it they are committed
   * @returns false: the disks are not what their machine believes, and have to be copied again
   */
  async resume(term: number, newest: Checkpoint | null): Promise<boolean> {
    if (this.#all.some((disk) => !disk.isMirror || disk.status.state !== 'on' || disk.status.term !== term))
      return false;
    await this.#each(async (disk) => {
      for (const epoch of disk.status.sealedEpochs) {
        if (newest !== null && newest.term === term && epoch <= newest.epoch) await disk.commit(term, epoch);
        else await disk.abort(term, epoch);
      }
    });
    return true;
  }

  /** The machine is paused: what it wrote until now belongs to this epoch. @throws RequestError `disk-broken` */
  async seal({ term, epoch }: Checkpoint): Promise<void> {
    this.#checkMirrors();
    await this.#each(async (disk) => {
      // An epoch that was sealed elsewhere and not here came to nothing: what it wrote belongs to this one.
      for (let open = disk.status.openEpoch; open < epoch; open++) {
        await disk.seal(term, open);
        await disk.abort(term, open);
      }
      await disk.seal(term, epoch);
    });
  }

  async abort({ term, epoch }: Checkpoint): Promise<void> {
    await this.#each(async (disk) => {
      if (disk.status.sealedEpochs.includes(epoch)) await disk.abort(term, epoch);
    });
  }

  /** Resolves when everything that was written up to the seal is durable. */
  /** They were given to the machine here, or began to be: nobody mirrors to them any more. */
  get isHandedOver(): boolean {
    return this.#isHandedOver;
  }

  async durableThrough({ term, epoch }: Checkpoint): Promise<void> {
    await this.#each((disk) => disk.durableThrough(term, epoch));
  }

  async commit({ term, epoch }: Checkpoint): Promise<void> {
    await this.#each((disk) => disk.commit(term, epoch));
  }

  /**
   * The VM goes on here: its images become what they were at the checkpoint, and belong to the machine. Nothing is served any more: the
   * address is free for whoever keeps the VM's disks next. May be asked again, also by a later process.
   * @throws Error where a disk cannot go there; then none has
   */
  async handOver(checkpoint: Checkpoint): Promise<void> {
    if (this.#handedOver !== null && isSame(this.#handedOver, checkpoint)) return;
    for (const [name, disk] of this.#barriers) {
      if (!canGoTo(disk, checkpoint)) throw new Error(`disk ${name} ${whereIs(disk)}, memory ${at(checkpoint)}`);
    }
    // Who connects now finds nothing.
    this.#isHandedOver = true;
    this.#exported.clear();
    await this.#each(async (disk) => {
      if (disk.status.term === checkpoint.term) await disk.rollback(checkpoint.term, checkpoint.epoch);
      await disk.handOver();
    });
    await this.#server.close();
    this.#handedOver = checkpoint;
  }

  async close(): Promise<void> {
    await this.#server.close();
    await this.#each((disk) => disk.close());
  }

  get #all(): readonly DiskBarrier[] {
    return [...this.#barriers.values()];
  }

  /** @throws the first error, when all are done */
  async #each(action: (disk: DiskBarrier) => Promise<unknown>): Promise<void> {
    const results = await Promise.allSettled(this.#all.map(action));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  #checkMirrors(): void {
    for (const [name, disk] of this.#barriers) {
      if (disk.isMirror) continue;
      throw new RequestError(
        RPC.state,
        'disk-broken',
        `the connection that mirrors disk ${name} is gone, or lost a write`,
      );
    }
  }
}

/** It is of the checkpoint's term, where that epoch is sealed or committed; or went there before. */
function canGoTo({ status }: DiskBarrier, { term, epoch }: Checkpoint): boolean {
  if (status.state !== 'on') return false;
  if (status.term === term) return status.committedEpoch === epoch || status.sealedEpochs.includes(epoch);
  return status.term === term + 1 && status.fence === status.term && status.committedEpoch === epoch;
}

function whereIs({ status }: DiskBarrier): string {
  if (status.state !== 'on') return `is of no checkpoint: ${status.state}`;
  return at({ term: status.term, epoch: status.committedEpoch });
}

function at({ term, epoch }: Checkpoint): string {
  return `is at epoch ${epoch} of term ${term}`;
}

function isSame(one: Checkpoint, other: Checkpoint): boolean {
  return one.term === other.term && one.epoch === other.epoch;
}

function addressText(address: NbdAddress, hasTls: boolean): string {
  if ('path' in address) return `unix:${address.path}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${hasTls ? 'tls' : 'tcp'}:${host}:${address.port}`;
}

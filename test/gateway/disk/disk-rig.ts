import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { DiskBarrier } from '../../../gateway/disk/disk-barrier.ts';
import type { DiskStatus } from '../../../gateway/disk/disk-options.ts';
import { StateError } from '../../../gateway/epoch.ts';
import { type Asked, type Change, type Crash, DISK_BYTES, type DiskOp, type Which } from './disk-schedule.ts';
import { type Answer, NaiveDisk, type NaiveState } from './naive-disk.ts';

/** How often something happened. */
export type DiskTally = Record<string, number>;

/** A disk and its model, side by side. */
export class DiskRig {
  readonly #folder: string;
  readonly #tally: DiskTally;
  readonly #model = new NaiveDisk(DISK_BYTES);
  /** States since the last one that is durable; that one first. */
  #sinceDurable: NaiveState[] = [this.#model.state];
  #disk!: DiskBarrier;

  constructor(folder: string, tally: DiskTally) {
    this.#folder = folder;
    this.#tally = tally;
  }

  async open(): Promise<void> {
    this.#disk = await DiskBarrier.open({
      image: join(this.#folder, 'image'),
      log: join(this.#folder, 'log'),
      ...{ sizeBytes: DISK_BYTES, segmentBytes: 4096, flushDelayMs: 1 },
    });
    this.#isDurable();
  }

  close(): Promise<void> {
    return this.#disk.close();
  }

  async run(op: DiskOp): Promise<void> {
    if (op.op === 'change') await Promise.all(this.#change(op.changes));
    else if (op.op === 'crash') await this.#crash(op);
    else if (op.op === 'flush') await this.#disk.flush().then(() => this.#isDurable());
    else if (op.op === 'settle') await this.#settle();
    else if (op.op === 'reopen') await this.#disk.close().then(() => this.open());
    else await this.#ask(op as Asked);
    await this.#compare();
  }

  /** Asks for all of them at once. */
  #change(changes: readonly Change[]): Promise<void>[] {
    return changes.map(({ from, length, fill, zero }) => {
      const bytes = Buffer.alloc(Math.min(length, DISK_BYTES - from), zero ? 0 : fill);
      this.#model.fill(from, bytes);
      this.#sinceDurable.push(this.#model.state);
      this.#count(zero ? 'zero' : 'write');
      if (zero) return this.#disk.zero(from, bytes.length, fill % 2 === 0);
      const middle = fill % bytes.length;
      return this.#disk.write(from, [bytes.subarray(0, middle), bytes.subarray(middle)]);
    });
  }

  async #ask(op: Asked): Promise<void> {
    const { term: inForce } = this.#model.state;
    const term = 'isStale' in op && op.isStale ? inForce - 1 : inForce;
    const epoch = 'which' in op ? this.#epoch(op.which) : 0;
    let expected: Answer | null;
    let answer: Promise<unknown>;
    switch (op.op) {
      case 'start': {
        const newTerm = Math.max(1, inForce + op.later);
        expected = this.#model.start(newTerm, op.epoch);
        answer = this.#disk.start(newTerm, op.epoch);
        break;
      }
      case 'failover':
        expected = this.#model.rollback(term, this.#model.state.committed);
        answer = this.#disk.failover(term);
        break;
      case 'stop':
        expected = this.#model.stop(term);
        answer = this.#disk.stop(term);
        break;
      case 'durable':
        expected = null;
        answer = this.#disk.durableThrough(term, epoch);
        break;
      default:
        expected = this.#model[op.op](term, epoch);
        answer = this.#disk[op.op](term, epoch);
    }
    const outcome = await answer.then(
      () => 'ok',
      (error: unknown) => {
        if (error instanceof StateError) return error.code;
        throw error;
      },
    );
    if (expected !== null) expect(`${op.op} ${outcome}`).toBe(`${op.op} ${expected}`);
    this.#count(outcome === 'ok' ? op.op : outcome);
    if (outcome !== 'ok' || op.op === 'durable') return;
    this.#sinceDurable.push(this.#model.state);
    if (op.op !== 'seal' && op.op !== 'abort') this.#isDurable();
  }

  async #settle(): Promise<void> {
    await this.#disk.settle();
    this.#count('settle');
    expect(this.#disk.status.isSettled).toBe(true);
    expect(readFileSync(join(this.#folder, 'image')).equals(this.#model.state.atCommit)).toBe(true);
  }

  /** What is on the file systems at some moment is what the next process finds. */
  async #crash({ changes, turns, lostShare }: Crash): Promise<void> {
    const aside = join(this.#folder, 'aside');
    const wanted = this.#change(changes).map((change) => change.catch(() => {}));
    const flush = this.#disk.settle().catch(() => {});
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    let log: DiskStatus['log'];
    for (;;) {
      try {
        ({ log } = this.#disk.status);
        // The log first: what a flush that is under way does to the image, the log knows already.
        cpSync(join(this.#folder, 'log'), join(aside, 'log'), { recursive: true });
        break;
      } catch {
        // A segment that was being removed.
        rmSync(aside, { recursive: true, force: true });
      }
    }
    cpSync(join(this.#folder, 'image'), join(aside, 'image'));
    await Promise.all([...wanted, flush]);
    await this.#disk.close();
    for (const name of ['log', 'image']) {
      rmSync(join(this.#folder, name), { recursive: true });
      cpSync(join(aside, name), join(this.#folder, name), { recursive: true });
    }
    rmSync(aside, { recursive: true });
    if (lostShare !== null) this.#loseTail(lostShare, log);
    this.#count(lostShare === null ? 'kill' : 'power failure');
    const possible = this.#sinceDurable;
    await this.open();
    const found = await this.#content();
    const { term, openEpoch, sealedEpochs } = this.#disk.status;
    const same = possible.findLast(
      (state) =>
        state.content.equals(found) &&
        state.term === term &&
        state.open === openEpoch &&
        [...state.atSeal.keys()].join() === sealedEpochs.join(),
    );
    expect(same, 'the disk is as it was at no moment since it was durable').toBeDefined();
    this.#model.state = same!;
    this.#isDurable();
  }

  /** The machine loses part of what was not made durable. @param log as its process knew it at that moment */
  #loseTail(share: number, log: DiskStatus['log']): void {
    const paths = segments(join(this.#folder, 'log'));
    const last = paths.at(-1)!;
    const { size } = statSync(last);
    // Of a new segment that its process has not begun to use.
    if (size === headBytes(last)) return;
    const others = paths.slice(-log.segments, -1).reduce((sum, path) => sum + statSync(path).size, 0);
    const least = log.bytes - others - log.unsyncedBytes;
    truncateSync(last, least + Math.round(share * (size - least)));
    if (share < 1 && size > least) this.#count('torn');
  }

  #isDurable(): void {
    this.#sinceDurable = [this.#model.state];
  }

  async #compare(): Promise<void> {
    const { isOn, term, open, committed, fence, atSeal, content } = this.#model.state;
    expect(this.#disk.status).toMatchObject({
      state: isOn ? 'on' : 'off',
      ...{ term, openEpoch: open, committedEpoch: committed, fence, sealedEpochs: [...atSeal.keys()] },
    });
    expect((await this.#content()).equals(content), 'the disk has other bytes than its model').toBe(true);
  }

  async #content(): Promise<Buffer> {
    const bytes = Buffer.alloc(DISK_BYTES, 0xaa);
    await this.#disk.read(bytes, 0);
    return bytes;
  }

  #epoch(which: Which): number {
    const { open, committed, atSeal } = this.#model.state;
    const sealed = [...atSeal.keys()];
    if (which === 'open') return open;
    if (which === 'committed') return committed;
    if (which === 'older') return committed - 1;
    if (which === 'oldest-sealed') return sealed[0] ?? open;
    return which === 'newest-sealed' ? (sealed.at(-1) ?? committed) : open - 2;
  }

  #count(what: string): void {
    this.#tally[what] = (this.#tally[what] ?? 0) + 1;
  }
}

function segments(log: string): string[] {
  return readdirSync(log)
    .filter((name) => name.endsWith('.redo'))
    .sort()
    .map((name) => join(log, name));
}

function headBytes(path: string): number {
  return 16 + readFileSync(path).readUInt32BE(8);
}

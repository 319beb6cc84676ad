import { describe, expect, it } from 'vitest';
import { EntryQueue, type Waiting } from '../../../gateway/disk/entry-queue.ts';
import type { LogEntry } from '../../../gateway/disk/log-entry.ts';
import { RECORD, type RecordType } from '../../../gateway/disk/record.ts';

const MIB = 2 ** 20;

/** @param a stands for the entry */
function entry(type: RecordType | null, a: number, payloadBytes = 0, check = () => {}): LogEntry {
  return { type, flags: 0, a, b: 0, payload: [Buffer.alloc(payloadBytes)], check, apply: () => {} };
}

/** Adds all of these behind one that is being written. @returns what is written together, and how it ended for each */
async function written(entries: readonly LogEntry[], write: (batch: readonly Waiting[]) => void = resolveAll) {
  let goOn = () => {};
  const batches: number[][] = [];
  const queue = new EntryQueue(async (batch) => {
    if (batch[0]!.entry.a === -1) {
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      resolveAll(batch);
      return;
    }
    batches.push(batch.map((waiting) => waiting.entry.a));
    write(batch);
  });
  const first = queue.add(entry(RECORD.write, -1));
  const ends = Promise.allSettled(entries.map((one) => queue.add(one)));
  goOn();
  await first;
  await queue.drained();
  return { batches, ends: (await ends).map(({ status }) => status) };
}

function resolveAll(batch: readonly Waiting[]): void {
  for (const { resolve } of batch) resolve();
}

const { write, zero, seal } = RECORD;

describe('entries of a log', () => {
  it('are written together, as long as they are of clients: every other one is alone', async () => {
    const entries = [write, zero, seal, write, null, zero, seal, seal, write].map((type, a) => entry(type, a));
    expect((await written(entries)).batches).toEqual([[0, 1], [2], [3], [4], [5], [6], [7], [8]]);
  });

  it('are written together up to 256, and up to 4 MiB', async () => {
    const many = await written(Array.from({ length: 300 }, (_, a) => entry(zero, a)));
    expect(many.batches.map((batch) => batch.length)).toEqual([256, 44]);
    const half = 2 * MIB - 56;
    const great = await written([half, half, 1, 5 * MIB, 1].map((bytes, a) => entry(write, a, bytes)));
    expect(great.batches).toEqual([[0, 1], [2], [3], [4]]);
  });

  it('are not written where their check says so when their turn has come', async () => {
    let isRefused = false;
    const entries = [
      entry(seal, 0, 0, () => {
        isRefused = true;
      }),
      entry(write, 1, 0, () => {
        if (isRefused) throw new Error('no');
      }),
      entry(write, 2),
    ];
    const { batches, ends } = await written(entries);
    expect(batches).toEqual([[0], [2]]);
    expect(ends).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('fail together, and those behind them have their turn', async () => {
    const { ends } = await written(
      [write, write, seal].map((type, a) => entry(type, a)),
      (batch) => {
        if (batch[0]!.entry.a === 0) throw new Error('no');
        resolveAll(batch);
      },
    );
    expect(ends).toEqual(['rejected', 'rejected', 'fulfilled']);
  });
});

/** SIZING.md's numbers: what a replay's buffer holds at the fullest, and what a transmit buffer takes. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { DEFAULT_LIMITS } from '../../gateway/occupancy.ts';
import { parseBytes } from '../../gateway/units.ts';
import { HOLDFAST, holdfast, jsonLines, pcapOf, temporaryFolder } from '../support/run-cli.ts';

const PAGE = readFileSync(new URL('../../gateway/deploy/SIZING.md', import.meta.url), 'utf8');
const FRAME_BYTES = 1514;
const SUPER_FRAME_BYTES = 65_600;
const folder = temporaryFolder();

/** @returns the cells below the heading that begins so */
function tableOf(heading: string): string[][] {
  const lines = PAGE.slice(PAGE.indexOf(heading)).split('\n').slice(2);
  return lines.slice(0, lines.indexOf('')).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const number = (cell: string) => Number(cell.replaceAll(',', ''));

/** UDP to one port, as many frames as `rate` has in `seconds`, one behind the other at equal distances. */
function steady(mbits: number, seconds: number): string {
  const gapNs = (FRAME_BYTES * 8 * 1000) / mbits;
  const bytes = new Uint8Array(FRAME_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45]);
  view.setUint16(16, FRAME_BYTES - 14);
  bytes.set([64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2], 22);
  view.setUint16(38, FRAME_BYTES - 34);
  const frames = Array.from({ length: Math.ceil((seconds * 1e9) / gapNs) }, (_, i) => ({
    bytes,
    atNs: Math.round(i * gapNs),
  }));
  return folder.write(`${mbits}-${seconds}.pcap`, pcapOf(frames));
}

describe('the formula', () => {
  const rows = tableOf('| held, Mbit/s').map((row) => row.map(number) as [number, number, number, number, number]);

  test.each(rows)('%d Mbit/s, epochs of %d ms, commits after %d ms', async (mbits, epoch, commit, bytes, frames) => {
    expect(bytes).toBe((mbits * 1e6 * (epoch + commit)) / 8e3);
    expect(Math.abs(frames - bytes / FRAME_BYTES)).toBeLessThan(1);
    const capture = steady(mbits, (3 * epoch + 2 * commit) / 1000);
    const { stdout, stderr } = await holdfast(
      [
        ...['replay', capture, '--rules', 'hold-all', '--json'],
        ...['--epoch', `${epoch}ms`, '--commit-delay', `${commit}ms`],
      ],
      { timeoutMs: 100_000 },
    );
    expect(stderr).toBe('');
    const [{ peakHeldBytes, dropped }] = jsonLines(stdout) as [{ peakHeldBytes: number; dropped: number }];
    expect(dropped).toBe(0);
    // A frame at either end of the time belongs to it or not.
    expect(Math.abs(peakHeldBytes - bytes)).toBeLessThanOrEqual(2 * FRAME_BYTES);
  });

  test('has several rows, and the default limits take the largest of them twice', () => {
    expect(rows.length).toBeGreaterThan(5);
    const most = rows.at(-1)!;
    expect(DEFAULT_LIMITS.limitBytes / most[3]).toBeGreaterThan(2.5);
    expect(DEFAULT_LIMITS.limitFrames / most[4]).toBeGreaterThan(2.5);
  });
});

/** In a process of its own, because what another test leaves is freed at any time: what array buffers take with a transmit buffer. */
const MEASURE = `
const [dist, frameBytes, limits] = [process.argv[1], Number(process.argv[2]), JSON.parse(process.argv[3])];
const { slabOf } = await import(dist + 'classifier/slab.js');
const { TxBuffer } = await import(dist + 'gateway/tx-buffer.js');
const before = process.memoryUsage().arrayBuffers;
const slab = slabOf(new Uint8Array(TxBuffer.bytesFor(limits, frameBytes)));
const buffer = new TxBuffer(slab, 0, frameBytes, limits, 'burst');
console.log(process.memoryUsage().arrayBuffers - before, buffer.frames);
`;

test.each(tableOf('| bytes | frames | memory'))(
  'a buffer of %s and %s frames takes %s MiB',
  (bytes, frames, memory) => {
    const limits = { ...DEFAULT_LIMITS, limitBytes: parseBytes(bytes!), limitFrames: Number(frames) };
    const dist = new URL('../../', pathToFileURL(HOLDFAST)).href;
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '-e', MEASURE, dist, String(SUPER_FRAME_BYTES), JSON.stringify(limits)],
      { encoding: 'utf8' },
    );
    expect(stderr).toBe('');
    const [grown, held] = stdout.split(' ').map(Number);
    expect(held).toBe(0);
    expect(Math.abs(grown! / 2 ** 20 / number(memory!) - 1)).toBeLessThan(0.02);
  },
);

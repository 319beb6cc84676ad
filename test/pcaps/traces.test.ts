import { readdirSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { tsharkFields, withoutTshark } from '../support/tshark.ts';

const PCAPS = fileURLToPath(new URL('../../pcaps/', import.meta.url));
const VM_MAC = '52:54:00:00:02:10';

interface Row {
  readonly file: string;
  readonly frames: number;
  readonly outbound: number;
  readonly made: string;
  readonly holds: string;
  readonly why: string;
}

/** The provenance table's rows: lines whose first cell is a file name in backquotes. */
function provenance(): Row[] {
  const rows: Row[] = [];
  for (const line of readFileSync(`${PCAPS}README.md`, 'utf8').split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    const file = /^`(\S+\.(?:pcap|pcapng|pcap\.gz))`$/.exec(cells[1] ?? '')?.[1];
    if (file === undefined) continue;
    const [, , frames = '', outbound = '', made = '', holds = '', why = ''] = cells;
    rows.push({ file, frames: Number(frames), outbound: Number(outbound), made, holds, why });
  }
  return rows;
}

const rows = provenance();
const captures = readdirSync(`${PCAPS}traces`).filter((name) => /\.(pcap|pcapng|gz)$/.test(name));

describe('the captures in pcaps/traces', () => {
  it('each have exactly one row in the provenance table, and each row has its file', () => {
    expect(captures.length).toBeGreaterThanOrEqual(8);
    expect(rows.map((row) => row.file).sort()).toEqual([...captures].sort());
  });

  it.each(rows)('$file: its row says how it was made, what is in it and why', ({ made, holds, why }) => {
    for (const cell of [made, holds, why]) expect(cell.length).toBeGreaterThan(20);
  });

  it.each(rows)('$file has the script that recorded it', ({ file }) => {
    const script = readFileSync(`${PCAPS}record/${file.split('.')[0]}.sh`, 'utf8');
    expect(script).toContain(`record ${file.replace(/\.gz$/, '')}`);
  });

  it('stay small: under 300 kB each and 2 MB together', () => {
    const sizes = captures.map((name) => statSync(`${PCAPS}traces/${name}`).size);
    expect(Math.max(...sizes)).toBeLessThan(300_000);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(2_000_000);
  });

  it.for(rows)('$file has the frames that its row counts, and as many from the VM', async (row, { skip }) => {
    if (withoutTshark !== null) skip(withoutTshark);
    const packets = await tsharkFields(`${PCAPS}traces/${row.file}`, ['eth.src']);
    const sources = packets.map((packet) => packet['eth.src']);
    expect(sources).toHaveLength(row.frames);
    expect(sources.filter((mac) => mac === VM_MAC)).toHaveLength(row.outbound);
  });
});

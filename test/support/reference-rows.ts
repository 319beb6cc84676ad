import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { parse } from '../../classifier/parse.ts';
import { type Parsed, Parsed as ParsedFrame } from '../../classifier/parsed.ts';
import { CaptureReader } from '../../pcaps/reader.ts';
import { CaptureRecord, LINKTYPE_ETHERNET } from '../../pcaps/record.ts';
import { CAPTURES } from './captures.ts';

/** One row of the reference answers, by column name (see REFERENCE.md beside the captures). */
export type ReferenceRow = Readonly<Record<string, string>>;

/** @returns the reference's rows, or null where the capture has no reference */
export function referenceRows(capture: string): ReferenceRow[] | null {
  const plain = join(CAPTURES!, 'ref', `${capture}.tsv`);
  const packed = `${plain}.gz`;
  if (!existsSync(plain) && !existsSync(packed)) return null;
  const text = existsSync(plain) ? readFileSync(plain, 'utf8') : gunzipSync(readFileSync(packed)).toString('utf8');
  const [head, ...rows] = text
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('\t'));
  return rows.map((row) => Object.fromEntries(head!.map((title, i) => [title, row[i]!])));
}

/** By packet number as text; empty where the capture has no reference. */
export function referenceByPacket(capture: string): Map<string, ReferenceRow> {
  return new Map((referenceRows(capture) ?? []).map((row) => [row.pkt!, row]));
}

/** Calls back for each Ethernet frame of a reference capture, with its number from 1 and its parsed fields. */
export function forEachFrame(file: string, visit: (p: Parsed, slab: DataView, packet: number) => void): void {
  const reader = new CaptureReader();
  const record = new CaptureRecord();
  const parsed = new ParsedFrame();
  reader.feed(readFileSync(join(CAPTURES!, file)));
  reader.end();
  for (let packet = 1; reader.next(record); packet++) {
    if (record.linkType !== LINKTYPE_ETHERNET) continue;
    parse(parsed, record.view, record.offset, record.capturedLength, record.wireLength);
    visit(parsed, record.view, packet);
  }
}

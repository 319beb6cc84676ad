import { readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from '../../classifier/parse.ts';
import { L3, Parsed } from '../../classifier/parsed.ts';
import { readCapture } from '../../pcaps/cursor.ts';
import { PcapWriter } from '../../pcaps/pcap-writer.ts';
import { LINKTYPE_ETHERNET } from '../../pcaps/record.ts';
import { CAPTURES, captureFiles } from './captures.ts';

/** A veth's MTU and the Ethernet header. */
const MAX_FRAME = 65535;
/** So that no large capture drowns the small ones. */
const MAX_PER_FILE = 300;
const TRACES = fileURLToPath(new URL('../../pcaps/traces/', import.meta.url));

const ETHER_IP4 = 0x0800;
const ETHER_IP6 = 0x86dd;

export type OracleFrame = Uint8Array;

/** Frames of real captures, sorted by what nft and Holdfast read alike. */
export interface OracleFrames {
  /** Untagged, whole, unfragmented: every shared match selects the same ones. */
  readonly plain: readonly OracleFrame[];
  /** The same with exactly one 802.1Q tag. */
  readonly tagged: readonly OracleFrame[];
  /** IPv4 and IPv6 fragments without a tag, whole otherwise. */
  readonly fragments: readonly OracleFrame[];
  /** With two tags and more. */
  readonly stacked: readonly OracleFrame[];
}

/** From the reference captures where there are any, and from the project's own traces. */
export async function oracleFrames(): Promise<OracleFrames> {
  const frames = {
    plain: [] as OracleFrame[],
    tagged: [] as OracleFrame[],
    fragments: [] as OracleFrame[],
    stacked: [] as OracleFrame[],
  };
  const files = captureFiles().map((name) => `${CAPTURES}/${name}`);
  for (const name of readdirSync(TRACES).filter((file) => /\.pcap(ng)?$/.test(file))) files.push(TRACES + name);
  const parsed = new Parsed();
  for (const file of files) {
    let kept = 0;
    await readCapture(file, (record) => {
      const { offset, frameLength, wireLength, linkType } = record;
      if (kept === MAX_PER_FILE || linkType !== LINKTYPE_ETHERNET) return;
      if (frameLength < 14 || frameLength > MAX_FRAME || wireLength - record.fcsLength !== frameLength) return;
      parse(parsed, record.view, offset, frameLength, frameLength);
      const kind = kindOf(parsed, record.view);
      if (kind === null) return;
      frames[kind].push(record.bytes.slice(offset, offset + frameLength));
      kept++;
    }).catch(() => undefined);
  }
  return frames;
}

/** @returns null for frames that the two read differently by design, beyond tags and fragments */
function kindOf(p: Parsed, view: DataView): keyof OracleFrames | null {
  if (p.problem !== 0) return null;
  // IP under MPLS, PPPoE or SNAP: read here, not by nft.
  if (p.l3 === L3.ip4 && p.etherType !== ETHER_IP4) return null;
  if (p.l3 === L3.ip6 && p.etherType !== ETHER_IP6) return null;
  // A segmentation-offload frame, which has no length of its own, and a jumbogram.
  if (p.l3 === L3.ip4 && view.getUint16(p.l3Offset + 2) === 0) return null;
  if (p.l3 === L3.ip6 && view.getUint16(p.l3Offset + 4) === 0) return null;
  // nft stops at an authentication header.
  if (p.l3 === L3.ip6 && p.proto !== AH && passesAh(p, view)) return null;
  if (p.vlanCount > 1) return 'stacked';
  if (p.isFragment === 1) return p.vlanCount === 0 ? 'fragments' : null;
  if (p.vlanCount === 0) return 'plain';
  // nft's 'vlan' means this tag alone.
  return view.getUint16(p.offset + 12) === CUSTOMER_TAG ? 'tagged' : null;
}

const AH = 51;
const CUSTOMER_TAG = 0x8100;

/** Is there an authentication header (RFC 4302) before what `p.proto` names? */
function passesAh(p: Parsed, view: DataView): boolean {
  let next = view.getUint8(p.l3Offset + 6);
  for (let at = p.l3Offset + 40; next !== p.proto && at + 8 <= p.offset + p.length; ) {
    if (next === AH) return true;
    const length = next === 44 ? 8 : (view.getUint8(at + 1) + 1) * 8;
    next = view.getUint8(at);
    at += length;
  }
  return false;
}

/** Writes them as a capture that tcpreplay can read. */
export function writeFrames(path: string, frames: readonly OracleFrame[]): void {
  const pieces: Uint8Array[] = [];
  const writer = new PcapWriter((chunk) => pieces.push(chunk.slice()));
  for (const [i, frame] of frames.entries()) writer.writePacket(i, 0, frame, 0, frame.length, frame.length);
  writer.flush();
  writeFileSync(path, Buffer.concat(pieces));
}

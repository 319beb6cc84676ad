import fc from 'fast-check';
import { compileGeneration, type Generation } from '../../classifier/classifier.ts';
import { slabOf } from '../../classifier/slab.ts';
import { frame } from '../../pcaps/build.ts';
import { CaptureRecord } from '../../pcaps/record.ts';
import { parseRules } from '../../rules/parse.ts';

/** Rules under which one TCP flow has held and passed frames. */
export const MIXED_RULES = `
class data    pass
class control hold
outbound {
  ether type arp                        class control
  tcp flags & (syn|fin|rst) != 0        class control
  tcp sport 9000                        class data
  udp sport 7                           drop
  udp sport 16384-32767                 class data
  default                               class control
}
`;

/** @throws Error with the first message if the text is invalid */
export function generationOfText(text: string): Generation {
  const { ruleSet, errors } = parseRules(text, 'test.rules');
  if (ruleSet === null) throw new Error(errors[0]?.message ?? 'invalid');
  return compileGeneration(1, ruleSet);
}

export const VM_MAC = '02:00:00:00:00:aa';
const PEER_MAC = '02:00:00:00:00:bb';
const VM_IP = '192.0.2.10';
const PEER_IP = '192.0.2.1';

export const REPLAY_KINDS = [
  'syn',
  'data',
  'fin',
  'media',
  'dns',
  'arp',
  'discard',
  'unknown',
  'stub',
  'inbound',
  'alien',
] as const;
export type ReplayKind = (typeof REPLAY_KINDS)[number];

/** @returns a frame whose payload names `serial`, so that no two are alike */
export function replayFrame(kind: ReplayKind, flow: number, serial: number): Uint8Array {
  const out = frame().eth({ src: VM_MAC, dst: PEER_MAC });
  const ip = () => out.ip4({ src: VM_IP, dst: PEER_IP });
  const text = `frame ${serial}${'.'.repeat(serial % 50)}`;
  switch (kind) {
    case 'syn':
      return ip()
        .tcp(9000, 40_000 + flow, { flags: 0x12 })
        .payload(text)
        .build();
    case 'fin':
      return ip()
        .tcp(9000, 40_000 + flow, { flags: 0x11 })
        .payload(text)
        .build();
    case 'data':
      return ip()
        .tcp(9000, 40_000 + flow, { flags: 0x18 })
        .payload(text)
        .build();
    case 'media':
      return ip()
        .udp(16_384 + flow, 4000)
        .payload(text)
        .build();
    case 'dns':
      return ip()
        .udp(53, 4000 + flow)
        .payload(text)
        .build();
    case 'discard':
      return ip()
        .udp(7, 4000 + flow)
        .payload(text)
        .build();
    case 'arp':
      return out.arp({ senderIp: VM_IP, targetIp: PEER_IP }).payload(text).build();
    case 'unknown':
      return ip()
        .tcp(9000, 40_000 + flow)
        .payload(text)
        .truncateTo(34 + 6)
        .build();
    case 'stub':
      return out.build().slice(0, 13);
    case 'alien':
      return Uint8Array.of(0x45, 0, serial >> 8, serial);
    case 'inbound':
      return frame()
        .eth({ src: PEER_MAC, dst: VM_MAC })
        .ip4({ src: PEER_IP, dst: VM_IP })
        .udp(4000, 16_384 + flow)
        .payload(text)
        .build();
  }
}

export interface TimedFrame {
  readonly kind: ReplayKind;
  readonly flow: number;
  /** Nanoseconds after the frame before; null: the record has no time. */
  readonly stepNs: number | null;
}

const MS = 1e6;
/** Times that meet the instants of seals and commits, times that miss them, and time that steps back. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 8 }).map((tens) => tens * 10 * MS) },
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 30 * MS }) },
  { weight: 2, arbitrary: fc.integer({ min: 100 * MS, max: 3000 * MS }) },
  { weight: 1, arbitrary: fc.integer({ min: -150 * MS, max: -1 }) },
  { weight: 1, arbitrary: fc.constant(null) },
);

export const timedFrames: fc.Arbitrary<TimedFrame[]> = fc.array(
  fc.record({ kind: fc.constantFrom(...REPLAY_KINDS), flow: fc.integer({ min: 0, max: 1 }), stepNs: step }),
  { maxLength: 60 },
);

/** @returns capture records; the first one with a time is at 1,700,000,000.9 s */
export function recordsOf(frames: readonly TimedFrame[]): CaptureRecord[] {
  let ns = 9e8;
  return frames.map(({ kind, flow, stepNs }, serial) => {
    if (stepNs !== null) ns += stepNs;
    const record = recordOf(replayFrame(kind, flow, serial), kind === 'alien' ? 101 : 1);
    record.hasTime = stepNs !== null;
    if (record.hasTime) {
      record.seconds = 1_700_000_000 + Math.floor(ns / 1e9);
      record.nanoseconds = ns - Math.floor(ns / 1e9) * 1e9;
    }
    return record;
  });
}

/** @returns a record of a whole frame, without a time */
export function recordOf(bytes: Uint8Array, linkType = 1): CaptureRecord {
  const record = new CaptureRecord();
  const slab = slabOf(bytes);
  record.bytes = slab.bytes;
  record.view = slab.view;
  record.capturedLength = bytes.length;
  record.wireLength = bytes.length;
  record.linkType = linkType;
  return record;
}

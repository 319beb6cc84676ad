import { FLAG } from '../frame-records.ts';
import { labelOf } from '../labels.ts';
import { FILE_KIND, HEADER_BYTES, readHeader } from './file-header.ts';
import { FrameTable } from './frame-table.ts';
import type { FoundState } from './state-file.ts';
import { LIVE } from './state-layout.ts';
import { TermHint } from './term-hint.ts';
import { Unbelievable } from './unbelievable.ts';

/** Where the parts of a buffer's file begin. */
export const TABLE_AT = HEADER_BYTES + TermHint.BYTES;
const MAX_RECORDS = 2 ** 26;

/** @returns where the ring begins in the file of a buffer */
export function ringAt(records: number): number {
  return TABLE_AT + FrameTable.bytesFor(records);
}

/** Frames that a file holds, oldest first. */
export interface StoredFrames {
  readonly table: FrameTable;
  /** What they lie in; places count from `ring`. */
  readonly bytes: Uint8Array;
  readonly ring: number;
  /** Indices of their records. */
  readonly order: readonly number[];
  /** By their place in `order`. Infinity: a rollback that came first has discarded the frame. */
  readonly labels: readonly number[];
  /** How many of them the port may have taken already. */
  readonly resentFrames: number;
}

interface Lap {
  readonly head: number;
  readonly held: number;
  readonly state: FoundState | null;
}

/**
 * Reads the frames of a transmit buffer's file. All or none: whoever finds that some of it is not as it was stored cannot tell what
 * else is not.
 * @param state what the VM's state file says
 * @throws Unbelievable
 */
export function readFrames(bytes: Uint8Array<ArrayBuffer>, vm: string, state: FoundState): StoredFrames {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = readHeader(view, FILE_KIND.buffer, vm);
  const { records, ringBytes, frameBytes } = header;
  const isPossible = Number.isInteger(Math.log2(records)) && records >= 8 && records <= MAX_RECORDS;
  if (!isPossible || ringAt(records) + ringBytes !== bytes.length) {
    throw new Unbelievable(`it is ${bytes.length} bytes long, which is not what its header says`);
  }
  const isOwn = header.id === state.bufferId;
  if (!isOwn && header.parent !== state.id) {
    throw new Unbelievable('it is not the one that this VM used last: its frames may be old');
  }
  const { term } = state.epochs;
  if (TermHint.read(view, HEADER_BYTES) > term) {
    throw new Unbelievable(`it knows a later term than ${term}, which the state file knows`);
  }
  const ring = ringAt(records);
  const table = new FrameTable(records, bytes.buffer, bytes.byteOffset + TABLE_AT, view, ring);
  // A buffer that has just taken over its parent's frames, and in which nothing else has happened, has labels of its own.
  const lap: Lap = isOwn
    ? { head: state.live[LIVE.head]!, held: state.live[LIVE.held]!, state }
    : { head: 0, held: header.frames, state: null };
  return readLap(table, bytes, ring, Math.min(frameBytes, ringBytes), lap);
}

function readLap(table: FrameTable, bytes: Uint8Array, ring: number, frameBytes: number, lap: Lap): StoredFrames {
  const { records, check } = table;
  const mask = records.count - 1;
  const numbers: number[] = [];
  for (let i = 0; i < records.count; i++) {
    const number = (lap.head + i) | 0;
    const at = number & mask;
    if (check[at] === 0) continue;
    const length = records.length[at]!;
    const isInside = length <= frameBytes && ring + records.place[at]! + length <= bytes.length;
    if (!isInside || check[at] !== table.checkOf(number, at)) throw new Unbelievable('a frame in it is damaged');
    numbers.push(number);
  }
  const live = lap.state?.live;
  const order = withoutCopy(table, numbers, live);
  if (order.length < lap.held) {
    throw new Unbelievable(`${lap.held} frames were stored and ${order.length} are in it`);
  }
  const labels = order.map((number) => {
    const at = number & mask;
    return lap.state === null ? records.epoch[at]! : labelOf(lap.state.labels, records, number, at);
  });
  if (labels.some((label, i) => !(label >= (labels[i - 1] ?? 0)))) throw new Unbelievable('its labels fall');
  return {
    table,
    bytes,
    ring,
    order: order.map((number) => number & mask),
    labels,
    resentFrames: live === undefined ? 0 : lentOf(order, labels, live, table, lap.state!.epochs.committedEpoch),
  };
}

/** A record that was being moved is there twice: its copy counts. */
function withoutCopy(table: FrameTable, numbers: readonly number[], live: Int32Array | undefined): readonly number[] {
  if (live === undefined) return numbers;
  const [from, to] = [live[LIVE.movedFrom]!, live[LIVE.movedTo]!];
  if (from === to || !numbers.includes(from) || !numbers.includes(to)) return numbers;
  const mask = table.records.count - 1;
  const [a, b] = [from & mask, to & mask];
  const isCopy =
    table.records.length[a] === table.records.length[b] &&
    table.records.arrivalNs[a] === table.records.arrivalNs[b] &&
    table.contentOf(a) === table.contentOf(b);
  if (!isCopy) throw new Unbelievable('what it says of a frame that was being moved is damaged');
  return numbers.filter((number) => number !== from);
}

/** @returns how many frames that may leave are among those that the port was given */
function lentOf(
  order: readonly number[],
  labels: readonly number[],
  live: Int32Array,
  table: FrameTable,
  committedEpoch: number,
): number {
  const [first, span] = [live[LIVE.lentFirst]!, live[LIVE.lentSpan]!];
  const waiting = new Set<string>();
  let lent = 0;
  order.forEach((number, i) => {
    const at = number & (table.records.count - 1);
    const flags = table.records.flags[at]!;
    const flow = (flags & FLAG.ordered) === 0 ? null : `${table.flowHigh[at]} ${table.flowLow[at]}`;
    const isFree = (flags & FLAG.behind) !== 0 && (flow === null || !waiting.has(flow));
    if (labels[i]! > committedEpoch && !isFree) {
      if (flow !== null) waiting.add(flow);
      return;
    }
    const distance = (number - first) | 0;
    if (distance >= 0 && distance < span) lent++;
  });
  return lent;
}

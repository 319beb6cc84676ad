import { expect, test } from 'vitest';
import { REASON, VERDICT } from '../../../classifier/verdict.ts';
import { VirtualClock } from '../../../gateway/clock.ts';
import { CapturePort } from '../../../gateway/port/capture.ts';
import { memoryLink } from '../../../gateway/port/memory.ts';
import { GSO, SUPER_FRAME_BYTES } from '../../../gateway/port/vnet-header.ts';
import { PcapngWriter } from '../../../pcaps/pcapng-writer.ts';
import { brief, frameOf, PortHand } from './hands.ts';
import { checksumsAreRight, unfinishedFrame } from './internet.ts';

interface Packet {
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly bytes: Uint8Array;
  readonly wireLength: number;
  readonly comment: string;
}

/** Enhanced packet blocks of little-endian pcapng with nanoseconds (draft-ietf-opsawg-pcapng §4.3), each with a comment. */
function packetsOf(file: Uint8Array): Packet[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const packets: Packet[] = [];
  for (let at = 0; at < file.length; at += view.getUint32(at + 4, true)) {
    if (view.getUint32(at, true) !== 6) continue;
    const ns = (BigInt(view.getUint32(at + 12, true)) << 32n) | BigInt(view.getUint32(at + 16, true));
    const length = view.getUint32(at + 20, true);
    const options = at + 28 + ((length + 3) & ~3);
    expect(view.getUint16(options, true)).toBe(1);
    packets.push({
      seconds: Number(ns / 1_000_000_000n),
      nanoseconds: Number(ns % 1_000_000_000n),
      bytes: file.slice(at + 28, at + 28 + length),
      wireLength: view.getUint32(at + 24, true),
      comment: Buffer.from(file.subarray(options + 4, options + 4 + view.getUint16(options + 2, true))).toString(),
    });
  }
  return packets;
}

function rig() {
  const clock = new VirtualClock();
  const [inner, far] = memoryLink('link', 2, SUPER_FRAME_BYTES, clock);
  const port = new CapturePort(inner, clock, { seconds: 1_700_000_000, nanoseconds: 999_999_999 });
  const chunks: Uint8Array[] = [];
  const writer = new PcapngWriter((chunk) => chunks.push(chunk.slice()));
  const packets = () => {
    writer.flush();
    return packetsOf(Buffer.concat(chunks));
  };
  return { clock, port, writer, packets, near: new PortHand(port), far: new PortHand(far) };
}

test('what comes in and what goes out is written with its time and its verdict', () => {
  const { clock, port, writer, packets, near, far } = rig();
  port.start(writer);
  const frame = frameOf(60, 1);
  far.offer([frame]);
  clock.advanceTo(1);
  near.take(40);
  near.batch.verdict[0] = VERDICT.hold;
  near.batch.reason[0] = REASON.rule;
  near.batch.rule[0] = 12;
  near.batch.epoch[0] = 3;
  near.batch.verdict[1] = VERDICT.pass;
  near.batch.reason[1] = REASON.default;
  clock.advanceTo(1_500_000_000);
  expect(near.offer([frameOf(61, 2), frameOf(62, 3), frameOf(63, 4)])).toBe(2);
  const [received, first, second, ...rest] = packets();
  // Cut to its slot; what the port refused was not sent.
  expect({ ...received, bytes: brief(received!.bytes) }).toEqual({
    seconds: 1_700_000_001,
    nanoseconds: 0,
    bytes: brief(frame.subarray(0, 40)),
    wireLength: 60,
    comment: 'in',
  });
  expect([first!.seconds, first!.nanoseconds]).toEqual([1_700_000_002, 499_999_999]);
  expect(brief(first!.bytes)).toBe(brief(frameOf(61, 2)));
  expect(first!.comment).toBe('out hold reason=rule rule=12 epoch=3');
  expect(second!.comment).toBe('out pass reason=default');
  expect(rest).toEqual([]);
});

test('nothing is written before start, nor after stop', () => {
  const { port, writer, packets, near, far } = rig();
  near.offer([frameOf(60, 1)]);
  port.start(writer);
  near.offer([frameOf(61, 1)]);
  port.stop();
  far.take();
  near.offer([frameOf(62, 1)]);
  expect(packets().map(({ bytes }) => bytes.length)).toEqual([61]);
});

test('a super-frame is written with its checksum finished, and sent as it was', () => {
  const { port, writer, packets, near, far } = rig();
  port.start(writer);
  const { bytes, l4Start } = unfinishedFrame({ version: 4, protocol: 'tcp', payloadBytes: 5000 });
  const superFrame = { gsoType: GSO.tcp4, gsoSize: 1000, l4Start };
  near.offer([bytes], superFrame);
  const [packet] = packets();
  expect(checksumsAreRight(bytes)).toBe(false);
  expect(checksumsAreRight(packet!.bytes)).toBe(true);
  expect(packet!.comment).toContain(' segments-of=1000');
  far.take();
  expect(far.superFrame).toEqual(superFrame);
  const offset = far.batch.offset[0]!;
  expect(brief(far.batch.slab.bytes.slice(offset, offset + bytes.length))).toBe(brief(bytes));
});

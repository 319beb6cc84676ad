import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Port } from '../../../gateway/port/port.ts';
import { GSO } from '../../../gateway/port/vnet-header.ts';
import { until } from '../../support/netns.ts';
import { brief, frameOf, PortHand } from './hands.ts';
import { checksumsAreRight, tcpPart, unfinishedFrame } from './internet.ts';

/** What not every back end can do. */
export type Ability = 'superFrames' | 'segments' | 'segments into';

/** Two ports that are joined: what one sends the other gets. */
export interface PortPair {
  readonly near: Port;
  readonly far: Port;
  close(): void | Promise<void>;
}

export interface BackEnd {
  readonly name: string;
  /** Why it cannot be tried here; null where it can. */
  readonly reason: string | null;
  /** What it cannot do, and why. */
  readonly lacks: Partial<Record<Ability, string>>;
  /** Makes a pair whose links are up and take frames of up to `mtu` bytes behind their Ethernet headers. */
  make(mtu: number): Promise<PortPair>;
}

const MTU = 1500;
const JUMBO_MTU = 9000;
const SIZES = [14, 15, 16, 33, 59, 60, 61, 64, 65, 127, 128, 129, 512, 1500, 1513, 1514] as const;
const JUMBO_SIZES = [1515, 4095, 4096, 4097, 8999, 9013, 9014] as const;
const BURST = 600;
const MOST_ON_THE_WAY = 100;
const TAGS = {
  'a VLAN tag': [[0x8100, 0x0123]],
  'a priority tag': [[0x8100, 0xa000]],
  'a service tag': [[0x88a8, 0x2fff]],
  'QinQ tags': [
    [0x88a8, 0x6065],
    [0x8100, 0x0007],
  ],
  'two VLAN tags': [
    [0x8100, 0x0001],
    [0x8100, 0xe002],
  ],
} as const;

/** The tests that every back end passes. */
export function checkPort(backEnd: BackEnd): void {
  describe(`the ${backEnd.name} port`, () => {
    let pair: PortPair | null = null;
    let near: PortHand;
    let far: PortHand;

    beforeEach(({ skip }) => skip(backEnd.reason !== null, backEnd.reason ?? ''));
    afterEach(async () => {
      await pair?.close();
      pair = null;
    });

    async function join(mtu = MTU): Promise<void> {
      pair = await backEnd.make(mtu);
      near = new PortHand(pair.near);
      far = new PortHand(pair.far);
    }

    function needs(ability: Ability, skip: (condition: boolean, note: string) => void): void {
      const why = backEnd.lacks[ability];
      skip(why !== undefined, `${backEnd.name}: ${why}`);
    }

    const directions = ['out of', 'into'] as const;

    /** Sends the frames and checks that they arrive. */
    async function carry(direction: (typeof directions)[number], frames: readonly Uint8Array[]): Promise<void> {
      const [from, to] = direction === 'out of' ? [near, far] : [far, near];
      await from.send(frames);
      const got = await to.takeAll(frames.length);
      expect(got.map(brief)).toEqual(frames.map(brief));
    }

    describe.each(directions)('%s the port', (direction) => {
      test('frames of every size travel byte for byte', async () => {
        await join();
        await carry(
          direction,
          SIZES.map((size, i) => frameOf(size, i)),
        );
      });

      test('jumbo frames travel byte for byte', async () => {
        await join(JUMBO_MTU);
        await carry(
          direction,
          JUMBO_SIZES.map((size, i) => frameOf(size, i)),
        );
      });

      test.each(Object.entries(TAGS))('frames with %s keep it', async (_, tags) => {
        await join(MTU + 8);
        await carry(
          direction,
          [64, 1000, 1514 + 4 * tags.length].map((size, i) => frameOf(size, i, tags)),
        );
      });

      test('a burst travels whole and in order', async () => {
        await join();
        const frames = Array.from({ length: BURST }, (_, i) => frameOf(60 + (i % 200), i));
        const [from, to] = direction === 'out of' ? [near, far] : [far, near];
        const got: string[] = [];
        for (let i = 0; i < BURST; i += 50) {
          await from.send(frames.slice(i, i + 50));
          // Queues between two devices are short, and on a busy machine the kernel may be late.
          await until(() => {
            got.push(...to.take().map(brief));
            return got.length > i - MOST_ON_THE_WAY;
          }, `frames at ${to.port.name}`);
        }
        if (got.length < BURST) got.push(...(await to.takeAll(BURST - got.length)).map(brief));
        expect(got).toEqual(frames.map(brief));
      });

      test('a super-frame arrives as frames that a receiver takes', async ({ skip }) => {
        needs('segments', skip);
        if (direction === 'into') needs('segments into', skip);
        await join();
        const [from, to] = direction === 'out of' ? [near, far] : [far, near];
        for (const [version, tags] of [
          [4, []],
          [6, []],
          [4, TAGS['a VLAN tag']],
          [6, TAGS['a service tag']],
          [4, TAGS['QinQ tags']],
        ] as const) {
          const { bytes, l4Start } = unfinishedFrame({
            version,
            protocol: 'tcp',
            payloadBytes: 3500,
            flags: 0x99,
            tags,
          });
          const gsoType = version === 4 ? GSO.tcp4 : GSO.tcp6;
          await from.send([bytes], { gsoType, gsoSize: 1000, l4Start });
          const got = await to.takeAll(4);
          const parts = got.map((frame) => tcpPart(frame, l4Start));
          expect(got.map(checksumsAreRight)).toEqual([true, true, true, true]);
          const first = tcpPart(bytes, l4Start).sequence;
          expect(parts.map(({ sequence }) => (sequence - first) >>> 0)).toEqual([0, 1000, 2000, 3000]);
          // CWR belongs to the first segment, FIN and PSH to the last one.
          expect(parts.map(({ flags }) => flags)).toEqual([0x90, 0x10, 0x10, 0x19]);
          expect(Buffer.concat(parts.map(({ payload }) => payload)).equals(bytes.subarray(l4Start + 20))).toBe(true);
        }
      });

      test('a super-frame stays one', async ({ skip }) => {
        needs('superFrames', skip);
        await join();
        const [from, to] = direction === 'out of' ? [near, far] : [far, near];
        const { bytes, l4Start } = unfinishedFrame({ version: 4, protocol: 'tcp', payloadBytes: 60_000 });
        const superFrame = { gsoType: GSO.tcp4, gsoSize: 1400, l4Start };
        await from.send([bytes], superFrame);
        expect(await to.takeAll(43)).toHaveLength(43);
        expect(to.superFrame).toEqual(superFrame);
        expect(to.wireLength).toBe(bytes.length);
      });
    });

    test('both ends talk at once', async () => {
      await join();
      const there = Array.from({ length: 40 }, (_, i) => frameOf(100 + i, i));
      const back = Array.from({ length: 40 }, (_, i) => frameOf(300 + i, i));
      await near.send(there);
      await far.send(back);
      expect((await far.takeAll(40)).map(brief)).toEqual(there.map(brief));
      expect((await near.takeAll(40)).map(brief)).toEqual(back.map(brief));
    });

    test('a frame longer than its slot is cut and says how long it was', async () => {
      await join();
      const frame = frameOf(1000, 3);
      await far.send([frame]);
      const [cut] = await near.takeAll(1, 100);
      expect(brief(cut!)).toBe(brief(frame.subarray(0, 100)));
      expect(near.wireLength).toBe(1000);
    });

    test('a tagged frame longer than its slot is cut behind its tag', async () => {
      await join();
      const frame = frameOf(1000, 3, TAGS['a VLAN tag']);
      await far.send([frame]);
      const [cut] = await near.takeAll(1, 100);
      expect(brief(cut!)).toBe(brief(frame.subarray(0, 100)));
      expect(near.wireLength).toBe(1000);
    });

    test('frames begin where they are told', async () => {
      await join();
      const frames = [frameOf(70, 1), frameOf(80, 2)];
      expect(near.offer(frames, null, 5)).toBe(2);
      expect((await far.takeAll(2)).map(brief)).toEqual(frames.map(brief));
      await far.send(frames.slice(0, 1));
      const { batch } = near;
      batch.length.fill(0);
      await until(() => near.port.receive(batch, 7, 3, 2048) > 0, `a frame at ${near.port.name}`);
      expect([...batch.length.subarray(6, 9)]).toEqual([0, 70, 0]);
      const offset = batch.offset[7]!;
      expect(brief(batch.slab.bytes.subarray(offset, offset + 70))).toBe(brief(frames[0]!));
      expect([batch.wireLength[7], batch.linkType[7], batch.gsoType[7]]).toEqual([70, 1, 0]);
    });

    test('nothing is read where there is no room, and nothing is lost by that', async () => {
      await join();
      await far.send([frameOf(64, 1)]);
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect(near.port.receive(near.batch, 0, 0, 2048)).toBe(0);
      expect(await near.takeAll(1)).toHaveLength(1);
    });

    test('a port that is closed amid a burst gives and takes no more, and harms nobody', async () => {
      await join();
      const frames = Array.from({ length: 40 }, (_, i) => frameOf(200, i));
      await far.send(frames);
      near.offer(frames);
      near.port.close();
      near.port.close();
      expect(near.take()).toEqual([]);
      const before = near.offer(frames.slice(0, 1));
      expect(before).toBeLessThanOrEqual(1);
      far.offer(frames);
      const late = await far.takeFor(30);
      expect(late.length).toBeLessThanOrEqual(40);
      expect(late.map(brief)).toEqual(frames.slice(0, late.length).map(brief));
    });
  });
}

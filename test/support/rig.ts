import type { Generation } from '../../classifier/classifier.ts';
import { slabOf } from '../../classifier/slab.ts';
import { VirtualClock } from '../../gateway/clock.ts';
import { StateError } from '../../gateway/epoch.ts';
import { FrameBatch } from '../../gateway/frame-batch.ts';
import { type MemoryPort, memoryLink } from '../../gateway/port/memory.ts';
import { Vm } from '../../gateway/vm.ts';
import { type Frame, type FrameSpec, makeFrame, SLOT_BYTES } from './frames.ts';
import { generationOf } from './judge.ts';
import type { ModelOptions } from './model.ts';

const LONGEST = SLOT_BYTES + 1;

/** A hand that puts frames into a memory port and takes them out. */
export class Hand {
  readonly port: MemoryPort;
  readonly #batch = new FrameBatch(slabOf(new Uint8Array(LONGEST)), 1);

  constructor(port: MemoryPort) {
    this.port = port;
  }

  /** @returns whether the link took it */
  send({ bytes, linkType }: Pick<Frame, 'bytes' | 'linkType'>): boolean {
    const batch = this.#batch;
    batch.slab.bytes.set(bytes);
    batch.offset[0] = 0;
    batch.length[0] = bytes.length;
    batch.wireLength[0] = bytes.length;
    batch.linkType[0] = linkType;
    return this.port.transmit(batch, 0, 1) === 1;
  }

  /** @returns the bytes of up to `max` frames that wait, in hexadecimal */
  take(max = Number.POSITIVE_INFINITY): string[] {
    const taken: string[] = [];
    const batch = this.#batch;
    batch.offset[0] = 0;
    while (taken.length < max && this.port.receive(batch, 0, 1, LONGEST) === 1) {
      taken.push(hex(batch.slab.bytes.subarray(0, batch.length[0])));
    }
    return taken;
  }
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

/** A gateway VM between two memory links, with hands on their far ends. */
export class Rig {
  readonly clock: VirtualClock;
  readonly vm: Vm;
  /** The gateway's end of the link to the VM. */
  readonly inside: MemoryPort;
  readonly guest: Hand;
  readonly net: Hand;

  /** @param generation other rules than the options name */
  constructor(options: ModelOptions, clock = new VirtualClock(), generation = generationOf(options.ruleSet)) {
    const [guest, inside] = memoryLink('inside', options.insideCapacity, LONGEST, clock);
    const [net, outside] = memoryLink('outside', options.outsideCapacity, LONGEST, clock);
    const { limits, pacing, overflow, batchFrames, replicated, store } = options;
    this.clock = clock;
    this.inside = inside;
    this.guest = new Hand(guest);
    this.net = new Hand(net);
    this.vm = new Vm(inside, outside, generation, clock, {
      slotBytes: SLOT_BYTES,
      limits,
      pacing,
      overflow,
      batchFrames,
      replicated,
      ...(store === undefined ? {} : { store: store() }),
    });
  }
}

export const ROOMY: ModelOptions = {
  limits: {
    limitFrames: 64,
    limitBytes: 64 * SLOT_BYTES,
    unclassifiedShare: 1,
    behindShare: 1,
    sealReserveFrames: 4,
    sealReserveBytes: 4 * SLOT_BYTES,
  },
  pacing: 'burst',
  overflow: 'drop',
  batchFrames: 8,
  replicated: false,
  ruleSet: 0,
  outsideCapacity: 256,
  insideCapacity: 256,
};

/** Frames by number, for schedules that are written down: what was sent, and the numbers of what left. */
export class Scene {
  readonly rig: Rig;
  readonly #known = new Map<string, number>();

  /** @param generation other rules than the options name */
  constructor(options: Partial<ModelOptions> = {}, generation?: Generation) {
    this.rig = new Rig({ ...ROOMY, ...options }, new VirtualClock(), generation);
  }

  get vm(): Vm {
    return this.rig.vm;
  }

  /** The VM sends a frame of flow 0 and the gateway reads it. */
  send(serial: number, spec: Partial<FrameSpec>): void {
    this.put(serial, spec);
    this.vm.turn();
  }

  /** The VM sends a frame of flow 0; it waits in the inside port. */
  put(serial: number, spec: Partial<FrameSpec>): void {
    const frame = makeFrame({ kind: 'udp', flow: 0, colour: 0, vlan: 0, pad: 0, ...spec }, serial);
    this.#known.set(hex(frame.bytes), serial);
    if (!this.rig.guest.send(frame)) throw new Error('the inside link is full');
  }

  /** @returns numbers of the frames that reached the network since the last call, in order */
  left(max?: number): number[] {
    return this.rig.net.take(max).map((bytes) => {
      const serial = this.#known.get(bytes);
      if (serial === undefined) throw new Error(`nobody sent ${bytes}`);
      return serial;
    });
  }
}

/** @returns the code of the StateError that `request` throws, or what it answers */
export function answerOf<T>(request: () => T): T | { code: string } {
  try {
    return request();
  } catch (error) {
    if (error instanceof StateError) return { code: error.code };
    throw error;
  }
}

import { VirtualClock } from '../../gateway/clock.ts';
import type { FrameBatch } from '../../gateway/frame-batch.ts';
import { type MemoryPort, memoryLink } from '../../gateway/port/memory.ts';
import type { LinkState, Port } from '../../gateway/port/port.ts';
import { PortWrapper } from '../../gateway/port/wrapper.ts';
import { Vm } from '../../gateway/vm.ts';
import type { VmOptions } from '../../gateway/vm-parts.ts';
import { type FrameSpec, makeFrame, SLOT_BYTES } from './frames.ts';
import { generationOf } from './judge.ts';
import { Hand, hex } from './rig.ts';
import { TIGHT } from './scene.ts';

/** A memory port that lives by itself, as far as one looks at it. */
export class LiveMemoryPort extends PortWrapper {
  state: LinkState = 'up';
  closed = false;
  resets = 0;
  reading = true;
  #onLink: (() => void) | null = null;

  override get link(): LinkState {
    return this.state;
  }

  override get onLink(): (() => void) | null {
    return this.#onLink;
  }

  override set onLink(listener: (() => void) | null) {
    this.#onLink = listener;
  }

  override setReading(wanted: boolean): void {
    this.reading = wanted;
  }

  override reset(): void {
    this.resets++;
  }

  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number {
    return this.inner.receive(batch, from, max, slotBytes);
  }

  transmit(batch: FrameBatch, from: number, count: number): number {
    return this.inner.transmit(batch, from, count);
  }

  override close(): void {
    this.closed = true;
    this.inner.close();
  }

  /** The link changes, and its listener hears of it. */
  become(link: LinkState): void {
    this.state = link;
    this.#onLink?.();
  }
}

/** A machine that the VM can be on, and the port to it. */
export interface Machine {
  readonly hand: Hand;
  readonly port: LiveMemoryPort;
}

/** A VM with machines to be on, and the network; frames are known by number. */
export class FailoverScene {
  readonly clock = new VirtualClock();
  readonly a: Machine;
  readonly b: Machine;
  readonly net: Hand;
  readonly vm: Vm;
  readonly #known = new Map<string, number>();

  constructor(options: Partial<VmOptions> = {}, capacity = 256) {
    this.a = this.machine('a', capacity);
    this.b = this.machine('b');
    const [net, outside] = memoryLink('outside', 256, SLOT_BYTES + 1, this.clock);
    this.net = new Hand(net);
    this.vm = new Vm(this.a.port, outside, generationOf(0), this.clock, {
      slotBytes: SLOT_BYTES,
      limits: TIGHT,
      batchFrames: 8,
      ...options,
    });
  }

  machine(name: string, capacity = 256): Machine {
    const [far, near]: readonly [MemoryPort, Port] = memoryLink(name, capacity, SLOT_BYTES + 1, this.clock);
    return { hand: new Hand(far), port: new LiveMemoryPort(near) };
  }

  /** The machine sends a frame; it waits to be read. */
  put(from: Hand, serial: number, spec: Partial<FrameSpec>): void {
    const frame = makeFrame({ kind: 'udp', flow: 0, colour: 0, vlan: 0, pad: 0, ...spec }, serial);
    this.#known.set(hex(frame.bytes), serial);
    if (!from.send(frame)) throw new Error('the link is full');
  }

  /** The machine sends a frame and the gateway reads it. */
  send(from: Hand, serial: number, spec: Partial<FrameSpec>): void {
    this.put(from, serial, spec);
    this.vm.turn();
  }

  sendBytes(from: Hand, bytes: Uint8Array): void {
    if (!from.send({ bytes, linkType: 1 })) throw new Error('the link is full');
    this.vm.turn();
  }

  /** @returns numbers of the frames that came to this end since the last call, in order; -1: a frame of the gateway's own */
  came(to: Hand): number[] {
    return to.take().map((bytes) => this.#known.get(bytes) ?? -1);
  }

  /** Counters by name, which sum. */
  counts(): Record<string, number> {
    const { counters, stillHeld } = this.vm;
    const names = ['passed', 'released', 'discarded', 'dropped'] as const;
    const values = Object.fromEntries(names.map((name) => [name, counters.get(name)]));
    const sum = names.reduce((total, name) => total + counters.get(name), stillHeld);
    if (sum !== counters.get('outbound')) throw new Error(`${sum} of ${counters.get('outbound')} frames are counted`);
    return { ...values, stillHeld };
  }
}

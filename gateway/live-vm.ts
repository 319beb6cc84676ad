import type { Generation } from '../classifier/classifier.ts';
import type { Clock } from './clock.ts';
import type { VmConfig } from './config.ts';
import type { VmStore } from './durable/vm-store.ts';
import type { PortStatus } from './host/api.ts';
import { type InsidePort, InsidePorts } from './inside-ports.ts';
import { joinPorts } from './port/bundle.ts';
import type { LivePort } from './port/port.ts';
import { openPort, type PortSpec } from './port/spec.ts';
import { SUPER_FRAME_BYTES } from './port/vnet-header.ts';
import { Vm } from './vm.ts';

/** Batches that one call of a port's listener moves at the most: then the host and the other ports have their turn. */
const BATCHES = 4;
/** Released frames that leave before frames that have just come are looked at, which wait for them. */
const RELEASE_FRAMES = 16;
const NS_PER_MS = 1e6;
/** What a timer can wait for. */
const LONGEST_MS = 2 ** 31 - 1;

export interface LiveVmParts {
  readonly clock: Clock;
  readonly generation: Generation;
  /** What outlives the process; without one nothing does. */
  readonly store?: VmStore;
  /** See `VmOptions`. */
  readonly sentNs?: () => number;
  /** Another VM has the link. */
  readonly isTaken: (spec: PortSpec) => boolean;
  /** Ports that the VM is behind, by pair; else those of its configuration. */
  readonly inside?: readonly PortSpec[];
  /** Told before a failover behind which ports the VM will be. */
  readonly beforeMove?: (specs: readonly PortSpec[]) => void;
  /** A port's link or trouble has changed. */
  readonly onLink: (status: PortStatus) => void;
}

type OpenPort = InsidePort;

/** One VM on live links: turns of its `Vm` when a port has frames, when one takes frames again, and when time has come. */
export class LiveVm {
  readonly name: string;
  readonly vm: Vm;
  readonly insidePorts: InsidePorts;
  readonly #outside: readonly OpenPort[];
  readonly #parts: LiveVmParts;
  #timer: NodeJS.Timeout | null = null;
  #dueNs = Number.POSITIVE_INFINITY;
  /** Calls that will come by themselves in the loop's next turn. */
  #goesOn = false;
  #goesOnOutbound = false;
  #goesOnInbound = false;
  #readsInside = true;
  #readsOutside = true;
  #closed = false;

  /** @throws PortError for a link that must not be a port, StoreError for frames that do not fit; then none stays open */
  constructor(config: VmConfig, parts: LiveVmParts) {
    const { clock, generation, store, sentNs, isTaken } = parts;
    this.name = config.name;
    this.#parts = parts;
    const open: OpenPort[] = [];
    const opened = (spec: PortSpec) => {
      const one = { spec, port: openPort(spec, clock) };
      open.push(one);
      return one;
    };
    try {
      const inside = (parts.inside ?? config.pairs.map((pair) => pair.inside)).map(opened);
      this.#outside = config.pairs.map((pair) => opened(pair.outside));
      this.vm = new Vm(joined(inside), joined(this.#outside), generation, clock, {
        slotBytes: SUPER_FRAME_BYTES,
        limits: config.limits,
        pacing: config.pacing,
        overflow: config.overflow,
        releaseFrames: RELEASE_FRAMES,
        verifyChecksums: true,
        replicated: config.replicated,
        ...(store === undefined ? {} : { store }),
        ...(sentNs === undefined ? {} : { sentNs }),
        announce: config.announce,
      });
      this.insidePorts = new InsidePorts({
        vm: this.vm,
        first: inside,
        open: (spec) => openPort(spec, clock),
        ...(parts.beforeMove === undefined ? {} : { beforeMove: parts.beforeMove }),
        isTaken: (spec) => this.#outside.some((one) => isSame(one.spec, spec)) || isTaken(spec),
        onInside: (port, pair) => this.#listenInside(port, pair),
      });
      for (const [pair, { port }] of inside.entries()) this.#listenInside(port, pair);
      for (const [pair, one] of this.#outside.entries()) {
        one.port.onReady = this.#inbound;
        one.port.onLink = () => {
          this.#lookForLinks();
          parts.onLink(this.#statusOf(one, pair, 'outside'));
        };
      }
      this.vm.forwarder.isHeldBack = true;
      this.#lookForLinks();
    } catch (error) {
      for (const { port } of open) port.close();
      throw error;
    }
    this.settle();
  }

  /** All that is the gateway's own part of its links is done. */
  get isReady(): boolean {
    return [...this.insidePorts.inForce, ...this.#outside].every(({ port }) => port.isReady);
  }

  /** Each pair's inside port and then its outside port; and those that a failover left behind. */
  ports(): PortStatus[] {
    return [
      ...this.insidePorts.inForce.flatMap((inside, pair) => [
        this.#statusOf(inside, pair, 'inside'),
        this.#statusOf(this.#outside[pair]!, pair, 'outside'),
      ]),
      ...this.insidePorts.fenced.map((one, pair) => this.#statusOf(one, pair, 'fenced')),
    ];
  }

  has(spec: PortSpec): boolean {
    return [...this.insidePorts.inForce, ...this.insidePorts.fenced, ...this.#outside].some((one) =>
      isSame(one.spec, spec),
    );
  }

  /** The VM goes on behind other ports; see `InsidePorts`. @throws StateError, PortError; then nothing has changed */
  failover(term: number, epoch: number, inside: string) {
    const moved = this.insidePorts.failover(term, epoch, inside);
    this.settle();
    return moved;
  }

  /** Reads from where reading makes sense, and wakes when the next thing is due. For whenever the VM's state has changed. */
  settle(): void {
    if (this.#closed) return;
    const { forwarder, quiesced } = this.vm;
    const untilNs = quiesced.until[0]!;
    const isQuiesced = untilNs > Number.NEGATIVE_INFINITY && untilNs > this.#parts.clock.nowNs();
    const readsInside = forwarder.mayRead(false) > 0;
    const readsOutside = !isQuiesced && forwarder.mayReadInbound() > 0;
    if (readsInside !== this.#readsInside) {
      this.#readsInside = readsInside;
      for (const { port } of this.insidePorts.inForce) port.setReading(readsInside);
    }
    if (readsOutside !== this.#readsOutside) {
      this.#readsOutside = readsOutside;
      for (const { port } of this.#outside) port.setReading(readsOutside);
    }
    if (this.vm.mayGoOn && !this.#goesOn) {
      this.#goesOn = true;
      setImmediate(this.#goOn);
    }
    // What the port refused (-Infinity) is the port's to announce.
    const dueNs = this.vm.nextDueNs();
    const nextNs = dueNs > 0 ? dueNs : Number.POSITIVE_INFINITY;
    this.#wakeAt(isQuiesced ? Math.min(nextNs, untilNs) : nextNs);
  }

  /** Lets go of the links. What may leave and was taken by no port by now stays where it is. */
  close(): void {
    if (this.#closed) return;
    do this.vm.pump();
    while (this.vm.mayGoOn);
    // A port that is closed takes frames and drops them: whoever still looks after this VM must not offer it any.
    this.vm.forwarder.isHeldBack = true;
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.insidePorts.close();
    for (const { port } of this.#outside) port.close();
  }

  readonly #outbound = (): void => {
    // What goes on by itself goes on: twice in a turn of the loop would keep all others waiting twice as long.
    if (this.#closed || this.#goesOnOutbound) return;
    const { vm } = this;
    let mayBeMore = false;
    for (let n = 0; n < BATCHES; n++) {
      const room = vm.forwarder.mayRead(false);
      mayBeMore = vm.turnOutbound() >= room && room > 0;
      if (!mayBeMore) break;
    }
    // A netdev says again that it has frames, a stream does not. One call at a time: each would ask for another one, and
    // under a flood they would become more with every turn.
    if (mayBeMore) {
      this.#goesOnOutbound = true;
      setImmediate(this.#outboundAgain);
    }
    this.settle();
  };

  readonly #outboundAgain = (): void => {
    this.#goesOnOutbound = false;
    this.#outbound();
  };

  readonly #inbound = (): void => {
    if (this.#closed || this.#goesOnInbound) return;
    const { vm } = this;
    let mayBeMore = false;
    for (let n = 0; n < BATCHES; n++) {
      const room = vm.forwarder.mayReadInbound();
      mayBeMore = vm.turnInbound() >= room && room > 0;
      if (!mayBeMore) break;
    }
    if (mayBeMore) {
      this.#goesOnInbound = true;
      setImmediate(this.#inboundAgain);
    }
    this.settle();
  };

  readonly #inboundAgain = (): void => {
    this.#goesOnInbound = false;
    this.#inbound();
  };

  #wakeAt(dueNs: number): void {
    if (dueNs === this.#dueNs) return;
    this.#dueNs = dueNs;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (dueNs === Number.POSITIVE_INFINITY) return;
    const waitMs = Math.ceil((dueNs - this.#parts.clock.nowNs()) / NS_PER_MS);
    this.#timer = setTimeout(this.#wake, Math.min(Math.max(0, waitMs), LONGEST_MS));
  }

  /** Sends more of what was released. */
  readonly #goOn = (): void => {
    this.#goesOn = false;
    if (this.#closed) return;
    this.vm.pump();
    this.settle();
  };

  readonly #wake = (): void => {
    this.#timer = null;
    this.#dueNs = Number.POSITIVE_INFINITY;
    if (this.#closed) return;
    this.vm.pump();
    this.settle();
  };

  /** Frames that an earlier process had held do not leave before there is a link: a dead one would drop them. */
  #lookForLinks(): void {
    const { forwarder } = this.vm;
    if (!forwarder.isHeldBack || this.#outside.some(({ port }) => port.link !== 'up')) return;
    forwarder.isHeldBack = false;
    this.vm.pump();
    // A few leave at a time: that there is a link may be the last thing that happens here for long.
    this.settle();
  }

  #listenInside(port: LivePort, pair: number): void {
    port.onReady = this.#outbound;
    port.onLink = () => this.#parts.onLink(this.#statusOf(this.insidePorts.inForce[pair]!, pair, 'inside'));
    port.setReading(this.#readsInside);
  }

  #statusOf({ spec, port }: OpenPort, pair: number, side: PortStatus['side']): PortStatus {
    port.updateCounters();
    const { link, trouble, mtu } = port;
    const counters = port.counters.byName();
    const mode = port.mode ? { mode: port.mode } : {};
    return { vm: this.name, pair, side, name: spec.arg, backend: spec.backend, link, trouble, ...mode, mtu, counters };
  }
}

function joined(ports: readonly OpenPort[]) {
  return joinPorts(ports.map(({ port }) => port));
}

function isSame(one: PortSpec, other: PortSpec): boolean {
  return one.arg === other.arg;
}

import { REASON, REASON_NAMES, VERDICT, VERDICT_NAMES } from '../../classifier/verdict.ts';
import { PACKET_DIRECTION, type PacketDirection, PcapngWriter } from '../../pcaps/pcapng-writer.ts';
import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { type ClockOrigin, FrameRecorder, superFrameText } from '../port/frame-recorder.ts';
import type { Side, Tap } from '../tap.ts';
import type { Vm } from '../vm.ts';
import type { CaptureFilter } from './capture-filter.ts';

const NS_PER_MS = 1e6;
/** What a reader may leave unread; above it frames are dropped, and counted. */
const MAX_UNREAD_BYTES = 4 * 2 ** 20;

/** Where a capture goes. Writing never waits. */
export interface ByteSink {
  /** Bytes that were written and that nobody has taken yet. */
  readonly unreadBytes: number;
  /** Keeps `bytes`. */
  write(bytes: Uint8Array): void;
}

/** One of a VM's ports, and its counts in this capture. */
class CapturedPort {
  readonly side: Side;
  readonly pair: number;
  readonly name: string;
  received = 0;
  accepted = 0;
  dropped = 0;
  written = 0;

  constructor({ side, pair, name }: PortName) {
    this.side = side;
    this.pair = pair;
    this.name = name;
  }
}

export interface PortName {
  readonly side: Side;
  readonly pair: number;
  readonly name: string;
}

export interface CaptureOptions {
  readonly vm: Vm;
  /** Whose frames are captured; one or more. */
  readonly ports: readonly PortName[];
  /** Bytes that are kept of each frame. */
  readonly snapLength: number;
  /** null: all frames are wanted. */
  readonly filter: CaptureFilter | null;
  readonly clock: Clock;
  readonly origin: ClockOrigin;
  /** Nobody is listening any more; may be told more than once. */
  readonly onEnd: (capture: Capture) => void;
}

/**
 * Frames of a VM's ports as pcapng: as they were read, with the verdict that they got, and as the port accepted them. What the
 * sink has no room for is dropped and counted, so that forwarding never waits for a reader.
 */
export class Capture implements Tap {
  readonly #options: CaptureOptions;
  readonly #ports: readonly CapturedPort[];
  #sink: ByteSink | null = null;
  #writer: PcapngWriter | null = null;
  #recorder: FrameRecorder | null = null;
  #flushing: NodeJS.Immediate | null = null;
  /** Class names by rule handle, of the generation whose number is beside it. */
  #classes: ReadonlyMap<number, string | null> = new Map();
  #generation = -1;

  constructor(options: CaptureOptions) {
    this.#options = options;
    this.#ports = options.ports.map((port) => new CapturedPort(port));
  }

  get vm(): Vm {
    return this.#options.vm;
  }

  /** From now on what the tap shows is written to `sink`. */
  start(sink: ByteSink): void {
    const writer = new PcapngWriter((chunk) => sink.write(chunk.slice()));
    const { snapLength, origin } = this.#options;
    for (const { name } of this.#ports) {
      writer.addInterface({ name, snapLength: Number.isFinite(snapLength) ? snapLength : 0 });
    }
    writer.flush();
    this.#sink = sink;
    this.#writer = writer;
    this.#recorder = new FrameRecorder(writer, origin, snapLength);
  }

  /** Writes what became of the frames, and no more after that. */
  end(): void {
    const nowNs = this.#options.clock.nowNs();
    this.#ports.forEach((port, id) => {
      this.#recorder?.writeStatistics(id, nowNs, port);
    });
    this.#writer?.flush();
    this.stop();
  }

  /** The sink is gone. */
  stop(): void {
    if (this.#flushing !== null) clearImmediate(this.#flushing);
    this.#flushing = null;
    this.#sink = null;
    this.#recorder = null;
    this.#writer = null;
    this.#options.onEnd(this);
  }

  received(side: Side, batch: FrameBatch, count: number): void {
    const way = side === 'inside' ? 'outbound' : 'inbound';
    for (let i = 0; i < count; i++) {
      this.#take(side, batch, i, batch.arrivalNs[i]!, way, PACKET_DIRECTION.received);
    }
  }

  sent(side: Side, batch: FrameBatch, count: number): void {
    const way = side === 'inside' ? 'inbound' : 'outbound';
    const nowNs = this.#options.clock.nowNs();
    for (let i = 0; i < count; i++) this.#take(side, batch, i, nowNs, way, PACKET_DIRECTION.sent);
  }

  #take(side: Side, batch: FrameBatch, i: number, timeNs: number, way: string, direction: PacketDirection): void {
    if (this.#recorder === null) return;
    const id = this.#ports.findIndex((one) => one.side === side && one.pair === batch.pair[i]!);
    const port = this.#ports[id];
    if (port === undefined) return;
    port.received++;
    if (this.#options.filter?.selects(batch, i) === false) return;
    port.accepted++;
    if (this.#sink!.unreadBytes > MAX_UNREAD_BYTES) {
      port.dropped++;
      return;
    }
    port.written++;
    const waitedNs = direction === PACKET_DIRECTION.sent && wasHeld(batch, i) ? timeNs - batch.arrivalNs[i]! : null;
    this.#recorder.write(id, batch, i, timeNs, this.#comment(batch, i, way, waitedNs), direction);
    this.#flushing ??= setImmediate(() => {
      this.#flushing = null;
      this.#writer?.flush();
    });
  }

  #comment(batch: FrameBatch, i: number, way: string, waitedNs: number | null): string {
    const rule = batch.rule[i]!;
    const verdict = VERDICT_NAMES[batch.verdict[i]!]!;
    const epoch = batch.epoch[i]!;
    const words = `${way} rule=${rule || '-'} class=${this.#className(rule) ?? '-'} verdict=${verdict}`;
    const waited = waitedNs === null ? '' : ` held=${(waitedNs / NS_PER_MS).toFixed(3)}ms`;
    const why = `epoch=${epoch || '-'} reason=${REASON_NAMES[batch.reason[i]!]}`;
    return `${words} ${why}${waited}${superFrameText(batch, i)}`;
  }

  #className(handle: number): string | null | undefined {
    const { number, ruleSet } = this.#options.vm.generation;
    if (number !== this.#generation) {
      const rules = [...ruleSet.outbound, ...(ruleSet.inbound ?? [])];
      this.#classes = new Map(rules.map((rule) => [rule.handle, rule.className]));
      this.#generation = number;
    }
    return this.#classes.get(handle);
  }
}

function wasHeld(batch: FrameBatch, i: number): boolean {
  return batch.verdict[i] === VERDICT.hold || batch.reason[i] === REASON.behindHeld;
}

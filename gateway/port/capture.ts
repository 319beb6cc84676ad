import { REASON_NAMES, VERDICT_NAMES } from '../../classifier/verdict.ts';
import type { PcapngWriter } from '../../pcaps/pcapng-writer.ts';
import type { Clock } from '../clock.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { type ClockOrigin, FrameRecorder, superFrameText } from './frame-recorder.ts';
import type { Port } from './port.ts';
import { PortWrapper } from './wrapper.ts';

/**
 * Writes what a port gives and takes as pcapng, with a comment for each frame: `in`, or `out` with verdict, reason, rule and
 * epoch. Between `start` and `stop` only; else it costs nothing.
 */
export class CapturePort extends PortWrapper {
  readonly #clock: Clock;
  readonly #origin: ClockOrigin;
  #recorder: FrameRecorder | null = null;
  #interfaceId = 0;

  constructor(inner: Port, clock: Clock, origin: ClockOrigin) {
    super(inner);
    this.#clock = clock;
    this.#origin = origin;
  }

  /** @param writer whoever gave it flushes and closes it, after `stop` */
  start(writer: PcapngWriter): void {
    this.#interfaceId = writer.addInterface({ name: this.name });
    this.#recorder = new FrameRecorder(writer, this.#origin);
  }

  stop(): void {
    this.#recorder = null;
  }

  receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number {
    const count = this.inner.receive(batch, from, max, slotBytes);
    if (this.#recorder !== null) {
      for (let i = from; i < from + count; i++) {
        this.#recorder.write(this.#interfaceId, batch, i, batch.arrivalNs[i]!, `in${superFrameText(batch, i)}`);
      }
    }
    return count;
  }

  transmit(batch: FrameBatch, from: number, count: number): number {
    const accepted = this.inner.transmit(batch, from, count);
    if (this.#recorder !== null) {
      const now = this.#clock.nowNs();
      for (let i = from; i < from + accepted; i++) {
        this.#recorder.write(this.#interfaceId, batch, i, now, outbound(batch, i));
      }
    }
    return accepted;
  }
}

function outbound(batch: FrameBatch, i: number): string {
  const verdict = VERDICT_NAMES[batch.verdict[i]!]!;
  const reason = REASON_NAMES[batch.reason[i]!]!;
  const rule = batch.rule[i]! > 0 ? ` rule=${batch.rule[i]}` : '';
  const epoch = batch.epoch[i]! > 0 ? ` epoch=${batch.epoch[i]}` : '';
  return `out ${verdict} reason=${reason}${rule}${epoch}${superFrameText(batch, i)}`;
}

import type { CaptureRecord } from './record.ts';

/** Highest power of ten whose ticks are divided in doubles: every intermediate value then stays below 2^53. */
const MAX_FAST_EXPONENT = 9;

/** Highest 32-bit half with which a 64-bit number of ticks is an exact double. */
const MAX_EXACT_HIGH = 0x1f_ffff;

/** Turns the 64-bit ticks of one pcapng interface into seconds and nanoseconds (draft-ietf-opsawg-pcapng §4.2). */
export class TimeBase {
  readonly #ticksPerSecond: bigint;
  /** The same as a double, or 0 where the exact slow path has to be taken. */
  readonly #fastTicks: number;
  readonly #nanosecondsPerTick: number;
  readonly #offsetSeconds: number;

  /**
   * @param resolution the if_tsresol byte: top bit clear, a negative power of ten; set, a negative power of two
   * @param offsetSeconds if_tsoffset
   */
  constructor(resolution: number, offsetSeconds: number) {
    const exponent = resolution & 0x7f;
    const decimal = (resolution & 0x80) === 0;
    this.#ticksPerSecond = (decimal ? 10n : 2n) ** BigInt(exponent);
    this.#fastTicks = decimal && exponent <= MAX_FAST_EXPONENT ? 10 ** exponent : 0;
    this.#nanosecondsPerTick = 1e9 / this.#fastTicks;
    this.#offsetSeconds = offsetSeconds;
  }

  /**
   * Sets the record's time; what is finer than a nanosecond is cut off.
   * @param at offset of the upper half of the ticks in `view`; the lower half follows
   */
  apply(record: CaptureRecord, view: DataView, at: number, littleEndian: boolean): void {
    const high = view.getUint32(at, littleEndian);
    const low = view.getUint32(at + 4, littleEndian);
    const perSecond = this.#fastTicks;
    let seconds: number;
    let rest: number;
    if (perSecond === 0) {
      const ticks = (BigInt(high) << 32n) | BigInt(low);
      seconds = Number(ticks / this.#ticksPerSecond);
      rest = Number(((ticks % this.#ticksPerSecond) * 1_000_000_000n) / this.#ticksPerSecond);
    } else if (high <= MAX_EXACT_HIGH) {
      const ticks = high * 0x1_0000_0000 + low;
      seconds = Math.floor(ticks / perSecond);
      rest = (ticks - seconds * perSecond) * this.#nanosecondsPerTick;
    } else {
      // Long division by digits of 32, 16 and 16 bits: a remainder below 10^9 and one more digit fit in a double.
      seconds = Math.floor(high / perSecond);
      const upper = (high % perSecond) * 0x1_0000 + (low >>> 16);
      const upperSeconds = Math.floor(upper / perSecond);
      const lower = (upper - upperSeconds * perSecond) * 0x1_0000 + (low & 0xffff);
      const lowerSeconds = Math.floor(lower / perSecond);
      seconds = (seconds * 0x1_0000 + upperSeconds) * 0x1_0000 + lowerSeconds;
      rest = (lower - lowerSeconds * perSecond) * this.#nanosecondsPerTick;
    }
    record.seconds = seconds + this.#offsetSeconds;
    record.nanoseconds = rest;
  }
}

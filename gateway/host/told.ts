import type { Clock } from '../clock.ts';
import { LiveClock } from '../live-clock.ts';
import type { Log } from '../log.ts';
import { LimitedLog } from '../log-limit.ts';

/** A client that is refused tries again and again: it is told of once in this time. */
const REFUSED_NS = 60e9;

/** What commands without a log of their own have in its place. */
export interface Told {
  readonly log: Pick<Log, 'info' | 'error'>;
  /** For what strangers bring about. Its `tick` says what was left out. */
  readonly refusals: LimitedLog;
  readonly clock: Clock;
}

/** @param tell gets each line, for people */
export function toldTo(tell: (message: string) => void): Told {
  const write = (fields: { readonly client?: string }, message: string) =>
    tell(fields.client === undefined ? message : `${message} (${fields.client})`);
  const log = { debug: write, info: write, warn: write, error: write };
  const clock = new LiveClock();
  return { log, refusals: new LimitedLog(log, clock, 1, REFUSED_NS), clock };
}

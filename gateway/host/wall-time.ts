import type { ClockOrigin } from '../port/frame-recorder.ts';

const NS_PER_S = 1e9;
const NS_PER_MS = 1e6;

/** @param ns on the gateway's clock @returns ISO 8601, UTC */
export function isoTime(ns: number, origin: ClockOrigin | undefined): string {
  const { seconds, nanoseconds } = wallTime(ns, origin);
  return new Date(seconds * 1000 + nanoseconds / NS_PER_MS).toISOString();
}

/** @returns seconds since 1970 with nine digits behind the point */
export function decimalTime(ns: number, origin: ClockOrigin | undefined): string {
  const { seconds, nanoseconds } = wallTime(ns, origin);
  return `${seconds}.${String(nanoseconds).padStart(9, '0')}`;
}

/** Without an origin the clock counts from 1970. */
function wallTime(ns: number, { seconds, nanoseconds }: ClockOrigin = { seconds: 0, nanoseconds: 0 }): ClockOrigin {
  const whole = Math.floor(ns / NS_PER_S);
  const rest = Math.floor(ns - whole * NS_PER_S) + nanoseconds;
  const carried = Math.floor(rest / NS_PER_S);
  return { seconds: seconds + whole + carried, nanoseconds: rest - carried * NS_PER_S };
}

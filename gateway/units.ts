/** What a person wrote is not what was expected; the message says what that is: `expected …`. */
export class ValueError extends Error {
  constructor(expected: string) {
    super(`expected ${expected}`);
    this.name = 'ValueError';
  }
}

/** A whole number from 1 on. @throws ValueError */
export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new ValueError('a whole number from 1 on');
  return Number(text);
}

/** A whole number from 0 on. @throws ValueError */
export function parseCountOrNone(text: string): number {
  if (text === '0') return 0;
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new ValueError('a whole number from 0 on');
  return Number(text);
}

/** `64M`, `512K` or plain bytes; K, M and G are powers of 1024. @throws ValueError */
export function parseBytes(text: string): number {
  const [, value, unit] = /^(\d{1,10})([KMG]?)$/.exec(text) ?? [];
  if (value === undefined) throw new ValueError('bytes such as 1000000, 512K or 64M');
  return Number(value) * ({ '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[unit!] ?? 1);
}

/** `12%`, `12.5%` to 0..1. @throws ValueError */
export function parseShare(text: string): number {
  const [, value] = /^(\d{1,3}(?:\.\d{1,6})?)%$/.exec(text) ?? [];
  if (value === undefined || Number(value) > 100) throw new ValueError('a share from 0% to 100%, such as 12.5%');
  return Number(value) / 100;
}

const UNIT_NS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** `100ms`, `2.5s`, `250us`, `1h` to nanoseconds. @throws ValueError */
export function parseDuration(text: string): number {
  const [, value, unit] = /^(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)$/.exec(text) ?? [];
  if (value === undefined) throw new ValueError('a duration such as 100ms, 2.5s or 250us');
  const ns = Math.round(Number(value) * UNIT_NS[unit!]!);
  if (ns > Number.MAX_SAFE_INTEGER) throw new ValueError('a duration of at most 104 days');
  return ns;
}

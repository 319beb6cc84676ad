const UNIT_SECONDS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600 };

/** `90`, `90s`, `30m`, `2h` in seconds; NaN for anything else. */
export function seconds(text: string): number {
  const [, value, unit] = /^(\d+(?:\.\d+)?)([smh]?)$/.exec(text) ?? [];
  return value === undefined ? Number.NaN : Number(value) * UNIT_SECONDS[unit!]!;
}

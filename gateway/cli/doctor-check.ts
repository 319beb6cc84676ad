export type Level = 'ok' | 'warn' | 'fail';

/** One thing that was looked at. */
export interface Check {
  /** Stable, for programs. */
  readonly name: string;
  /** The network device that it is about, or null. */
  readonly device: string | null;
  readonly level: Level;
  /** What there is. */
  readonly found: string;
  /** What to do about it, or null. */
  readonly advice: string | null;
}

/** @returns a maker of checks about one device, or about the machine */
export function checks(device: string | null) {
  return {
    ok: (name: string, found: string): Check => ({ name, device, level: 'ok', found, advice: null }),
    warn: (name: string, found: string, advice: string): Check => ({ name, device, level: 'warn', found, advice }),
    fail: (name: string, found: string, advice: string): Check => ({ name, device, level: 'fail', found, advice }),
  };
}

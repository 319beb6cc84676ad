import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { CAPTURES, NO_CAPTURES } from './captures.ts';
import { holdfast, jsonLines } from './run-cli.ts';

/** One line of `explain --json`. */
export type Line = Readonly<Record<string, unknown>>;

/** A capture in which something is not as it looks. */
export interface Trap {
  readonly capture: string;
  /** What we do, and why. */
  readonly says: string;
  /** How many frames meet each fate (see `fateOf`), or a verdict alone where rules or missing payload may be the reason. */
  readonly fates: Readonly<Record<string, number>>;
  /** Fields of frames by their number, as tshark or the bytes themselves tell them. */
  readonly frames?: Readonly<Record<number, Line>>;
  /** Exit code: 1 for a damaged file. */
  readonly code?: 1;
}

/** @returns what the rules, by default the set `default`, say of every record; the exit code must be `code` */
export async function judged(capture: string, code = 0, rules = 'default'): Promise<Line[]> {
  const result = await holdfast(['explain', '--json', '--rules', rules, capture]);
  expect(result.code, result.stderr).toBe(code);
  return jsonLines(result.stdout);
}

/**
 * @returns verdict and reason: `hold truncated`; `hold rules` where the rules had their say, because which rule of the
 * set catches a frame, or whether its default does, is not what a trap is about
 */
export function fateOf(line: Line): string {
  const isByRules = line.reason === 'rule' || line.reason === 'default';
  return `${line.verdict} ${isByRules ? 'rules' : line.reason}`;
}

/** Makes a test of each trap. */
export function checkTraps(traps: readonly Trap[]): void {
  beforeEach(({ skip }) => skip(CAPTURES === null, NO_CAPTURES));

  test.each(traps)('$capture: $says', async ({ capture, fates, frames = {}, code }) => {
    const lines = await judged(join(CAPTURES!, capture), code);
    for (const [number, fields] of Object.entries(frames)) expect(lines[Number(number) - 1]).toMatchObject(fields);
    const seen: Record<string, number> = {};
    for (const line of lines) {
      const verdict = line.verdict as string;
      const fate = verdict in fates ? verdict : fateOf(line);
      seen[fate] = (seen[fate] ?? 0) + 1;
    }
    expect(seen).toEqual(fates);
  });
}

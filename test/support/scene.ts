import { expect } from 'vitest';
import { ROOMY, Scene } from './rig.ts';

/** What rule set 0 says: an unordered frame that is held, and one that passes; the same within one TCP flow. */
export const HOLD = { kind: 'udp', colour: 1 } as const;
export const PASS = { kind: 'udp', colour: 0 } as const;
export const SYN = { kind: 'tcp', colour: 1 } as const;
export const ACK = { kind: 'tcp', colour: 0 } as const;
export const TIGHT = ROOMY.limits;

export function started(options: ConstructorParameters<typeof Scene>[0] = {}): Scene {
  const scene = new Scene(options);
  expect(scene.vm.start()).toEqual({ term: 1, openEpoch: 1 });
  return scene;
}

/** Counters and what is still held, and that they sum. */
export function counts({ vm }: Scene): Record<string, number> {
  const { counters, stillHeld } = vm;
  const [outbound, passed, released, discarded, dropped] = (
    ['outbound', 'passed', 'released', 'discarded', 'dropped'] as const
  ).map((name) => counters.get(name)) as [number, number, number, number, number];
  expect(passed + released + discarded + dropped + stillHeld).toBe(outbound);
  return { outbound, passed, held: counters.get('held'), released, discarded, dropped, stillHeld };
}

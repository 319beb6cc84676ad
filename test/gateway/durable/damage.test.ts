import { copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answerOf } from '../../support/rig.ts';
import { runs, SEED } from '../../support/runs.ts';
import { type Snap, StateFolder } from '../../support/state-folder.ts';

/** Frames that were committed at some time, in the order in which they were held. The others never leave. */
const COMMITTED = [1, 2, 3, 4, 21, 22];
const FILES = ['vm0.state', 'vm0.buffer'] as const;

let folder: StateFolder;
let strange: StateFolder;
/** What the files said after each step of one life, and of the one after it. */
const snaps: Snap[] = [];
let foreign: Snap;

function lives(of: StateFolder, from: number, keep: boolean): void {
  let life = of.live({ outsideCapacity: 2 });
  const { vm } = life.scene;
  const snap = () => {
    if (keep) snaps.push(of.snap());
  };
  vm.start();
  of.hold(life, [from, from + 1, from + 2, from + 3]);
  snap();
  vm.seal(1, 1);
  of.hold(life, [from + 4, from + 5]);
  snap();
  vm.commit(1, 1);
  snap();
  of.left(life);
  vm.pump();
  snap();
  vm.seal(1, 2);
  of.hold(life, [from + 6, from + 7]);
  vm.rollback(1, 1);
  snap();
  of.hold(life, [from + 20, from + 21]);
  vm.seal(2, 4);
  of.hold(life, [from + 22]);
  snap();
  life = of.live({ outsideCapacity: 2 });
  snap();
  of.hold(life, [from + 23]);
  life.scene.vm.commit(2, 4);
  snap();
  of.left(life);
  of.die();
}

beforeAll(() => {
  folder = new StateFolder();
  strange = new StateFolder();
  lives(folder, 1, true);
  lives(strange, 101, false);
  foreign = strange.snap();
});
afterAll(() => {
  for (const snap of [...snaps, foreign]) snap.forget();
  folder.close();
  strange.close();
});

type Damage =
  | { readonly how: 'cut'; readonly file: number; readonly at: number }
  | { readonly how: 'flip'; readonly file: number; readonly bits: readonly number[] }
  | { readonly how: 'wipe'; readonly file: number; readonly at: number; readonly length: number; readonly with: number }
  | { readonly how: 'foreign'; readonly file: number }
  | { readonly how: 'none' };

const file = fc.nat(1);
const part = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const damage = fc.oneof(
  fc.record({ how: fc.constant('none') }),
  fc.record({ how: fc.constant('cut'), file, at: part }),
  fc.record({ how: fc.constant('flip'), file, bits: fc.array(part, { minLength: 1, maxLength: 8 }) }),
  // Headers and records take little of a file, and matter most.
  fc.record({
    how: fc.constant('flip'),
    file,
    bits: fc.array(
      part.map((x) => x / 16),
      { minLength: 1, maxLength: 3 },
    ),
  }),
  fc.record({ how: fc.constant('wipe'), file, at: part, length: fc.nat(5000), with: fc.constantFrom(0, 0xff, 0x41) }),
  fc.record({ how: fc.constant('foreign'), file }),
) as fc.Arbitrary<Damage>;

function spoil(spoiling: Damage): void {
  if (spoiling.how === 'none') return;
  const name = FILES[spoiling.file]!;
  const path = folder.file(name);
  if (spoiling.how === 'foreign') {
    copyFileSync(join(foreign.path, name), path);
    return;
  }
  const bytes = readFileSync(path);
  if (spoiling.how === 'cut') {
    truncateSync(path, Math.floor(bytes.length * spoiling.at));
    return;
  }
  if (spoiling.how === 'flip') {
    for (const at of spoiling.bits) {
      const bit = Math.floor(at * bytes.length * 8);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
  } else {
    const at = Math.floor(bytes.length * spoiling.at);
    bytes.fill(spoiling.with, at, Math.min(bytes.length, at + spoiling.length));
  }
  writeFileSync(path, bytes);
}

test('from a truncated, changed, old or foreign file nothing leaves but exact frames that were committed, and nothing breaks', () => {
  let believed = 0;
  let refused = 0;
  fc.assert(
    fc.property(fc.nat(7), fc.nat(7), fc.boolean(), damage, (a, b, isPair, spoiling) => {
      folder.die();
      // Files of two different moments, half of the time.
      folder.restore(snaps[a]!, 'vm0.state');
      folder.restore(snaps[isPair ? a : b]!, 'vm0.buffer');
      spoil(spoiling);
      const life = folder.live();
      const { vm } = life.scene;
      const { setAside, frames } = life.store.recovered;
      if (setAside.length > 0) refused++;
      else if (frames > 0) believed++;
      const wasOff = vm.epochs.state !== 'waiting';
      if (wasOff) throw new Error('the VM does not wait');
      vm.pump();
      const alone = folder.left(life);
      // The host knows the terms and epochs of the last moment.
      answerOf(() => vm.commit(2, 4));
      const all = [...alone, ...folder.left(life)];
      const stranger = all.find((serial) => !COMMITTED.includes(serial));
      if (stranger !== undefined) throw new Error(`frame ${stranger} left`);
      if (all.some((serial, i) => i > 0 && serial <= all[i - 1]!)) throw new Error(`out of order: ${all.join(' ')}`);
      for (const aside of setAside) if (aside.why === '') throw new Error('it does not say why');
    }),
    { numRuns: runs(300), ...SEED },
  );
  // Both things happen, or nothing was tried.
  expect(believed).toBeGreaterThan(5);
  expect(refused).toBeGreaterThan(50);
});

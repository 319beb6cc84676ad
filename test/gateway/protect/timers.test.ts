/** What goes by itself, again and again, ends with whoever began it: also where a timer alone would not keep the process. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ImageStore } from '../../../gateway/protect/image-store.ts';
import { Standby } from '../../../gateway/protect/standby.ts';
import { DriverRig, IDLE_MACHINE } from '../../support/driver-rig.ts';
import { temporaryFolder } from '../../support/run-cli.ts';

const folder = temporaryFolder();

beforeEach(() => {
  vi.spyOn(globalThis, 'setInterval');
  vi.spyOn(globalThis, 'clearInterval');
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** @returns how many there are that nobody has cleared, and how many there were */
function intervals(): { readonly left: number; readonly made: number } {
  const made = vi.mocked(setInterval).mock.results.map(({ value }) => value);
  const cleared = new Set(vi.mocked(clearInterval).mock.calls.map(([timer]) => timer));
  return { left: made.filter((timer) => !cleared.has(timer)).length, made: made.length };
}

it('the beats of a driver end with it, those of sessions that broke before, too', async () => {
  const rig = await DriverRig.open(folder.path('driver'));
  rig.protect();
  await rig.commits(1);
  const { made } = intervals();
  rig.proxy.down();
  await rig.until(() => rig.driver!.status.state === 'degraded', 'the driver to notice');
  rig.proxy.up();
  await rig.commits(1);
  expect(intervals().made, 'another session beats').toBeGreaterThan(made);
  await rig.close();
  expect(intervals().left).toBe(0);
});

it('a standby that is closed looks for no silence any more', async () => {
  const standby = new Standby({
    vm: 'vm0',
    store: new ImageStore(folder.path('images')),
    disks: null,
    machine: IDLE_MACHINE,
    ports: {
      fences: true,
      mayBeMade: false,
      switch: () => Promise.reject(new Error('not here')),
      unprotect: async () => {},
    },
    goesOnUnprotected: false,
    silenceMs: 3_600_000,
    fence: null,
    onEvent: () => {},
  });
  expect(intervals()).toEqual({ left: 1, made: 1 });
  await standby.close();
  expect(intervals().left).toBe(0);
});

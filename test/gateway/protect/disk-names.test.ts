/** A machine and a standby that do not mean the same disks. */
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { StandbyDisks } from '../../../gateway/protect/standby-disks.ts';
import { DriverRig } from '../../support/driver-rig.ts';
import { folder } from '../disk/folders.ts';

let where: string;
let rig: DriverRig;

beforeEach(async () => {
  where = folder();
  rig = await DriverRig.open(join(where, 'driver'));
  await rig.stopStandby();
});
afterEach(() => rig.close());

/** A standby that keeps these disks, and finds what an earlier one has left of them. */
async function standbyWith(...names: readonly string[]): Promise<void> {
  const image = (name: string) => join(where, name);
  const disks = names.map((name) => ({ name, image: image(name), log: `${image(name)}.redo`, sizeBytes: 2 ** 20 }));
  await rig.startStandby(false, await StandbyDisks.open(disks, { path: join(where, 'nbd') }, null));
}

it.each([
  ['another second disk', ['d0', 'd2'], 'd0, d2'],
  ['one of two', ['d0'], 'd0'],
  ['one more', ['d0', 'd1', 'd2'], 'd0, d1, d2'],
])(
  'where the standby keeps %s, the driver names both lists and nothing is copied; in another order they are the same',
  async (_, names, kept) => {
    await standbyWith(...names);
    rig.protect({ disk: { ...rig.disks(), names: ['d0', 'd1'] } });
    await rig.until(() => rig.driver!.status.state === 'degraded', 'the driver to say so');
    expect(rig.driver!.status.trouble).toBe(
      `the standby keeps these disks: ${kept}; mirrored are: d0, d1 (see --disk of both)`,
    );
    expect(rig.done.filter((what) => what === 'disks: copy' || what.startsWith('sealed'))).toEqual([]);
    expect(rig.machine.status, 'the machine runs on').toBe('running');

    await rig.stopStandby();
    await standbyWith('d1', 'd0');
    await rig.until(() => rig.done.includes('disks: copy'), 'the copy');
  },
);

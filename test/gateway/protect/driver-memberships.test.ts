/** Groups that the VM has joined, on their way to the standby. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { DriverRig } from '../../support/driver-rig.ts';
import { igmpFrame } from '../../support/group-frames.ts';
import { arpFrame, VM_IP4, VM_MAC } from '../../support/neighbour-frames.ts';
import { temporaryFolder } from '../../support/run-cli.ts';

const SHORT = { patienceMs: 400, leaseMs: 400 } as const;

const folder = temporaryFolder();
let made = 0;
let rig: DriverRig;

beforeEach(async () => {
  rig = await DriverRig.open(folder.path(`joined${made++}`));
  const { scene } = rig.host;
  for (const bytes of [arpFrame(), igmpFrame(0x16, '239.1.2.3')]) {
    scene.rig.guest.send({ bytes, linkType: 1 });
    scene.vm.turn();
  }
});
afterEach(() => rig.close());

it('the standby knows them with the addresses', async () => {
  rig.protect(SHORT);
  await rig.until(() => rig.known !== null, 'what is known of the VM');
  const where = { ip: VM_IP4, mac: VM_MAC, tags: [], pair: 0 };
  expect(rig.known).toMatchObject({
    addresses: [where],
    memberships: [{ group: '239.1.2.3', ...where, version: 2, sources: [] }],
  });
});

it('a standby that is too old for them knows the addresses alone, and is not lost', async () => {
  const { knowsMemberships, ...status } = rig.standby.status;
  vi.spyOn(rig.standby, 'status', 'get').mockReturnValue(status);
  rig.protect(SHORT);
  await rig.until(() => rig.known !== null, 'what is known of the VM');
  expect([knowsMemberships, rig.known?.memberships]).toEqual([true, undefined]);
  expect(rig.known?.addresses).toHaveLength(1);
});

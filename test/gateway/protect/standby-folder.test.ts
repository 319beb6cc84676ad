/** The folder of a standby's images where it fails, or is somebody else's. */
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { claimFolder } from '../../../gateway/protect/image-folder.ts';
import { StandbyLink } from '../../../gateway/protect/standby-link.ts';
import { DeltaRig } from '../../support/delta-rig.ts';
import { DriverRig } from '../../support/driver-rig.ts';
import { temporaryFolder } from '../../support/run-cli.ts';

const folders = temporaryFolder();
let made = 0;

function newPath(): string {
  return folders.path(`folder${made++}`);
}

/** What is written to an image there finds no room, until the standby removes the link. */
function fill(folder: string): string {
  symlinkSync('/dev/full', `${folder}/incoming`);
  return `${folder}/incoming: ENOSPC: no space left on device, write`;
}

it('a standby whose folder is full stays, and says so; its driver does, and protects the VM again when there is room', async () => {
  const path = newPath();
  const rig = await DriverRig.open(path);
  onTestFinished(() => rig.close());
  const why = fill(`${path}-images-false`);
  let trouble: string | null = null;
  rig.beforeKept = async () => {
    trouble ??= rig.standby.status.trouble;
  };
  rig.protect();
  await rig.commits(2);
  expect(rig.told('aborted').map((event) => event.why)).toEqual([why]);
  expect(rig.told('state').map((event) => `${event.state}: ${event.why}`)).toContain(`degraded: ${why}`);
  expect(trouble).toBe(why);
  expect(rig.driver!.status.state).toBe('protected');
  expect(rig.standby.status).toMatchObject({ state: 'ready', trouble: null });
});

it('what an image is refused for is told in one line to whoever sends it', async () => {
  const path = newPath();
  const rig = await DriverRig.open(path);
  onTestFinished(() => rig.close());
  const link = await StandbyLink.connect({ path: `${path}.standby` }, 60_000);
  onTestFinished(() => link.close());
  await link.call('protect.hello', { vm: 'vm0', protocol: 1, term: 3, patienceMs: 60_000, leaseMs: 0 });
  mkdirSync(`${path}-images-false/incoming`);
  const image = link.begin({ term: 3, epoch: 3 });
  image.write(Buffer.from('an image'));
  const why = `EISDIR: illegal operation on a directory, open '${path}-images-false/incoming'`;
  await expect(image.end(60_000)).rejects.toMatchObject({ code: 'image-torn', message: why });
  expect(await link.call('status', {})).toMatchObject({ trouble: why, incoming: null });
});

it('where images are changes, too, the last whole one stays, and the next one is taken when there is room', async () => {
  const rig = await new DeltaRig(newPath()).connect();
  onTestFinished(() => rig.close());
  await rig.delta.attach(rig.qmp);
  const store = rig.opened();
  rig.change([3], 1);
  await rig.checkpoint(store, 1);
  const kept = rig.kept();
  const why = fill(rig.images);
  rig.change([3, 5], 2);
  await expect(rig.checkpoint(store, 2)).rejects.toThrow(why);
  expect([store.newest?.epoch, store.trouble, rig.kept().equals(kept)]).toEqual([1, why, true]);
  await rig.checkpoint(store, 3);
  expect([store.newest?.epoch, store.trouble]).toEqual([3, null]);
  expect(rig.kept().equals(readFileSync(rig.ram))).toBe(true);
});

it('a folder is of one standby at a time', () => {
  const folder = newPath();
  const letGo = claimFolder(folder, 'vm0');
  expect(() => claimFolder(folder, 'vm0')).toThrow('another standby uses this folder');
  letGo();
  claimFolder(folder, 'vm0')();
});

it('a folder is of one VM for good; one that was made before folders had names becomes that of the first', () => {
  const folder = newPath();
  mkdirSync(folder);
  writeFileSync(`${folder}/1.1.4.12345678.image`, 'keep');
  claimFolder(folder, 'vm0')();
  expect(readdirSync(folder).sort()).toEqual(['1.1.4.12345678.image', 'vm']);
  for (const _ of ['it', 'and again: what was refused holds no lock']) {
    expect(() => claimFolder(folder, 'vm1')).toThrow("images of the VM 'vm0' are kept there, not of 'vm1'");
  }
  claimFolder(folder, 'vm0')();
});

it('a folder that does not take a name is refused, and says where', () => {
  const folder = newPath();
  mkdirSync(folder);
  symlinkSync('/dev/full', `${folder}/vm.new`);
  expect(() => claimFolder(folder, 'vm0')).toThrow(`${folder}/vm: ENOSPC`);
});

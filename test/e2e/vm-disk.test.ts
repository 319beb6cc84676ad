/** A VM in QEMU with a disk dies by SIGKILL: what its clients were told of is on the disk that it goes on with, and memory agrees. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { DriverOptions } from '../../gateway/protect/driver-options.ts';
import { QmpClient } from '../../gateway/protect/qmp.ts';
import { committed } from '../support/answers.ts';
import { makeCertificates } from '../support/certificates.ts';
import { bootedGuest, noGuestReason, VM_DISK, VM_GUEST } from '../support/guest.ts';
import { untilListening } from '../support/listening.ts';
import { leaveNetns, noNetnsReason, until } from '../support/netns.ts';
import { withoutPrograms } from '../support/programs.ts';
import { Random } from '../support/random.ts';
import { type DiskCheck, RecordingClient } from '../support/recording-client.ts';
import { runs } from '../support/runs.ts';
import { someMoment } from '../support/some-moment.ts';
import { VmScene, type VmSceneOptions } from '../support/vm-scene.ts';

const seed = Number(process.env.HOLDFAST_SEED ?? 1);
const MINUTE_MS = 60_000;
/** Records that a client waits for before a failover. */
const SOME = 30;
const PATIENCE_MS = 60_000;
/** A machine that is paused for each copy has to write in between. */
const PACE = { kind: 'fixed', intervalMs: 250 } as const;

let reason: string | null;
let booted: string;
let scene: VmScene;
let clients: RecordingClient[];
let plainServer: ChildProcess | null;

beforeAll(async () => {
  reason = noNetnsReason('sysctl') ?? noGuestReason() ?? withoutPrograms('qemu-nbd', 'openssl');
  if (reason === null) booted = await bootedGuest(1);
}, 8 * MINUTE_MS);
beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  clients = [];
  plainServer = null;
});
afterEach(async () => {
  for (const client of clients) client.close();
  await scene?.delete();
  plainServer?.kill('SIGKILL');
}, MINUTE_MS);

async function started(options: Partial<VmSceneOptions> = {}): Promise<void> {
  scene = new VmScene({ rules: 'hold-all', disk: 'mirrored', ...options });
  await scene.start(options.hasSecondDisk === true ? await bootedGuest(2) : booted);
}

async function recording(name: string): Promise<RecordingClient> {
  const client = await RecordingClient.connect(
    VM_GUEST.ip4,
    VM_GUEST.records,
    name,
    () => scene.network.enter(),
    leaveNetns,
  );
  clients.push(client);
  client.start();
  return client;
}

async function moreRecords(client: RecordingClient, count = SOME): Promise<void> {
  const wanted = client.told.length + count;
  await until(() => client.violation !== null || client.told.length >= wanted, 'records', PATIENCE_MS);
  expect(client.violation).toBeNull();
}

/** Nothing is asked any more, and everything that was is answered. @returns what the guest finds on its disk */
async function checked(client: RecordingClient): Promise<DiskCheck> {
  client.pause();
  await until(() => client.violation !== null || client.isQuiet, 'the last answers', PATIENCE_MS);
  expect(client.violation).toBeNull();
  return client.check();
}

/** What the client was told of is in the images of a place, by default of the VM's, as seen from outside. */
function expectOnDisk(client: RecordingClient, upTo: number, place = scene.place): void {
  for (const name of scene.disks) {
    const bytes = readFileSync(scene.disk(place, name));
    for (let number = client.last - client.told.length + 1; number <= upTo; number++) {
      const wanted = `record ${number} ${client.wordOf(number)}\n`;
      const at = number * VM_DISK.recordBytes;
      expect(bytes.toString('latin1', at, at + wanted.length), `on disk ${name}`).toBe(wanted);
    }
  }
}

/** Waits for a moment in the driver's work, by seed, also one at which a flush is due. @returns which */
async function someDiskMoment(random: Random): Promise<string> {
  if (random.below(5) > 0) return someMoment(scene, random);
  await scene.says('committed');
  await sleep(195 + random.below(20));
  return 'when a flush was due';
}

/** @returns how many records are on a place's disk, one behind the other */
function recordsOn(place: number): number {
  const bytes = readFileSync(scene.disk(place));
  let count = 0;
  while (bytes[(count + 1) * VM_DISK.recordBytes] !== 0) count++;
  return count;
}

function expectWhole(client: RecordingClient, found: DiskCheck, when: string): void {
  expect(found, when).toEqual({ memory: client.last, wrong: 0, ahead: 0 });
}

/** A VM with a disk that is protected, and a client of it. */
async function protectedDisk(options: Partial<VmSceneOptions> = {}, driver: Partial<DriverOptions> = {}) {
  await started(options);
  scene.protect({ pace: PACE, ...driver });
  await scene.commits(1);
  return recording('one');
}

/** The VM goes on elsewhere, with what the client was told of, and is protected there. */
async function expectToGoOn(client: RecordingClient): Promise<void> {
  scene.killMachine();
  await scene.moved();
  expectOnDisk(client, client.last);
  await scene.startStandby();
  scene.protect({ pace: PACE });
  expectWhole(client, await checked(client), 'after the failover');
}

test(
  `after every failover both disks hold what a client was told of, and memory and disks agree (seed ${seed})`,
  async () => {
    const random = new Random(seed);
    const client = await protectedDisk({ hasSecondDisk: true });
    const times: string[] = [];
    for (let i = 0; i < runs(10); i++) {
      await moreRecords(client);
      const moment = await someDiskMoment(random);
      scene.killMachine();
      const told = client.last;
      const { disksMs, runningMs } = await scene.moved();
      times.push(`${disksMs}/${runningMs}`);
      expectOnDisk(client, told);
      await scene.startStandby();
      scene.protect({ pace: PACE });
      await scene.commits(1);
      expectWhole(client, await checked(client), `failover ${i + 1}, killed ${moment}`);
      client.start();
    }
    const { length } = client.told;
    console.log(`${length} records; from the decision to the disk, and to a running VM: ${times.join(', ')} ms`);
  },
  15 * MINUTE_MS,
);

/** Mirrors the machine's disk to the next place's, with a plain server that knows no checkpoints. */
async function mirrorPlainly(): Promise<void> {
  const socket = scene.path(`plain${scene.place + 1}`);
  const image = scene.disk(scene.place + 1);
  plainServer = spawn('qemu-nbd', ['-f', 'raw', '-k', socket, '-x', 'plain', '--persistent', image], {
    stdio: 'ignore',
  });
  await untilListening(socket);
  const eye = await QmpClient.connect(scene.path(`eye${scene.place}`));
  const isReady = new Promise<void>((resolve) => {
    eye.listen(({ event }) => {
      if (event === 'BLOCK_JOB_READY') resolve();
    });
  });
  const file = { driver: 'nbd', server: { type: 'unix', path: socket }, export: 'plain' };
  await eye.execute('blockdev-add', { driver: 'raw', 'node-name': 'plain', file });
  const job = { 'job-id': 'plain', device: VM_DISK.name, target: 'plain', sync: 'full' };
  await eye.execute('blockdev-mirror', { ...job, 'copy-mode': 'write-blocking', 'on-target-error': 'report' });
  await isReady;
  eye.close();
}

test(
  'control: where the disk does not go back to the checkpoint, memory and disk disagree',
  async () => {
    await started({ disk: 'alone' });
    let found: DiskCheck = { memory: 0, wrong: 0, ahead: 0 };
    let client: RecordingClient | null = null;
    for (let i = 0; i < 5 && found.wrong + found.ahead === 0; i++) {
      await mirrorPlainly();
      scene.protect({ pace: PACE });
      await scene.commits(1);
      client ??= await recording('one');
      client.start();
      await moreRecords(client);
      const atCommit = recordsOn(scene.place);
      await until(() => recordsOn(scene.place) > atCommit, 'records since', PATIENCE_MS);
      scene.killMachine();
      // Else the machine that goes on could not have the disk.
      const isFree = once(plainServer!, 'exit');
      plainServer!.kill('SIGKILL');
      await isFree;
      await scene.moved();
      await scene.startStandby();
      scene.protect({ pace: PACE });
      await scene.commits(1);
      found = await checked(client);
      scene.driver!.stop();
      await scene.outcome;
    }
    expect(found.wrong + found.ahead).toBeGreaterThan(0);
    console.log(`without a barrier: ${JSON.stringify(found)}`);
  },
  6 * MINUTE_MS,
);

test(
  "a standby that dies leaves the machine's own disk as it is, and protection comes back with another standby",
  async () => {
    /** What the standby could go back to when a term began, with which output passes. */
    const images: unknown[] = [];
    await started();
    scene.protect({ pace: PACE }, (host) => {
      const vm = host.vm('vm0');
      const start = vm.start.bind(vm);
      vm.start = async (options) => {
        images.push((await scene.askStandby((link) => link.call('status', {}))).image);
        return start(options);
      };
      return vm;
    });
    await scene.commits(1);
    const client = await recording('one');
    await moreRecords(client);
    expectWhole(client, await checked(client), 'before');
    await scene.standby.kill();
    await until(() => scene.driver!.status.state === 'degraded', 'the driver to notice', PATIENCE_MS);
    const told = client.last;
    client.start();
    await until(() => recordsOn(0) > told, 'the disk to go on', PATIENCE_MS);
    // Its mirror ends while it is paused for a moment, which may be now.
    await scene.machineRuns();
    expect(client.last, 'nobody is told of what no standby has').toBe(told);
    await scene.startStandby();
    await scene.commits(1);
    expect(scene.driver!.status.term, 'a new copy is of a new term').toBeGreaterThan(1);
    expect(images, 'no way back behind output that passes').toEqual(images.map(() => null));
    await moreRecords(client);
    // And again, with a write under way.
    await scene.standby.kill();
    await until(() => scene.driver!.status.state === 'degraded', 'the driver to notice', PATIENCE_MS);
    const written = recordsOn(0);
    await until(() => recordsOn(0) > written, 'the disk to go on', PATIENCE_MS);
    await scene.startStandby();
    await scene.commits(1);
    await moreRecords(client);
    await expectToGoOn(client);
  },
  6 * MINUTE_MS,
);

test(
  'a standby that says nothing any more, and does not hang up either, does not keep the guest from writing',
  async () => {
    // Silence was on both sides: who wakes up must not take the machine for dead.
    const client = await protectedDisk({ standbyFlags: ['--silence', '10m'] }, { patienceMs: 2000 });
    await moreRecords(client);
    expectWhole(client, await checked(client), 'before');
    scene.standby.child.kill('SIGSTOP');
    client.start();
    await until(() => recordsOn(0) > client.last + 1, 'the disk to go on', PATIENCE_MS);
    await until(() => scene.driver!.status.state === 'degraded', 'the driver to notice', PATIENCE_MS);
    scene.standby.child.kill('SIGCONT');
    await scene.commits(1);
    await moreRecords(client);
    await expectToGoOn(client);
  },
  6 * MINUTE_MS,
);

test(
  'a standby that says nothing any more while no driver runs keeps the guest from writing until the next driver comes',
  async () => {
    await started({ standbyFlags: ['--silence', '10m'] });
    const flags = ['--disk', VM_DISK.name, '--interval', '2s'];
    let driver = scene.protectByCommand(...flags, '--patience', '1m');
    await committed(driver, 1);
    const client = await recording('one');
    await moreRecords(client, 1);
    scene.standby.child.kill('SIGSTOP');
    // By then the driver has begun the next checkpoint, and waits.
    await sleep(3000);
    await driver.kill();
    const waiting = recordsOn(0);
    await sleep(500);
    expect(recordsOn(0), 'a write waits for the standby').toBe(waiting);
    driver = scene.protectByCommand(...flags, '--patience', '2s');
    await until(() => recordsOn(0) > waiting + 1, 'the disk to go on', PATIENCE_MS);
    scene.standby.child.kill('SIGCONT');
    await committed(driver, 1);
    await moreRecords(client);
  },
  6 * MINUTE_MS,
);

test(
  'where memory is copied live, the disk is at the pause that ended the copy, and holds what a client was told of',
  async () => {
    await started({ standbyFlags: ['--silence', '10m'] });
    const mirrors = scene.mirrors();
    const seal = mirrors.seal.bind(mirrors);
    /** By epoch: what the machine's own disk had when it was sealed, and what the machine did. */
    const sealed = new Map<number, { readonly records: number; readonly status: string }>();
    mirrors.seal = async (qmp, link, checkpoint) => {
      await seal(qmp, link, checkpoint);
      const records = recordsOn(0);
      sealed.set(checkpoint.epoch, { records, status: await scene.machineStatus() });
    };
    scene.protect({ pace: PACE, isLive: true, disk: mirrors });
    await scene.commits(1);
    const client = await recording('one');
    await moreRecords(client, 3 * SOME);
    // Without a gateway the machine there loads its image, but does not run: nothing is written that was not when this one was paused.
    await scene.gateway.kill();
    scene.killMachine();
    await scene.standby.says('"state":"failed"');
    const { image } = await scene.askStandby((link) => link.call('status', {}));
    const { records, status } = sealed.get(image!.epoch)!;
    expect(['finish-migrate', 'postmigrate'], 'paused by QEMU itself, at the end of its copy').toContain(status);
    expect(recordsOn(1)).toBe(records);
    expectOnDisk(client, client.last, 1);
  },
  6 * MINUTE_MS,
);

test(
  'a driver that is killed leaves a mirror that its successor goes on with, without a new copy',
  async () => {
    await started({ standbyFlags: ['--silence', '60s'] });
    const flags = ['--disk', VM_DISK.name, '--interval', `${PACE.intervalMs}ms`];
    let driver = scene.protectByCommand(...flags);
    await committed(driver, 1);
    expect(driver.events).toContainEqual(expect.objectContaining({ event: 'disks', is: 'mirrored' }));
    const client = await recording('one');
    for (let i = 0; i < runs(3); i++) {
      await moreRecords(client);
      await sleep(new Random(seed + i).below(300));
      await driver.kill();
      driver = scene.protectByCommand(...flags);
      await committed(driver, 2);
      expect(driver.events).toContainEqual(expect.objectContaining({ event: 'term', term: 1, how: 'attached' }));
      expect(driver.events.filter(({ event }) => event === 'disks')).toEqual([]);
    }
    await expectToGoOn(client);
  },
  6 * MINUTE_MS,
);

test(
  'between hosts the disk travels over TLS, for a machine that has a certificate',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-certificates-'));
    try {
      makeCertificates(folder);
      const file = (name: string) => join(folder, `${name}.pem`);
      const tls = ['--tls-cert', file('server-cert'), '--tls-key', file('server-key'), '--tls-ca', file('ca-cert')];
      await started({
        standbyFlags: ['--silence', '60s', '--disk-listen', 'tls:127.0.0.1:4700', '--client', 'localhost', ...tls],
      });
      const flags = ['--disk', VM_DISK.name, '--interval', `${PACE.intervalMs}ms`];
      const without = scene.protectByCommand(...flags);
      await without.says('which needs certificates: --disk-tls');
      await without.kill();
      const driver = scene.protectByCommand(...flags, '--disk-tls', folder);
      await committed(driver, 1);
      // Another authority and all that it has signed, in the same files.
      makeCertificates(folder);
      const mirrored = () => driver.events.filter(({ event, is }) => event === 'disks' && is === 'mirrored').length;
      await scene.askStandby((link) => link.call('forget', {}, PATIENCE_MS));
      await until(() => mirrored() > 1, 'a mirror by the new certificates', PATIENCE_MS);
      const client = await recording('one');
      await moreRecords(client);
      const told = client.last;
      scene.killMachine();
      await scene.moved();
      expectOnDisk(client, told);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  6 * MINUTE_MS,
);

test(
  `standby and machine die together, in the middle of a flush too, and a new standby goes on from what the old one had (seed ${seed})`,
  async () => {
    const random = new Random(seed);
    const client = await protectedDisk();
    for (let i = 0; i < runs(3); i++) {
      await moreRecords(client);
      const moment = await someDiskMoment(random);
      scene.standby.child.kill('SIGKILL');
      scene.killMachine();
      await scene.standby.ended;
      await scene.outcome;
      const told = client.last;
      await scene.startStandby();
      await scene.askStandby((link) => link.call('failover', {}, PATIENCE_MS));
      await scene.moved();
      expectOnDisk(client, told);
      await scene.startStandby();
      scene.protect({ pace: PACE });
      await scene.commits(1);
      expectWhole(client, await checked(client), `killed ${moment}`);
      client.start();
    }
  },
  6 * MINUTE_MS,
);

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createWriteStream,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { allowMigrations, Migration } from '../../gateway/protect/migration.ts';
import { QmpClient } from '../../gateway/protect/qmp.ts';
import { until } from './netns.ts';

/** Addresses and ports of the guest; see guest/counter.c for what answers there, recorder.c for records, sip.c, load.c. */
export const VM_GUEST = {
  mac: '52:54:00:77:00:01',
  ip4: '10.77.0.1',
  ip6: 'fd77::1',
  lines: 7000,
  datagrams: 7001,
  http: 8080,
  records: 7002,
  sip: 5060,
  work: 7003,
  sink: 7004,
  source: 7005,
  echo: 16400,
} as const;

/** The guest's disk, as QEMU and the command line call it. It may have another one, which is written to as this one is. */
export const VM_DISK = { name: 'd0', second: 'd1', bytes: 16 * 2 ** 20, recordBytes: 512 } as const;

const QEMU = 'qemu-system-x86_64';
const SOURCES = fileURLToPath(new URL('guest/', import.meta.url));
/** Outside of the repository, and kept: the kernel is fetched once. */
const FOLDER = join(tmpdir(), `holdfast-guest-${userInfo().uid}`);
const MAKE_TIMEOUT_MS = 300_000;
const BOOT_TIMEOUT_MS = 90_000;

/** Why no guest can be run here; null where one can. Makes its file system where that is not there yet. */
export function noGuestReason(): string | null {
  if (spawnSync(QEMU, ['--version']).status !== 0) return `not installed: ${QEMU}`;
  if (hasGuest()) return null;
  const { status, stderr } = spawnSync(join(SOURCES, 'make.sh'), [FOLDER], {
    encoding: 'utf8',
    timeout: MAKE_TIMEOUT_MS,
  });
  return status === 0 ? null : stderr.trim() || `no test guest within ${MAKE_TIMEOUT_MS / 1000} s`;
}

/** The guest has been made already: nothing is fetched. */
export function hasGuest(): boolean {
  return existsSync(files());
}

/** What a machine of another's making boots the guest from. Call `noGuestReason` before. */
export function guestFiles(): { readonly kernel: string; readonly initrd: string } {
  return { kernel: join(FOLDER, 'kernel'), initrd: files() };
}

function files(): string {
  const sum = createHash('sha256');
  for (const name of ['counter.c', 'recorder.c', 'sip.c', 'load.c', 'init.sh', 'application.sh', 'make.sh'])
    sum.update(readFileSync(join(SOURCES, name)));
  return join(FOLDER, `files-${sum.digest('hex').slice(0, 16)}`);
}

/**
 * @param wire a unix socket on which the machine waits for its gateway, also for another one after that
 * @param disks images of its disks, two at most
 * @returns QEMU and its arguments
 */
export function guestCommand(wire: string, disks: readonly string[] = []): string[] {
  return [
    QEMU,
    ...['-machine', 'q35,accel=tcg', '-m', '128', '-nodefaults', '-display', 'none', '-no-reboot'],
    ...['-kernel', join(FOLDER, 'kernel'), '-initrd', files()],
    ...['-append', `console=ttyS0 quiet panic=-1 init_on_free=1 ip4=${VM_GUEST.ip4}/24 ip6=${VM_GUEST.ip6}/64`],
    ...['-netdev', `stream,id=n0,server=on,addr.type=unix,addr.path=${wire}`],
    // A QEMU that filters by VLAN forgets with a migration which ones the guest listens to (seen with 7.2).
    ...['-device', `virtio-net-pci,netdev=n0,mac=${VM_GUEST.mac},guest_announce=off,ctrl_vlan=off,romfile=`],
    ...['-device', 'isa-serial,chardev=s0'],
    ...disks.flatMap((image, index) => diskParameters(image, index === 0 ? VM_DISK.name : VM_DISK.second)),
  ];
}

function diskParameters(image: string, name: string): string[] {
  const drive = `if=none,id=${name},format=raw,cache=none,discard=unmap,file=${image}`;
  return ['-drive', drive, '-device', `virtio-blk-pci,drive=${name}`];
}

/** @param file that is the guest's memory @returns for QEMU, after `guestCommand` */
export function sharedMemory(file: string): string[] {
  const memory = `memory-backend-file,id=pc.ram,size=128M,mem-path=${file},share=on`;
  return ['-object', memory, '-machine', 'memory-backend=pc.ram'];
}

/** Makes an empty disk for the guest. */
export function makeDisk(path: string): void {
  writeFileSync(path, '');
  truncateSync(path, VM_DISK.bytes);
}

/** For a machine whose console nobody reads. */
export const NO_CONSOLE = ['-chardev', 'null,id=s0'] as const;

/**
 * The guest once it has booted, as a machine's state that `-incoming` takes: booting takes seconds, loading a moment.
 * @param diskCount empty ones, two at most
 * @param vlan that its addresses are in; null: in none
 * @returns the file, made where it is not there yet
 */
export async function bootedGuest(diskCount = 0, vlan: number | null = null): Promise<string> {
  const tagged = (word: string) => (vlan === null ? word : word.replace('panic=-1', `panic=-1 vlan=${vlan}`));
  const version = spawnSync(QEMU, ['--version'], { encoding: 'utf8' }).stdout;
  const sum = createHash('sha256')
    .update(version)
    .update(files())
    .update(tagged(guestCommand('', Array(diskCount).fill('')).join(' ')));
  const booted = join(FOLDER, `booted-${sum.digest('hex').slice(0, 16)}`);
  if (existsSync(booted)) return booted;
  const folder = mkdtempSync(join(FOLDER, 'boot-'));
  const disks = Array.from({ length: diskCount }, (_, index) => join(folder, `disk${index}`));
  for (const disk of disks) makeDisk(disk);
  const [program, ...parameters] = guestCommand(join(folder, 'wire'), disks);
  const qmpPath = join(folder, 'qmp');
  const console = ['-chardev', 'stdio,id=s0', '-qmp', `unix:${qmpPath},server=on,wait=off`];
  const child = spawn(program!, [...parameters.map(tagged), ...console]);
  try {
    let said = '';
    child.stdout.on('data', (text) => (said += text));
    child.stderr.on('data', (text) => (said += text));
    await until(() => said.includes('counter ready'), 'the guest to boot', BOOT_TIMEOUT_MS);
    const qmp = await QmpClient.connect(qmpPath);
    await allowMigrations(qmp, 300);
    const made = join(folder, 'state');
    const stored = storedStream(join(folder, 'stream'), made);
    const migration = await Migration.start(qmp, `unix:${join(folder, 'stream')}`, true);
    await migration.completed;
    qmp.close();
    child.kill('SIGKILL');
    await stored;
    renameSync(made, booted);
    return booted;
  } finally {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @returns when the one stream that comes to the socket `path` has ended, and all of it is in `file` */
function storedStream(path: string, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      server.close();
      pipeline(socket, createWriteStream(file)).then(resolve, reject);
    });
    server.on('error', reject);
    server.listen(path);
  });
}

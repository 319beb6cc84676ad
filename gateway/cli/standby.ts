import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { DiskError } from '../disk/disk-error.ts';
import { NbdTls } from '../disk/nbd-tls.ts';
import { HostClient } from '../host/client.ts';
import { TlsFilesError } from '../host/tls-files.ts';
import { claimFolder } from '../protect/image-folder.ts';
import { ImageStore } from '../protect/image-store.ts';
import { failoverAt, takeoverAt } from '../protect/port-switch.ts';
import { RamBase } from '../protect/ram-base.ts';
import { Standby } from '../protect/standby.ts';
import { DiskListenError, StandbyDisks } from '../protect/standby-disks.ts';
import { StandbyMachine } from '../protect/standby-machine.ts';
import type { StandbyEvent } from '../protect/standby-options.ts';
import { type ListenAddress, StandbyServer } from '../protect/standby-server.ts';
import { EXIT, Failure } from './failure.ts';
import { checkInside, checkProgram, checkSocketPlace, whyMisfit } from './standby-checks.ts';
import type { StandbyOptions } from './standby-command.ts';
import { standbyAddress } from './tls-options.ts';
import { gatewayAddress } from './with-host.ts';

const NS_PER_MS = 1e6;
const GATEWAY_TIMEOUT_MS = 5000;

/** Is a VM's standby until a signal. @returns the exit code */
export async function runStandby(qemu: readonly string[], options: StandbyOptions): Promise<number> {
  const { vm, images, inside, takeover, fence } = options;
  if ((inside === undefined) === (takeover !== true)) {
    throw new Failure('name either --inside, where the gateway will reach the VM, or --takeover');
  }
  if (inside !== undefined) checkInside(inside);
  const sandbox = qemu[qemu.indexOf('-sandbox') + 1];
  if (qemu.includes('-sandbox') && sandbox?.includes('spawn=deny')) {
    throw new Failure(
      "-sandbox with 'spawn=deny' behind --: the machine reads its image through a program, expected 'spawn=allow'",
    );
  }
  checkProgram(qemu[0]!);
  const address = await listenAddress(options);
  const host = new HostClient({
    ...gatewayAddress(options),
    client: 'holdfast standby',
    timeoutMs: GATEWAY_TIMEOUT_MS,
  });
  let end: (code: number) => void = () => {};
  let fail: (why: Failure) => void = () => {};
  const isOver = new Promise<number>((resolve, reject) => {
    end = resolve;
    fail = reject;
  });
  isOver.catch(() => {});
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => end(EXIT.ok));
  const tell = options.json === true ? tellPrograms : peopleTold();
  const syncs = options.sync === true;
  const letGo = claimed(images, vm);
  const ram = options.delta === true ? new RamBase(images, syncs, () => machine.vacant()) : null;
  const store = storeOf(images, syncs, ram);
  const qmp = options.qmp ?? join(images, 'qmp');
  if ('path' in address) checkSocketPlace(`--listen ${options.listen}`, address.path);
  checkSocketPlace('--qmp', qmp);
  const disks = await disksOf(options);
  const machine: StandbyMachine = new StandbyMachine({
    command: qemu,
    ram: ram?.path ?? null,
    disks: disks?.images ?? [],
    qmp,
    isWarm: options.cold !== true,
  });
  machine.onUnfit = (why) => fail(new Failure(`--disk: ${why}`));
  const standby = new Standby({
    vm,
    store,
    disks,
    machine,
    ports:
      inside === undefined
        ? takeoverAt(host, vm, () => store.lease.known?.leaseMs ?? null)
        : failoverAt(host, vm, inside),
    goesOnUnprotected: options.unprotected === true,
    silenceMs: options.wait === true ? 0 : Math.ceil(options.silence / NS_PER_MS),
    fence: fence === undefined ? null : () => succeeded(fence),
    onEvent: (event) => {
      tell(event);
      if (event.event === 'machine' && event.wasVm) end(EXIT.no);
    },
  });
  const server = new StandbyServer(standby);
  // Of its own: the other one has no gateway that it knew before.
  const asked = new HostClient({
    ...gatewayAddress(options),
    client: 'holdfast standby',
    timeoutMs: GATEWAY_TIMEOUT_MS,
    mustBeThere: true,
  });
  try {
    // A driver that comes must not have the VM protected at itself.
    await Promise.race([machine.looked, isOver]);
    await server.listen(address).catch((error: Error) => {
      throw new Error(`--listen ${options.listen}: ${error.message}`);
    });
    process.stdout.write(`ready vm=${vm} listen=${options.listen}\n`);
    if (inside !== undefined) {
      whyMisfit(asked, vm, inside)
        // One that does not answer may come later.
        .catch(() => null)
        .then((why) => why !== null && tellOfTrouble(why))
        .finally(() => asked.close());
    }
    return await isOver;
  } catch (error) {
    throw new Failure((error as Error).message);
  } finally {
    await server.close();
    await standby.close();
    host.close();
    asked.close();
    letGo();
  }
}

/** @throws Failure */
async function listenAddress(options: StandbyOptions): Promise<ListenAddress> {
  const { listen, client: clients, tlsCrl } = options;
  const address = await standbyAddress('--listen', listen, options);
  if (!('tls' in address)) return address;
  if (clients.length === 0) throw new Failure('--listen tls: needs --client, a name in the certificate of the driver');
  const files = { ...address.tls, crl: tlsCrl ?? null };
  return { tls: { ...address.tls, files, clients, tell: tellOfTrouble } };
}

function tellOfTrouble(message: string): void {
  process.stderr.write(`holdfast: ${message}\n`);
}

/** @throws Failure */
function claimed(folder: string, vm: string): () => void {
  try {
    return claimFolder(folder, vm);
  } catch (error) {
    throw new Failure(`--images ${folder}: ${(error as Error).message}`);
  }
}

/** @throws Failure */
function storeOf(folder: string, syncs: boolean, ram: RamBase | null): ImageStore {
  try {
    return new ImageStore(folder, syncs, ram);
  } catch (error) {
    throw new Failure(`--images ${folder}: ${(error as Error).message}`);
  }
}

/** @throws Failure */
async function disksOf(options: StandbyOptions): Promise<StandbyDisks | null> {
  const { disk, images, client: clients, tlsCrl, diskListen = `unix:${join(images, 'nbd')}` } = options;
  if (disk.length === 0) {
    if (options.diskListen === undefined) return null;
    throw new Failure('--disk-listen is of use with --disk only');
  }
  const address = await standbyAddress('--disk-listen', diskListen, options);
  const isTls = 'tls' in address;
  if (isTls && clients.length === 0) {
    throw new Failure("--disk-listen tls: needs --client, a name in the certificate of the driver's machine");
  }
  try {
    if (!isTls) return await StandbyDisks.open(disk, address, null);
    const files = { ...address.tls, crl: tlsCrl ?? null };
    const tls = await NbdTls.open({ files, clients, tell: tellOfTrouble });
    return await StandbyDisks.open(disk, address.tls, tls);
  } catch (error) {
    const option = error instanceof DiskListenError || error instanceof TlsFilesError ? '--disk-listen' : '--disk';
    throw new Failure(`${option}: ${(error as Error).message}`, error instanceof DiskError ? EXIT.no : EXIT.usage);
  }
}

/** Runs a shell command. @throws Error unless its exit code is 0 */
function succeeded(command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`the fence command failed: ${signal ?? `exit code ${code}`}`));
    });
  });
}

function tellPrograms(event: StandbyEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

/** @returns tells people what changes; of a machine that ends by the same again and again they are told once */
function peopleTold(): (event: StandbyEvent) => void {
  let lastEnd: string | null = null;
  return (event) => {
    if (event.event === 'machine' && event.why === lastEnd) return;
    // Images come all the time.
    if (event.event !== 'image') lastEnd = event.event === 'machine' ? event.why : null;
    tellPeople(event);
  };
}

function tellPeople(event: StandbyEvent): void {
  switch (event.event) {
    case 'driver':
      process.stdout.write(`driver ${event.is}${event.term === undefined ? '' : `, term ${event.term}`}\n`);
      break;
    case 'state':
      process.stdout.write(`${event.state}: ${event.why}\n`);
      break;
    case 'disk':
      process.stdout.write(
        event.why === null
          ? `disk ${event.name}: its image can be written again\n`
          : `disk ${event.name}: its image cannot be written: ${event.why}; its writes wait in the log\n`,
      );
      break;
    case 'machine':
      process.stdout.write(`the machine here: ${event.why}\n`);
      break;
    case 'failover':
      process.stdout.write(
        `the VM goes on from epoch ${event.epoch} of term ${event.term}, in term ${event.newTerm}: ${event.runningMs} ms after the decision\n`,
      );
      break;
    case 'image':
      break;
  }
}

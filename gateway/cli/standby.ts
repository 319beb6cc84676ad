import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DiskError } from '../disk/disk-error.ts';
import { HostClient } from '../host/client.ts';
import { ImageStore } from '../protect/image-store.ts';
import { failoverAt, takeoverAt } from '../protect/port-switch.ts';
import { RamBase } from '../protect/ram-base.ts';
import { Standby } from '../protect/standby.ts';
import { StandbyDisks } from '../protect/standby-disks.ts';
import { StandbyMachine } from '../protect/standby-machine.ts';
import type { StandbyEvent } from '../protect/standby-options.ts';
import { type ListenAddress, StandbyServer } from '../protect/standby-server.ts';
import { EXIT, Failure } from './failure.ts';
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
  const sandbox = qemu[qemu.indexOf('-sandbox') + 1];
  if (qemu.includes('-sandbox') && sandbox?.includes('spawn=deny')) {
    throw new Failure(
      "-sandbox with 'spawn=deny' behind --: the machine reads its image through a program, expected 'spawn=allow'",
    );
  }
  const address = await listenAddress(options);
  const host = new HostClient({
    ...gatewayAddress(options),
    client: 'holdfast standby',
    timeoutMs: GATEWAY_TIMEOUT_MS,
  });
  let end: (code: number) => void = () => {};
  const isOver = new Promise<number>((resolve) => {
    end = resolve;
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => end(EXIT.ok));
  const tell = options.json === true ? tellPrograms : tellPeople;
  const syncs = options.sync === true;
  const ram = options.delta === true ? new RamBase(images, syncs, () => machine.vacant()) : null;
  const store = storeOf(images, syncs, ram);
  const disks = await disksOf(options);
  const machine: StandbyMachine = new StandbyMachine({
    command: qemu,
    ram: ram?.path ?? null,
    qmp: options.qmp ?? join(images, 'qmp'),
    isWarm: options.cold !== true,
  });
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
  try {
    await server.listen(address);
    process.stdout.write(`ready vm=${vm} listen=${options.listen}\n`);
    return await isOver;
  } catch (error) {
    throw new Failure((error as Error).message);
  } finally {
    await server.close();
    await standby.close();
    host.close();
  }
}

/** @throws Failure */
async function listenAddress(options: StandbyOptions): Promise<ListenAddress> {
  const { listen, client: clients, tlsCrl } = options;
  const address = await standbyAddress('--listen', listen, options);
  if (!('tls' in address)) return address;
  if (clients.length === 0) throw new Failure('--listen tls: needs --client, a name in the certificate of the driver');
  const files = { ...address.tls, crl: tlsCrl ?? null };
  return { tls: { ...address.tls, files, clients, tell: (message) => process.stderr.write(`holdfast: ${message}\n`) } };
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
  const { disk, images, diskListen = `unix:${join(images, 'nbd')}` } = options;
  if (disk.length === 0) {
    if (options.diskListen === undefined) return null;
    throw new Failure('--disk-listen is of use with --disk only');
  }
  const address = await standbyAddress('--disk-listen', diskListen, options);
  try {
    if (!('tls' in address)) return await StandbyDisks.open(disk, address, null);
    const { tls } = address;
    const [key, cert, ca] = await Promise.all([tls.key, tls.cert, tls.ca].map((path) => readFile(path!, 'utf8')));
    return await StandbyDisks.open(disk, tls, { key: key!, cert: cert!, ca: ca! });
  } catch (error) {
    throw new Failure(`--disk: ${(error as Error).message}`, error instanceof DiskError ? EXIT.no : EXIT.usage);
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

/** Images are many: people are told of what changes. */
function tellPeople(event: StandbyEvent): void {
  switch (event.event) {
    case 'driver':
      process.stdout.write(`driver ${event.is}${event.term === undefined ? '' : `, term ${event.term}`}\n`);
      break;
    case 'state':
      process.stdout.write(`${event.state}: ${event.why}\n`);
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

import { HostClient } from '../host/client.ts';
import { addressText } from '../host/connect.ts';
import { CheckpointDriver } from '../protect/checkpoint-driver.ts';
import { DiskMirrors, diskPlace } from '../protect/disk-mirrors.ts';
import { MirrorError } from '../protect/disk-side.ts';
import type { DriverEvent } from '../protect/driver-events.ts';
import type { Pace } from '../protect/pace.ts';
import { QmpError } from '../protect/qmp.ts';
import { RamDelta } from '../protect/ram-delta.ts';
import { RamError } from '../protect/shared-ram.ts';
import { parseDuration, ValueError } from '../units.ts';
import { EXIT, Failure } from './failure.ts';
import type { ProtectOptions } from './protect-command.ts';
import { gatewayThere } from './protect-gateway.ts';
import { standbyAddress } from './tls-options.ts';
import { failureOf, gatewayAddress } from './with-host.ts';

const NS_PER_MS = 1e6;
const DAY_NS = 86_400e9;
/** A machine that waits for the answer to a seal is paused; longer than this it is not. */
const GATEWAY_TIMEOUT_MS = 2000;
const CONFIRM_TIMEOUT_MS = 30_000;

/** Protects a machine until a signal, or its end. @returns the exit code */
export async function protect(options: ProtectOptions): Promise<number> {
  const address = gatewayAddress(options);
  const pace = paceOf(options.interval);
  checkDurations(options);
  checkDisks(options);
  const standby = await standbyAddress('--standby', options.standby, options);
  const tell = options.json === true ? tellPrograms : tellPeople;
  const client = { ...address, client: 'holdfast protect', timeoutMs: GATEWAY_TIMEOUT_MS };
  let stop = () => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, stop);
  const host = new HostClient(client);
  try {
    const tellWait = (why: string) => tell({ event: 'state', state: 'starting', why: `waiting: ${why}` });
    const found = await gatewayThere(client, options.vm ?? null, tellWait, stopped);
    if (found === null) {
      tell({ event: 'state', state: 'stopped', why: 'told to stop' });
      return EXIT.ok;
    }
    const { name: vm, now } = found;
    if (now === null) throw new Failure(`the gateway has no VM '${vm}'`, EXIT.no);
    const driver = new CheckpointDriver({
      vm,
      qmp: options.qmp,
      gateway: host.vm(vm),
      heldFrames: async () => {
        const { vms } = await host.call('status', {});
        return vms.find((one) => one.vm === vm)?.heldFrames ?? 0;
      },
      standby,
      pace,
      delta: deltaOf(options),
      isDeltaOptional: options.copy === 'auto',
      isLive: options.copy === 'auto' ? null : options.copy === 'live',
      leaseMs: Math.ceil(options.lease / NS_PER_MS),
      patienceMs: Math.ceil(options.patience / NS_PER_MS),
      downtimeLimitMs: Math.ceil(options.downtime / NS_PER_MS),
      confirmTimeoutMs: CONFIRM_TIMEOUT_MS,
      disk: mirrorsOf(options, tell),
      onEvent: tell,
    });
    void stopped.then(() => driver.stop());
    const outcome = await driver.run();
    return outcome === 'gone' || outcome === 'fenced' ? EXIT.no : EXIT.ok;
  } catch (error) {
    if (error instanceof QmpError || error instanceof RamError) throw new Failure(error.message);
    throw failureOf(error, addressText(address), options.json === true);
  } finally {
    host.close();
  }
}

/** @throws Failure */
function deltaOf(options: ProtectOptions): RamDelta | null {
  const { copy, ram = null } = options;
  if (copy === 'delta' || copy === 'auto') return new RamDelta(ram);
  if (ram !== null) throw new Failure('--ram is of use with --copy delta and --copy auto only');
  return null;
}

/** @throws Failure for more than the gateway and the standby take */
function checkDurations({ lease, patience }: ProtectOptions): void {
  for (const [name, ns] of Object.entries({ lease, patience })) {
    if (ns > DAY_NS) throw new Failure(`--${name}: expected at most 24h`);
  }
}

/** @throws Failure for what would be of no use, or be found out much later */
function checkDisks({ disk: names, diskAddress, diskTls }: ProtectOptions): void {
  if (names.length === 0) {
    if (diskAddress !== undefined) throw new Failure('--disk-address is of use with --disk only');
    if (diskTls !== undefined) throw new Failure('--disk-tls is of use with --disk only');
    return;
  }
  if (diskTls === '') throw new Failure('--disk-tls: expected a folder');
  if (diskAddress === undefined) return;
  try {
    const { kind } = diskPlace(diskAddress);
    if (kind === 'tls' && diskTls === undefined) throw new MirrorError(`'${diskAddress}' needs --disk-tls`);
  } catch (error) {
    throw error instanceof MirrorError ? new Failure(`--disk-address: ${error.message}`) : error;
  }
}

function mirrorsOf(options: ProtectOptions, tell: (event: DriverEvent) => void): DiskMirrors | null {
  const { disk: names, diskAddress: address = null, diskTls: tlsFolder = null } = options;
  if (names.length === 0) return null;
  return new DiskMirrors({
    names,
    address,
    tlsFolder,
    onCopy: (is, bytes) => tell({ event: 'disks', is, names, bytes }),
  });
}

/** `100ms`, `adaptive`, `adaptive:50ms:1s`. @throws Failure */
function paceOf(text: string): Pace {
  const [kind, least = '50ms', most = '1s', ...more] = text.split(':');
  try {
    if (kind !== 'adaptive') return { kind: 'fixed', intervalMs: parseDuration(text) / NS_PER_MS };
    const pace = {
      kind: 'adaptive',
      leastMs: parseDuration(least) / NS_PER_MS,
      mostMs: parseDuration(most) / NS_PER_MS,
    } as const;
    if (more.length > 0 || pace.leastMs < 1 || pace.mostMs < pace.leastMs)
      throw new ValueError('adaptive:LEAST:MOST, from 1ms on and MOST not below LEAST');
    return pace;
  } catch (error) {
    throw error instanceof ValueError ? new Failure(`--interval: ${error.message}`) : error;
  }
}

const COPIES = {
  delta: 'what has changed in memory',
  live: 'all of memory, while the machine runs',
  paused: 'all of memory, the machine being paused',
} as const;

function tellPrograms(event: DriverEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

/** Checkpoints are many: people are told of what changes. */
function tellPeople(event: DriverEvent): void {
  if (event.event === 'state') process.stdout.write(`${event.state}: ${event.why}\n`);
  if (event.event === 'term')
    process.stdout.write(`term ${event.term} ${event.how}, epoch ${event.openEpoch} is open\n`);
  if (event.event === 'copies') process.stdout.write(`copies: ${COPIES[event.are]}: ${event.why}\n`);
  if (event.event === 'disks')
    process.stdout.write(`${event.is}: disks ${event.names.join(', ')}, ${event.bytes} bytes\n`);
  if (event.event === 'aborted')
    process.stdout.write(`epoch ${event.epoch} aborted: ${event.why}; again in ${event.retryMs} ms\n`);
}

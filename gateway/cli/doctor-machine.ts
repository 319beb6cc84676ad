import { accessSync, constants, existsSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { defaultControl, stateBeside } from '../config-defaults.ts';
import { DEFAULT_LIMITS } from '../occupancy.ts';
import { libc } from '../port/libc.ts';
import { type Check, checks } from './doctor-check.ts';

/** PACKET_IGNORE_OUTGOING came with it. */
const OLDEST_KERNEL = [4, 20] as const;
/** As package.json says. */
const OLDEST_NODE = [20, 19] as const;
const MIB = 2 ** 20;
/** A file-backed transmit buffer as large as the default, twice: for two VMs. */
const ROOM_BYTES = 2 * (DEFAULT_LIMITS.limitBytes + DEFAULT_LIMITS.sealReserveBytes);
/** What an XDP port pins for its frames. */
const PINNED_BYTES = 64 * MIB;
/** sockaddr_un takes so many bytes, and the zero that ends them. */
const SOCKET_PATH_BYTES = 107;
/** Reading them is a memory access, not a slow device's register. */
const FAST_CLOCKS = ['tsc', 'kvm-clock', 'arch_sys_counter', 'hyperv_clocksource_tsc_page', 'xen', 'vmware-clock'];

const { ok, warn, fail } = checks(null);

export function kernelVersionCheck(platform: string, release: string): Check {
  if (platform !== 'linux') return fail('kernel', `${platform} ${release}`, 'ports on network devices need Linux');
  if (isOlder(release, OLDEST_KERNEL))
    return fail('kernel', release, `Linux ${OLDEST_KERNEL.join('.')} or newer is needed`);
  return ok('kernel', `Linux ${release}`);
}

export function nodeVersionCheck(version: string): Check {
  if (isOlder(version, OLDEST_NODE))
    return fail('node', version, `Node.js ${OLDEST_NODE.join('.')} or newer is needed`);
  return ok('node', version);
}

function isOlder(version: string, [major, minor]: readonly [number, number]): boolean {
  const [a = 0, b = 0] = (/\d+(?:\.\d+)?/.exec(version)?.[0] ?? '').split('.').map(Number);
  return a < major || (a === major && b < minor);
}

export function koffiCheck(): Check {
  try {
    return ok('koffi', libc().koffi.version);
  } catch (error) {
    return fail('koffi', (error as Error).message, 'npm ci, with install scripts allowed for koffi');
  }
}

/** What only `pcap` ports need. */
export function optionalChecks(): Check[] {
  return [libpcapCheck(), capCheck()];
}

function capCheck(): Check {
  try {
    createRequire(import.meta.url).resolve('cap');
    return ok('cap', 'installed');
  } catch {
    return warn('cap', 'not installed', 'only pcap ports need it: npm install cap');
  }
}

function libpcapCheck(): Check {
  for (const file of ['libpcap.so.1', 'libpcap.so.0.8', 'libpcap.so']) {
    try {
      return ok('libpcap', libc().koffi.load(file).func('const char *pcap_lib_version()')());
    } catch {
      // Under another name, or not there.
    }
  }
  return warn('libpcap', 'not installed', "only pcap ports need it: Debian's package libpcap-dev");
}

/** @param folders where programs are looked for */
export function toolChecks(folders: readonly string[]): Check[] {
  const uses = { ip: 'making and plumbing devices', tc: 'looking at ingress drops', nft: 'comparing rules' };
  return Object.entries(uses).map(([name, use]) => {
    const folder = folders.find((one) => existsSync(`${one}/${name}`));
    if (folder !== undefined) return ok(name, `${folder}/${name}`);
    return warn(
      name,
      'not installed',
      `the gateway runs without; for ${use} install ${name === 'nft' ? 'nftables' : 'iproute2'}`,
    );
  });
}

/** @param limits as /proc/self/limits has them */
export function memlockCheck(limits: string | null): Check {
  const soft = /^Max locked memory\s+(\S+)/m.exec(limits ?? '')?.[1];
  if (soft === undefined) return warn('memlock', 'not known', 'see ulimit -l');
  if (soft === 'unlimited') return ok('memlock', soft);
  const found = `${Math.floor(Number(soft) / 1024)} KiB`;
  if (Number(soft) >= PINNED_BYTES) return ok('memlock', found);
  return warn('memlock', found, 'only xdp ports need more: ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit');
}

/** Where the socket of the host interface and the state folder are by default. */
export function folderChecks(control: string | null = defaultControl()): Check[] {
  if (control === null) {
    return [warn('control', 'this user has no default place', 'give one: holdfast run --control SOCKET')];
  }
  return [controlCheck(control), stateCheck(stateBeside(control))];
}

function controlCheck(control: string): Check {
  if (Buffer.byteLength(control) > SOCKET_PATH_BYTES) {
    return fail('control', `${control} is too long for a socket`, `${SOCKET_PATH_BYTES} bytes at the most`);
  }
  if (existsSync(control)) return ok('control', `${control} is there: a gateway runs, or was killed`);
  const problem = whyNotWritable(dirname(control));
  if (problem === null) return ok('control', `${control} can be made`);
  return fail('control', problem, 'run as root, or give another place: holdfast run --control SOCKET');
}

function stateCheck(state: string): Check {
  const problem = whyNotWritable(state);
  if (problem !== null)
    return fail('state', problem, 'run as root, or give another place: holdfast run --state FOLDER');
  const free = freeBytes(nearestThere(state));
  if (free >= ROOM_BYTES) return ok('state', `${state}: ${mib(free)} free`);
  return warn('state', `${state}: only ${mib(free)} free`, 'file-backed transmit buffers need more: --state FOLDER');
}

export function shmCheck(): Check {
  if (!existsSync('/dev/shm')) return warn('shm', 'there is no /dev/shm', 'mount -t tmpfs tmpfs /dev/shm');
  const free = freeBytes('/dev/shm');
  if (free >= ROOM_BYTES) return ok('shm', `/dev/shm: ${mib(free)} free`);
  return warn(
    'shm',
    `/dev/shm: only ${mib(free)} free`,
    'mount -o remount,size=256M /dev/shm; in containers --shm-size',
  );
}

/** @param source as /sys names it */
export function clockCheck(source: string | null): Check {
  if (source === null) return warn('clocksource', 'not known', 'frames need a time each: see dmesg for the clock');
  if (FAST_CLOCKS.includes(source)) return ok('clocksource', source);
  return warn(
    'clocksource',
    `${source} is slow to read`,
    'each batch of frames asks it: boot with clocksource=tsc if that is stable',
  );
}

/** Settings under which the kernel forwards by itself what ports read. */
export function forwardingCheck(ip4: string | null, ip6: string | null, drop: Check | undefined): Check {
  const on = [ip4 === '1' ? ['IPv4'] : [], ip6 === '1' ? ['IPv6'] : []].flat().join(' and ');
  if (on === '') return ok('forwarding', 'the kernel forwards nothing');
  if (drop?.level === 'ok')
    return ok('forwarding', `the kernel forwards ${on}; ports drop what they read before it does`);
  return warn(
    'forwarding',
    `the kernel forwards ${on}, and whether ports can keep it from that is not known`,
    'unless it is needed: sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0',
  );
}

/** @param settings of bridge-nf-call-*, by name; null: not there */
export function bridgeCheck(settings: Readonly<Record<string, string | null>>): Check {
  const on = Object.entries(settings).flatMap(([name, value]) => (value === '1' ? [`net.bridge.${name}`] : []));
  if (on.length === 0) return ok('bridge-netfilter', 'frames in bridges pass no packet filter');
  const advice = `where the outside port is in a bridge, rules for the host's own packets (Docker's policy is DROP) drop frames: sysctl -w ${on.map((name) => `${name}=0`).join(' ')}`;
  return warn('bridge-netfilter', 'frames in bridges pass packet filters', advice);
}

/** @returns why no file can be made in the folder, which may have to be made too */
function whyNotWritable(folder: string): string | null {
  const there = nearestThere(folder);
  if (!statSync(there).isDirectory()) return `${there} is no folder`;
  try {
    accessSync(there, constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    return `${there}: ${(error as NodeJS.ErrnoException).code}`;
  }
}

function nearestThere(path: string): string {
  let at = resolve(path);
  while (!existsSync(at)) at = dirname(at);
  return at;
}

function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}

function mib(bytes: number): string {
  return `${Math.floor(bytes / MIB)} MiB`;
}

/** @returns a file's text without the line feed at its end, null where it cannot be read */
export function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trimEnd();
  } catch {
    return null;
  }
}

import { closeSync, openSync } from 'node:fs';
import { CAPABILITY, type CapabilitySets, hasCapability } from '../capabilities.ts';
import { IngressDrop } from '../port/ingress-drop.ts';
import { errnoName, libc, NativeMemory } from '../port/libc.ts';
import { type Check, checks } from './doctor-check.ts';

const AF = { packet: 17, xdp: 44 } as const;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const O_RDWR_CLOEXEC = 2 | 0o2000000;
const CLONE_NEWNET = 0x40000000;
/** Of `lo`, which every network namespace has. */
const LOOPBACK_INDEX = 1;
/** linux/if_tun.h */
const TUNGETFEATURES = 0x800454cf;
const PERMISSIONS = ['EPERM', 'EACCES'];

const { ok, warn, fail } = checks(null);

/** What the kernel must be able to do for ports on network devices: each is tried, and nothing stays changed. */
export function kernelChecks(sets: CapabilitySets, wantsPorts: boolean): Check[] {
  // Where no device was named, stream ports alone may be wanted.
  const lacking = wantsPorts ? fail : warn;
  return [capabilityCheck(sets, lacking), packetSocketCheck(lacking), ingressDropCheck(sets), tunCheck(), xdpCheck()];
}

function capabilityCheck(sets: CapabilitySets, lacking: typeof fail): Check {
  const missing = [
    hasCapability(sets, CAPABILITY.netRaw) ? [] : ['CAP_NET_RAW'],
    hasCapability(sets, CAPABILITY.netAdmin) ? [] : ['CAP_NET_ADMIN'],
  ].flat();
  if (missing.length === 0) return ok('capabilities', 'CAP_NET_RAW and CAP_NET_ADMIN');
  return lacking(
    'capabilities',
    `without ${missing.join(' and ')}`,
    'run as root, or use stream ports, which need none',
  );
}

function packetSocketCheck(lacking: typeof fail): Check {
  const errno = tried(AF.packet);
  if (errno === null) return ok('packet-socket', 'AF_PACKET sockets open');
  if (PERMISSIONS.includes(errno)) return lacking('packet-socket', `not allowed (${errno})`, 'run as root');
  return fail('packet-socket', `AF_PACKET: ${errno}`, 'the kernel needs CONFIG_PACKET');
}

/** In a network namespace of its own, which goes with the try. */
function ingressDropCheck(sets: CapabilitySets): Check {
  const name = 'ingress-drop';
  if (!hasCapability(sets, CAPABILITY.sysAdmin) || !hasCapability(sets, CAPABILITY.netAdmin)) {
    return warn(name, 'not tried: that needs a network namespace (CAP_SYS_ADMIN)', 'run this as root once');
  }
  const c = libc().koffi.load(null);
  const unshare = c.func('int unshare(int)');
  const setns = c.func('int setns(int, int)');
  const home = openSync('/proc/thread-self/ns/net', 'r');
  if (unshare(CLONE_NEWNET) !== 0) {
    const errno = errnoName(libc().errno());
    closeSync(home);
    return warn(name, `not tried: no network namespace (${errno})`, 'the kernel needs CONFIG_NET_NS');
  }
  const problem = ingressDropProblem();
  const isBack = setns(home, CLONE_NEWNET) === 0;
  closeSync(home);
  // What is looked at next would be looked at in the wrong place.
  if (!isBack) throw new Error('cannot go back to the network namespace');
  if (problem === null) return ok(name, 'clsact and classic BPF keep the kernel from forwarding what ports read');
  return fail(name, problem, 'the kernel needs CONFIG_NET_CLS_ACT, NET_SCH_INGRESS and NET_CLS_BPF');
}

function ingressDropProblem(): string | null {
  try {
    new IngressDrop(LOOPBACK_INDEX).remove();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

function tunCheck(): Check {
  const c = libc();
  const fd = c.open('/dev/net/tun', O_RDWR_CLOEXEC);
  if (fd < 0) {
    const errno = errnoName(c.errno());
    return warn(
      'tun',
      `/dev/net/tun: ${errno}`,
      'only tap ports need it: modprobe tun; in containers, pass the device on',
    );
  }
  try {
    const answered = c.ioctl(fd, TUNGETFEATURES, new NativeMemory(4).address) === 0;
    return answered ? ok('tun', '/dev/net/tun opens') : warn('tun', '/dev/net/tun is no tun device', 'modprobe tun');
  } finally {
    c.close(fd);
  }
}

function xdpCheck(): Check {
  const errno = tried(AF.xdp);
  if (errno === null) return ok('xdp', 'AF_XDP sockets open');
  const advice = 'only xdp ports need it: the kernel needs CONFIG_XDP_SOCKETS';
  return PERMISSIONS.includes(errno)
    ? warn('xdp', `not tried: not allowed (${errno})`, 'run this as root once; only xdp ports need it')
    : warn('xdp', `AF_XDP: ${errno}`, advice);
}

/** @returns why such a socket does not open, null if it does */
function tried(domain: number): string | null {
  const c = libc();
  const fd = c.socket(domain, SOCK_RAW_CLOEXEC, 0);
  if (fd < 0) return errnoName(c.errno());
  c.close(fd);
  return null;
}

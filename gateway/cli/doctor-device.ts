import { readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { type EthtoolInfo, type Offload, readEthtool } from '../port/ethtool.ts';
import { countAddresses, findNetdev, type Netdev } from '../port/netdev.ts';
import { type Check, checks } from './doctor-check.ts';

/** What `packet` ports make of each, where it is on. */
const OFFLOAD_TEXTS: Readonly<Record<Offload, string>> = {
  rx: 'checksums are verified by the device',
  tx: 'unfinished checksums are carried along, or completed',
  sg: 'scatter-gather',
  tso: 'super-frames are carried along',
  gso: 'super-frames are carried along',
  gro: 'super-frames are carried along',
  lro: 'the borders of what was merged are lost',
  rxvlan: 'stripped tags are put back',
  txvlan: 'tags may be put in by the device',
};

/** What is known of a device that shall be a port. */
export interface DeviceFacts {
  readonly netdev: Netdev;
  readonly addresses: number;
  /** The bridge's or bond's name, or null. */
  readonly master: string | null;
  readonly ethtool: EthtoolInfo;
  /** As /proc/sys has it; null: this kernel has no IPv6. */
  readonly disableIpv6: string | null;
}

/** @returns null where there is no such device */
export function deviceFacts(name: string): DeviceFacts | null {
  const netdev = findNetdev(name);
  if (netdev === null) return null;
  return {
    netdev,
    addresses: countAddresses(netdev.index),
    master: netdev.master === 0 ? null : masterOf(name, netdev.master),
    ethtool: readEthtool(name),
    disableIpv6: readOrNull(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`),
  };
}

/** @param others MTUs of the other devices that were asked about, by name */
export function deviceChecks(name: string, facts: DeviceFacts | null, others: ReadonlyMap<string, number>): Check[] {
  const { ok, warn, fail } = checks(name);
  if (facts === null) {
    return [fail('device', 'there is none', 'look at its name (ip link), or make it: a port waits for it')];
  }
  const { netdev, addresses, master, ethtool, disableIpv6 } = facts;
  const different = [...others].find(([, mtu]) => mtu !== netdev.mtu);
  return [
    netdev.isEthernet
      ? ok('device', `Ethernet, ${ethtool.driver ?? 'driver not known'}`)
      : fail('device', 'not Ethernet', 'a packet port needs a device with Ethernet frames'),
    netdev.isUp
      ? ok('link', 'up')
      : warn('link', 'down', `ip link set ${name} up, and look at what it is connected to`),
    master === null
      ? ok('master', 'none')
      : fail('master', `belongs to ${master}`, `take it out: ip link set ${name} nomaster`),
    addresses === 0
      ? ok('addresses', 'none')
      : fail(
          'addresses',
          `${addresses}, and a port may have none`,
          `if the host can do without: ip addr flush dev ${name}`,
        ),
    different === undefined
      ? ok('mtu', String(netdev.mtu))
      : warn(
          'mtu',
          `${netdev.mtu}, but ${different[0]} has ${different[1]}`,
          'longer frames than the smaller one allows are dropped: give both the same (ip link set DEVICE mtu N)',
        ),
    disableIpv6 === null || disableIpv6 === '1'
      ? ok('ipv6', 'the kernel speaks none on it')
      : ok('ipv6', 'the kernel speaks it; a port switches that off while it is open'),
    ...Object.entries(ethtool.offloads).map(([offload, on]) => offloadCheck(name, offload as Offload, on)),
  ];
}

function offloadCheck(name: string, offload: Offload, on: boolean | null): Check {
  const { ok, warn } = checks(name);
  const what = `offload-${offload}`;
  if (on === null) return ok(what, 'not known of this device');
  if (!on) return ok(what, 'off');
  if (offload !== 'lro') return ok(what, `on: ${OFFLOAD_TEXTS[offload]}`);
  return warn(
    what,
    `on: ${OFFLOAD_TEXTS[offload]}`,
    `what is forwarded must not be merged so: ethtool -K ${name} lro off`,
  );
}

function masterOf(name: string, index: number): string {
  try {
    return basename(readlinkSync(`/sys/class/net/${name}/master`));
  } catch {
    return `the device with index ${index}`;
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

import { readFileSync, writeFileSync } from 'node:fs';
import { ERRNO } from './libc.ts';
import { attributes, joined, NetlinkError, NLM, netlinkRequest, readAttributes, u32, zeroEnded } from './netlink.ts';
import { PortError } from './port-error.ts';

const RTM = { newLink: 16, getLink: 18, getAddress: 22 } as const;
const IFLA = { name: 3, mtu: 4, master: 10, stats64: 23 } as const;
/** In struct rtnl_link_stats64. */
const TX_DROPPED_AT = 56;
const IFF = { up: 1, lowerUp: 0x10000 } as const;
const AF_INET6 = 10;
const RT_SCOPE_LINK = 253;
const ARPHRD_ETHER = 1;
/** Links whose frames are IP packets and nothing else: PPP's, RAWIP, and NONE, which tun and WireGuard say. */
const ARPHRD_IP: readonly number[] = [512, 519, 0xfffe];
/** A device's name has up to 15 bytes, no space and no slash (dev_valid_name). */
const NAME = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;

/** What the kernel says of a network device. */
export interface Netdev {
  readonly index: number;
  readonly isEthernet: boolean;
  /** Its frames are IP packets without a link header. */
  readonly isIp: boolean;
  /** Administratively up, and it has a carrier. */
  readonly isUp: boolean;
  readonly mtu: number;
  /** Index of the bridge or bond that it belongs to, 0 for none. */
  readonly master: number;
  /** Frames that the device should have sent and has dropped, since it exists. */
  readonly txDropped: number;
}

export function isNetdevName(name: string): boolean {
  return NAME.test(name);
}

/** @returns the device of that name in this process's network namespace, null where there is none */
export function findNetdev(name: string): Netdev | null {
  let answers: Uint8Array[];
  try {
    answers = netlinkRequest(RTM.getLink, 0, joined(new Uint8Array(16), attributes([IFLA.name, zeroEnded(name)])));
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === ERRNO.ENODEV) return null;
    throw error;
  }
  const body = answers[0]!;
  const view = viewOf(body);
  const found = readAttributes(body, 16);
  const flags = view.getUint32(8, true);
  return {
    index: view.getInt32(4, true),
    isEthernet: view.getUint16(2, true) === ARPHRD_ETHER,
    isIp: ARPHRD_IP.includes(view.getUint16(2, true)),
    isUp: (flags & IFF.up) !== 0 && (flags & IFF.lowerUp) !== 0,
    mtu: number(found.get(IFLA.mtu)),
    master: number(found.get(IFLA.master)),
    txDropped: Number(viewOf(found.get(IFLA.stats64)!).getBigUint64(TX_DROPPED_AT, true)),
  };
}

/** @returns how many addresses the device has, IPv6 link-local ones aside, which the kernel makes by itself */
export function countAddresses(index: number): number {
  const answers = netlinkRequest(RTM.getAddress, NLM.dump, new Uint8Array(8));
  return answers.filter((body) => {
    const isAutomatic = body[0] === AF_INET6 && body[3] === RT_SCOPE_LINK;
    return viewOf(body).getUint32(4, true) === index && !isAutomatic;
  }).length;
}

/** Sets the device up, and its MTU if one is given. @throws NetlinkError */
export function setNetdevUp(index: number, mtu: number | null): void {
  const body = new Uint8Array(16);
  const view = viewOf(body);
  view.setInt32(4, index, true);
  view.setUint32(8, IFF.up, true);
  view.setUint32(12, IFF.up, true);
  netlinkRequest(RTM.newLink, 0, mtu === null ? body : joined(body, attributes([IFLA.mtu, u32(mtu)])));
}

/**
 * Keeps the kernel from speaking IPv6 on the device, or lets it again.
 * @returns what was set before, null where the kernel has no IPv6
 * @throws PortError
 */
export function setIpv6Disabled(name: string, value: string): string | null {
  const path = `/proc/sys/net/ipv6/conf/${name}/disable_ipv6`;
  try {
    const before = readFileSync(path, 'utf8').trim();
    if (before !== value) writeFileSync(path, value);
    return before;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw new PortError(
      'not-permitted',
      `${path}: ${code}: a port must keep the kernel from speaking IPv6 on its device`,
    );
  }
}

function number(value: Uint8Array | undefined): number {
  return value === undefined ? 0 : viewOf(value).getUint32(0, true);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

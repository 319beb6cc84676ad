import { BridgeError } from './bridge-error.ts';
import type { Commands } from './commands.ts';
import { type PortSettings, portSettings } from './port-settings.ts';

/** A network device, as `ip -d -j link` shows it. */
export interface Link {
  readonly name: string;
  readonly index: number;
  readonly isEthernet: boolean;
  /** `tun`, `veth`, `bridge` …; null for hardware. */
  readonly kind: string | null;
  /** Administratively up. */
  readonly isUp: boolean;
  readonly hasCarrier: boolean;
  readonly mtu: number;
  readonly mac: string;
  /** The bridge, bond, switch … that it belongs to. */
  readonly master: string | null;
  /** The other end of a veth pair, where it is in the same namespace. */
  readonly peer: string | null;
  /** Null for what is in no bridge. */
  readonly port: PortSettings | null;
  /** Of a bridge's port: `forwarding`, `blocking` … */
  readonly portState: string | null;
  /** For a bridge: whether it speaks the spanning tree protocol. */
  readonly hasStp: boolean;
}

export type Links = ReadonlyMap<string, Link>;

/** @returns all devices of this process's network namespace, by name, and by their other names too */
export function readLinks(commands: Commands): Links {
  const rows = commands.ask('ip', '-d', '-j', 'link', 'show');
  if (!Array.isArray(rows)) throw new BridgeError('command-failed', 'ip -d -j link show: it prints no list');
  const links = new Map<string, Link>();
  for (const row of rows as Row[]) {
    if (typeof row.ifname !== 'string') continue;
    const link = linkOf(row);
    for (const name of [row.ifname, ...(row.altnames ?? [])]) links.set(name, link);
  }
  return links;
}

/** @throws BridgeError `no-device` */
export function linkNamed(links: Links, name: string): Link {
  const link = links.get(name);
  if (link === undefined) throw new BridgeError('no-device', `there is no network device ${name}`);
  return link;
}

interface Row {
  readonly ifname?: string;
  readonly altnames?: readonly string[];
  readonly ifindex: number;
  readonly link?: string;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly master?: string;
  readonly link_type: string;
  readonly address: string;
  readonly linkinfo?: {
    readonly info_kind?: string;
    readonly info_data?: { readonly stp_state?: number };
    readonly info_slave_kind?: string;
    readonly info_slave_data?: Record<string, unknown>;
  };
}

function linkOf(row: Row): Link {
  const { linkinfo } = row;
  const slave = linkinfo?.info_slave_kind === 'bridge' ? linkinfo.info_slave_data : undefined;
  return {
    name: row.ifname!,
    index: row.ifindex,
    isEthernet: row.link_type === 'ether',
    kind: linkinfo?.info_kind ?? null,
    isUp: row.flags.includes('UP'),
    hasCarrier: row.flags.includes('LOWER_UP'),
    mtu: row.mtu,
    mac: row.address,
    master: row.master ?? null,
    peer: row.link ?? null,
    port: slave === undefined ? null : portSettings(slave),
    portState: typeof slave?.state === 'string' ? slave.state : null,
    hasStp: (linkinfo?.info_data?.stp_state ?? 0) !== 0,
  };
}

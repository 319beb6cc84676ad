import { randomBytes } from 'node:crypto';
import { BridgeError } from './bridge-error.ts';
import { readIngress } from './ingress.ts';
import { type Journal, ownNetns } from './journal.ts';
import { type Link, type Links, linkNamed } from './link.ts';
import { pairNames } from './names.ts';
import { readOffloads } from './offloads.ts';
import { type BridgeParts, ipv6Path, stateSetByHand } from './parts.ts';
import { NO_ENTRIES, readPortEntries } from './port-entries.ts';

/** What shall be done to which tap. */
export interface AttachRequest {
  readonly tap: string;
  readonly bridge: string;
  /** `off` for ports that cannot carry super-frames: ring and xdp. */
  readonly offloads: 'keep' | 'off';
}

/** Of hardware that is one device's alone, and high: a bridge takes the lowest address of its ports. */
const MAC_PREFIX = 'fe';
const KINDS: readonly (string | null)[] = ['tun', 'veth'];

/**
 * Looks whether the gateway can come between the tap and the bridge.
 * @returns the journal to begin with: how everything is now
 * @throws BridgeError; nothing has changed
 */
export function survey(parts: BridgeParts, links: Links, request: AttachRequest): Journal {
  const { commands } = parts;
  const tap = fitTap(parts, links, request);
  const bridge = linkNamed(links, request.bridge);
  const names = pairNames(tap.name);
  for (const name of Object.values(names)) {
    if (!links.has(name)) continue;
    throw new BridgeError('not-ours', `${name} exists, and not from holdfast: remove or rename it`);
  }
  const ingress = readIngress(commands, tap.name);
  const isHoldfasts = !ingress.isShared && ingress.ours.length + ingress.gateways.length > 0;
  return {
    phase: 'attaching',
    netns: ownNetns(),
    tap: tap.name,
    index: tap.index,
    tapMac: tap.mac,
    bridge: bridge.name,
    bridgeMac: bridge.mac,
    names,
    outsideMac: `${MAC_PREFIX}:${[...randomBytes(5)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`,
    offloads: request.offloads,
    before: {
      master: tap.master,
      disableIpv6: commands.read(ipv6Path(tap.name)),
      hasQdisc: ingress.hasQdisc && !isHoldfasts,
      offloads: request.offloads === 'off' ? readOffloads(commands, tap.name) : [],
      port: tap.port,
      portState: tap.master === null ? null : stateSetByHand(bridge, tap),
      entries: tap.master === null ? NO_ENTRIES : readPortEntries(commands, tap, bridge.name),
    },
  };
}

/** @throws BridgeError */
function fitTap({ commands }: BridgeParts, links: Links, request: AttachRequest): Link {
  const tap = linkNamed(links, request.tap);
  const bridge = linkNamed(links, request.bridge);
  const { name, master } = tap;
  for (const [link, asked] of [
    [tap, request.tap],
    [bridge, request.bridge],
  ] as const) {
    if (link.name !== asked)
      throw new BridgeError('wrong-device', `${asked} is another name of ${link.name}: use that`);
  }
  if (!tap.isEthernet || !KINDS.includes(tap.kind)) {
    const what = tap.isEthernet ? (tap.kind ?? 'a network card') : 'no Ethernet device';
    throw new BridgeError('wrong-device', `${name} is ${what}: expected a VM's tap, or a container's veth`);
  }
  if (bridge.kind !== 'bridge') throw new BridgeError('wrong-bridge', `${bridge.name} is no Linux bridge`);
  if (master !== null && master !== bridge.name) {
    const hint = links.get(master)?.kind === 'bridge' ? '' : ', which is no Linux bridge';
    throw new BridgeError('wrong-bridge', `${name} is in ${master}${hint}, not in ${bridge.name}`);
  }
  if (hasAddresses(commands.ask('ip', '-j', 'addr', 'show', 'dev', name))) {
    throw new BridgeError('in-use', `${name} has IP addresses: a port may have none (ip addr flush dev ${name})`);
  }
  for (const other of links.values()) {
    if (other.port?.backup_port !== name) continue;
    throw new BridgeError('in-use', `${name} is the backup port of ${other.name}, which would forget it`);
  }
  return tap;
}

/** @param shown what `ip -j addr show` prints; addresses that the kernel makes by itself aside */
function hasAddresses(shown: unknown): boolean {
  const rows = Array.isArray(shown) ? (shown as { readonly addr_info?: readonly Address[] }[]) : [];
  return rows
    .flatMap(({ addr_info: addresses }) => addresses ?? [])
    .some(({ family, scope }) => family !== undefined && !(family === 'inet6' && scope === 'link'));
}

interface Address {
  readonly family?: string;
  readonly scope?: string;
}

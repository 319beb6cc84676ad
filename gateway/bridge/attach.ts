import { BridgeError } from './bridge-error.ts';
import { detach } from './detach.ts';
import { dropIngress, type IngressState, readIngress } from './ingress.ts';
import type { Journal } from './journal.ts';
import { type Links, linkNamed, readLinks } from './link.ts';
import { readOffloads, switchOffloads } from './offloads.ts';
import { type BridgeParts, checkNetns, hasIpv6, hasPair, ipv6Path, record, setPortState } from './parts.ts';
import { applyPortEntries, NO_ENTRIES, readPortEntries } from './port-entries.ts';
import { applyPortSettings } from './port-settings.ts';
import { removeStandIn, standIn } from './stand-in.ts';
import { type AttachRequest, survey } from './survey.ts';

/** Where the gateway goes. */
export interface Attached {
  readonly tap: string;
  readonly bridge: string;
  readonly inside: string;
  readonly outside: string;
  readonly bridgePort: string;
  /** What has to be done besides. */
  readonly notes: readonly string[];
}

const NO_DROP: IngressState = { hasQdisc: false, isShared: false, ours: [], gateways: [] };

/**
 * Takes the tap out of the bridge and puts a pair of devices into it, between which and the tap the gateway goes. From the moment
 * when the tap leaves the bridge until a gateway runs, no frame passes. Every step looks first what is so already: where an
 * earlier call stopped half-way, this one goes on.
 * @throws BridgeError; what was done until then is undone by `detach`, or finished by another call
 */
export function attach(parts: BridgeParts, request: AttachRequest): Attached {
  const { commands, journals } = parts;
  const found = resumed(parts, request);
  const journal = found ?? survey(parts, readLinks(commands), request);
  if (found === null) record(parts, journal);
  const { tap, bridge, names } = journal;
  makePair(parts, journal);
  exchange(parts, journal);
  if (journal.phase !== 'attached') record({ commands, journals }, { ...journal, phase: 'attached' });
  const { isUp } = linkNamed(readLinks(commands), tap);
  const notes = isUp ? [] : [`${tap} is down, as it was: nothing passes until it is up (ip link set ${tap} up)`];
  return { tap, bridge, inside: tap, outside: names.outside, bridgePort: names.bridgePort, notes };
}

/** @returns what an earlier call began on this tap, null where it begins anew */
function resumed(parts: BridgeParts, { tap, bridge, offloads }: AttachRequest): Journal | null {
  const journal = parts.journals.read(tap);
  if (journal === null) return null;
  checkNetns(journal);
  const links = readLinks(parts.commands);
  if (journal.phase === 'detaching' || links.get(tap)?.index !== journal.index) {
    if (parts.commands.isDry)
      throw new BridgeError('busy', `a detach of ${tap} has to be finished first: holdfast bridge detach`);
    detach(parts, tap);
    return null;
  }
  if (journal.bridge !== bridge || journal.offloads !== offloads) {
    const how = `to ${journal.bridge} with --offloads ${journal.offloads}`;
    throw new BridgeError('in-use', `${tap} is attached ${how}: detach it first`);
  }
  const master = links.get(tap)?.master ?? null;
  if (master !== null && master !== journal.before.master) {
    throw new BridgeError(
      'wrong-bridge',
      `${tap} has been put into ${master}: take it out (ip link set ${tap} nomaster)`,
    );
  }
  return journal;
}

/** Both ends as a gateway and a bridge need them, and down. */
function makePair(parts: BridgeParts, journal: Journal): void {
  const { commands } = parts;
  const { names, outsideMac, before, tap, tapMac } = journal;
  const links = readLinks(commands);
  if (!hasPair(links, journal)) {
    const { mtu } = linkNamed(links, tap);
    // With the tap's address in its stead the bridge keeps its own, which is the lowest of its ports'.
    const portMac = before.master === null ? outsideMac.replace(/^../, 'fa') : tapMac;
    const end = (address: string) => ['address', address, 'mtu', String(mtu)];
    const peer = ['type', 'veth', 'peer', 'name', names.bridgePort, ...end(portMac)];
    commands.run('ip', 'link', 'add', 'name', names.outside, ...end(outsideMac), ...peer);
  }
  for (const name of [names.outside, names.bridgePort]) {
    switchIpv6Off(parts, name, links.has(name));
    const isThere = !commands.isDry || links.has(name);
    if (journal.offloads === 'off' && isThere) switchOffloads(commands, name, readOffloads(commands, name), false);
  }
  dropAt(parts, names.outside, links);
}

/** The tap becomes what a port can take, and the pair's one end what the tap was. */
function exchange(parts: BridgeParts, journal: Journal): void {
  const { commands } = parts;
  const { tap, bridge, names, before } = journal;
  const links = readLinks(commands);
  const link = linkNamed(links, tap);
  // Out of the bridge its frames would go to this machine itself.
  dropAt(parts, tap, links);
  switchIpv6Off(parts, tap, true);
  const isInBridge = link.master !== null;
  if (isInBridge) {
    standIn(parts, journal);
    commands.run('ip', 'link', 'set', 'dev', tap, 'nomaster');
  }
  if ((links.get(names.bridgePort)?.master ?? null) === null) {
    commands.run('ip', 'link', 'set', 'dev', names.bridgePort, 'master', bridge);
  }
  removeStandIn(parts, journal, isInBridge && links.get(bridge)?.mac === journal.tapMac);
  setUpPort(parts, journal);
  const isOn = new Set(before.offloads.length === 0 ? [] : readOffloads(commands, tap));
  const offloads = before.offloads.filter((name) => isOn.has(name));
  switchOffloads(commands, tap, offloads, false);
}

/** The pair's one end gets all that the tap had in the bridge, and then comes up. */
function setUpPort(parts: BridgeParts, { bridge, names, before }: Journal): void {
  const { commands } = parts;
  const { bridgePort } = names;
  const links = readLinks(commands);
  const port = links.get(bridgePort);
  if (before.port !== null) {
    applyPortSettings(commands, bridgePort, port?.port ?? null, before.port);
    const now = port === undefined ? NO_ENTRIES : readPortEntries(commands, port, bridge);
    applyPortEntries(commands, bridgePort, bridge, now, before.entries);
  }
  for (const name of [names.outside, bridgePort]) {
    if (links.get(name)?.isUp !== true) commands.run('ip', 'link', 'set', 'dev', name, 'up');
  }
  const { portState } = before;
  if (portState !== null && readLinks(commands).get(bridgePort)?.portState !== portState) {
    setPortState(parts, bridgePort, portState);
  }
}

function dropAt({ commands }: BridgeParts, device: string, links: Links): void {
  const isThere = !commands.isDry || links.has(device);
  dropIngress(commands, device, isThere ? readIngress(commands, device) : NO_DROP);
}

/** @param isThere false for a device that a dry run would have made */
function switchIpv6Off(parts: BridgeParts, device: string, isThere: boolean): void {
  const { commands } = parts;
  if (!hasIpv6(parts)) return;
  if (isThere && commands.read(ipv6Path(device)) === '1') return;
  commands.write(ipv6Path(device), '1');
}

import { BridgeError } from './bridge-error.ts';
import type { Journal } from './journal.ts';
import { type Links, readLinks } from './link.ts';
import type { BridgeParts } from './parts.ts';

/**
 * A bridge has the lowest address of its ports. Where that is the tap's, the bridge would change its own while the tap leaves and
 * the pair comes, or the other way, and those who know it would not reach the machine for a while. So a third device has the
 * address in the bridge meanwhile. It is down: no frame goes there.
 *
 * Why not both at a time: the one that comes shall have the port number of the one that goes, the lowest that is free.
 */
export function standIn({ commands }: BridgeParts, journal: Journal): void {
  const { bridge, tapMac, names } = journal;
  const links = readLinks(commands);
  if (links.get(bridge)?.mac !== tapMac) return;
  if (!hasStandIn(links, journal)) {
    const pair = ['address', tapMac, 'type', 'veth', 'peer', 'name', names.standInPeer];
    commands.run('ip', 'link', 'add', 'name', names.standIn, ...pair);
  }
  if ((links.get(names.standIn)?.master ?? null) === null) {
    commands.run('ip', 'link', 'set', 'dev', names.standIn, 'master', bridge);
  }
}

export function removeStandIn({ commands }: BridgeParts, journal: Journal, wasMade: boolean): void {
  const isThere = commands.isDry ? wasMade : hasStandIn(readLinks(commands), journal);
  if (isThere) commands.run('ip', 'link', 'del', 'dev', journal.names.standIn);
}

/** @throws BridgeError `not-ours` */
export function hasStandIn(links: Links, { names, tapMac, tap }: Journal): boolean {
  const link = links.get(names.standIn);
  if (link === undefined) return false;
  if (link.kind === 'veth' && link.mac === tapMac && link.peer === names.standInPeer) return true;
  throw new BridgeError('not-ours', `${link.name}: holdfast did not make it for ${tap}; remove or rename it`);
}

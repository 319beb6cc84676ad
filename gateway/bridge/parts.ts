import { BridgeError } from './bridge-error.ts';
import type { Commands } from './commands.ts';
import { type Journal, type Journals, ownNetns } from './journal.ts';
import type { Link, Links } from './link.ts';

export interface BridgeParts {
  readonly commands: Commands;
  readonly journals: Journals;
}

/** Numbers of the states that a bridge's port can be set to. */
const PORT_STATES = ['disabled', 'listening', 'learning', 'forwarding', 'blocking'];

export function record({ commands, journals }: BridgeParts, journal: Journal): void {
  if (!commands.isDry) journals.write(journal);
}

/** @throws BridgeError for a journal of devices that are not to be seen from here */
export function checkNetns({ netns, tap }: Journal): void {
  if (netns === ownNetns()) return;
  throw new BridgeError(
    'not-ours',
    `${tap} is attached in another network namespace (${netns}): go there, or name another --state`,
  );
}

/**
 * @returns whether the pair is there
 * @throws BridgeError `not-ours` for devices of these names that are not the pair that the journal speaks of
 */
export function hasPair(links: Links, { names, outsideMac, tap, bridge }: Journal): boolean {
  const [outside, port] = [links.get(names.outside), links.get(names.bridgePort)];
  if (outside === undefined && port === undefined) return false;
  const isOurs = outside?.kind === 'veth' && outside.mac === outsideMac && outside.peer === names.bridgePort;
  if (!isOurs || port === undefined) {
    const which = [outside, port].flatMap((link) => (link === undefined ? [] : [link.name])).join(' and ');
    throw new BridgeError(
      'not-ours',
      `${which}: this is not the pair that holdfast made for ${tap}; remove or rename it`,
    );
  }
  if (port.master !== null && port.master !== bridge) {
    throw new BridgeError('wrong-bridge', `${port.name} has been put into ${port.master}, it belongs into ${bridge}`);
  }
  return true;
}

export function ipv6Path(device: string): string {
  return `/proc/sys/net/ipv6/conf/${device}/disable_ipv6`;
}

export function hasIpv6({ commands }: BridgeParts): boolean {
  return commands.read(ipv6Path('all')) !== null;
}

/** @returns the state of a bridge's port where somebody has set it, and not the kernel; null else */
export function stateSetByHand(bridge: Link, { isUp, hasCarrier, portState }: Link): string | null {
  return bridge.hasStp || !isUp || !hasCarrier || portState === 'forwarding' ? null : portState;
}

export function setPortState({ commands }: BridgeParts, port: string, state: string): void {
  commands.run('ip', 'link', 'set', 'dev', port, 'type', 'bridge_slave', 'state', String(PORT_STATES.indexOf(state)));
}

import { BridgeError } from './bridge-error.ts';
import { readIngress, undropIngress } from './ingress.ts';
import type { Journal } from './journal.ts';
import { type Link, type Links, readLinks } from './link.ts';
import { pairNames } from './names.ts';
import { readOffloads, switchOffloads } from './offloads.ts';
import { type BridgeParts, checkNetns, hasPair, ipv6Path, record, setPortState } from './parts.ts';
import { applyPortEntries, readPortEntries } from './port-entries.ts';
import { applyPortSettings } from './port-settings.ts';
import { hasStandIn, removeStandIn, standIn } from './stand-in.ts';

export interface Detached {
  readonly tap: string;
  /** Where the tap is now; null where it is in none, or gone. */
  readonly bridge: string | null;
  /** False: there was nothing to undo. */
  readonly changed: boolean;
  /** What could not be as it was, because it is gone. */
  readonly notes: readonly string[];
}

const NO_MAC = '00:00:00:00:00:00';

/**
 * Undoes what `attach` did, in whatever state it is: the tap is again as it was, and where it was. Every step looks first what is
 * so already.
 * @throws BridgeError; what was undone until then stays undone, another call goes on
 */
export function detach(parts: BridgeParts, tap: string): Detached {
  const { commands, journals } = parts;
  const links = readLinks(commands);
  const journal = journals.read(tap);
  if (journal === null) {
    const others = Object.values(pairNames(tap)).filter((name) => links.has(name));
    if (others.length === 0) return { tap, bridge: links.get(tap)?.master ?? null, changed: false, notes: [] };
    const why = `there is no journal of ${tap} in ${journals.folder}`;
    throw new BridgeError('not-ours', `${others.join(' and ')}: not from holdfast, as far as is known here (${why})`);
  }
  checkNetns(journal);
  const found = links.get(tap);
  const link = found?.index === journal.index ? found : undefined;
  const bridge = bridgeFor(journal, links, link);
  const hadPair = hasPair(links, journal);
  const hadStandIn = hasStandIn(links, journal);
  if (journal.phase !== 'detaching') record(parts, { ...journal, phase: 'detaching' });

  const returns = link !== undefined && link.master === null && bridge !== null;
  if (returns && hadPair) standIn(parts, journal);
  if (hadPair) commands.run('ip', 'link', 'del', 'dev', journal.names.outside);
  if (returns) commands.run('ip', 'link', 'set', 'dev', tap, 'master', bridge.name);
  removeStandIn(parts, journal, hadStandIn || (returns && hadPair && bridge.mac === journal.tapMac));
  if (link !== undefined && bridge !== null) restorePort(parts, journal, bridge);
  if (link !== undefined) restoreTap(parts, journal);
  restoreBridgeMac(parts, journal);
  if (!commands.isDry) journals.remove(tap);
  return { tap, bridge: bridge?.name ?? null, changed: true, notes: notesOf(journal, found, link, bridge) };
}

/**
 * @returns the bridge that the tap goes back into; null where it was in none, or where that is gone
 * @throws BridgeError where the tap is somewhere else meanwhile
 */
function bridgeFor({ before, tap }: Journal, links: Links, link: Link | undefined): Link | null {
  const master = link?.master ?? null;
  if (master !== null && master !== before.master) {
    const was = before.master === null ? 'in no bridge' : `in ${before.master}`;
    const advice = `take it out (ip link set ${tap} nomaster), then detach`;
    throw new BridgeError('wrong-bridge', `${tap} is in ${master} now and was ${was}: ${advice}`);
  }
  const bridge = before.master === null ? undefined : links.get(before.master);
  return bridge?.kind === 'bridge' ? bridge : null;
}

function notesOf(
  { tap, before }: Journal,
  found: Link | undefined,
  link: Link | undefined,
  bridge: Link | null,
): string[] {
  if (link === undefined) {
    return [found === undefined ? `${tap} is gone` : `${tap} is another device now: it is left as it is`];
  }
  return before.master !== null && bridge === null ? [`${before.master} is gone: ${tap} is in no bridge`] : [];
}

function restorePort(parts: BridgeParts, { tap, before }: Journal, bridge: Link): void {
  const { commands } = parts;
  const now = readLinks(commands).get(tap)!;
  if (before.port !== null) applyPortSettings(commands, tap, now.port, before.port);
  applyPortEntries(commands, tap, bridge.name, readPortEntries(commands, now, bridge.name), before.entries);
  const { portState } = before;
  if (portState !== null && now.hasCarrier && now.portState !== portState) setPortState(parts, tap, portState);
}

function restoreTap({ commands }: BridgeParts, { tap, before }: Journal): void {
  if (before.offloads.length > 0) {
    const on = readOffloads(commands, tap);
    switchOffloads(
      commands,
      tap,
      before.offloads.filter((name) => !on.includes(name)),
      true,
    );
  }
  const { disableIpv6 } = before;
  if (disableIpv6 !== null && commands.read(ipv6Path(tap)) !== disableIpv6) commands.write(ipv6Path(tap), disableIpv6);
  // The last thing: from here on frames go the way that they went.
  undropIngress(commands, tap, readIngress(commands, tap), before.hasQdisc);
}

/** A bridge that has lost its last port has no address: an empty one had made itself one. */
function restoreBridgeMac({ commands }: BridgeParts, { bridge, bridgeMac }: Journal): void {
  const now = readLinks(commands).get(bridge);
  if (now?.kind === 'bridge' && now.mac === NO_MAC && bridgeMac !== NO_MAC) {
    commands.run('ip', 'link', 'set', 'dev', bridge, 'address', bridgeMac);
  }
}

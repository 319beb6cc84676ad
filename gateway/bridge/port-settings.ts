import type { Commands } from './commands.ts';

/** Settings of a device as a bridge's port, by their names in `ip link set DEV type bridge_slave`, as that takes them. */
export type PortSettings = Readonly<Record<string, string>>;

/** Names that `ip` shows and those that it takes, with what the kernel gives a new port. `cost` depends on the device. */
const SETTINGS: readonly (readonly [shown: string, name: string, initial: string])[] = [
  // First what keeps frames away.
  ['isolated', 'isolated', 'off'],
  ['locked', 'locked', 'off'],
  ['priority', 'priority', '32'],
  ['cost', 'cost', ''],
  ['hairpin', 'hairpin', 'off'],
  ['guard', 'guard', 'off'],
  ['root_block', 'root_block', 'off'],
  ['fastleave', 'fastleave', 'off'],
  ['learning', 'learning', 'on'],
  ['flood', 'flood', 'on'],
  ['proxy_arp', 'proxy_arp', 'off'],
  ['proxy_arp_wifi', 'proxy_arp_wifi', 'off'],
  ['multicast_router', 'mcast_router', '1'],
  ['mcast_flood', 'mcast_flood', 'on'],
  ['bcast_flood', 'bcast_flood', 'on'],
  ['mcast_to_unicast', 'mcast_to_unicast', 'off'],
  ['group_fwd_mask', 'group_fwd_mask', '0'],
  ['neigh_suppress', 'neigh_suppress', 'off'],
  ['neigh_vlan_suppress', 'neigh_vlan_suppress', 'off'],
  ['vlan_tunnel', 'vlan_tunnel', 'off'],
  ['mab', 'mab', 'off'],
  ['mcast_max_groups', 'mcast_max_groups', '0'],
  ['backup_port', 'backup_port', ''],
];
/** A port that hears a multicast router just now: nothing that was set, and it goes over by itself. */
const ROUTER_HEARD = '3';

/** @param shown `info_slave_data` of `ip -d -j link` */
export function portSettings(shown: Readonly<Record<string, unknown>>): PortSettings {
  const settings: Record<string, string> = {};
  for (const [key, name, initial] of SETTINGS) {
    const value = shown[key];
    if (typeof value === 'boolean') settings[name] = value ? 'on' : 'off';
    else if (typeof value === 'number' || typeof value === 'string') settings[name] = String(value);
    if (name === 'mcast_router' && settings[name] === ROUTER_HEARD) settings[name] = initial;
  }
  return settings;
}

/**
 * Gives the port these settings, one command for each that differs.
 * @param now what it has; null for a port that is only about to be one
 */
export function applyPortSettings(
  commands: Commands,
  port: string,
  now: PortSettings | null,
  wanted: PortSettings,
): void {
  for (const [, name, initial] of SETTINGS) {
    const value = wanted[name];
    const has = now === null ? initial : now[name];
    if (value === has || (value === undefined && now === null)) continue;
    if (value !== undefined) {
      commands.run('ip', 'link', 'set', 'dev', port, 'type', 'bridge_slave', name, value);
    } else if (name === 'backup_port') {
      commands.run('ip', 'link', 'set', 'dev', port, 'type', 'bridge_slave', 'nobackup_port');
    }
  }
}

import type { Commands } from './commands.ts';

/** What was added to a port of a bridge by hand, each as the words of the command `bridge` behind the device. */
export interface PortEntries {
  /** `vid 10-20 pvid untagged` of `bridge vlan add`. */
  readonly vlans: readonly string[];
  /** `MAC` and `master static vlan 3` of `bridge fdb`. */
  readonly fdb: readonly string[];
  /** `grp 239.1.1.1 permanent` of `bridge mdb add`. */
  readonly mdb: readonly string[];
}

export const NO_ENTRIES: PortEntries = { vlans: [], fdb: [], mdb: [] };
const VID = /^vid (\d+(?:-\d+)?)/;

/**
 * @param port in which bridge it is, and its own MAC address, which the bridge enters by itself
 * @returns what does not come and go by itself
 */
export function readPortEntries(commands: Commands, port: { name: string; mac: string }, bridge: string): PortEntries {
  const { name, mac } = port;
  return {
    vlans: vlansOf(commands.ask('bridge', '-j', 'vlan', 'show'), name),
    fdb: fdbOf(commands.ask('bridge', '-j', 'fdb', 'show', 'br', bridge), name, mac),
    mdb: mdbOf(commands.ask('bridge', '-d', '-j', 'mdb', 'show', 'dev', bridge), name),
  };
}

/** Gives the port what it should have, one command for each that differs. */
export function applyPortEntries(
  commands: Commands,
  port: string,
  bridge: string,
  now: PortEntries,
  wanted: PortEntries,
): void {
  // A range that comes in other pieces overlaps: what goes, goes first.
  for (const vlan of missing(wanted.vlans, now.vlans)) {
    commands.run('bridge', 'vlan', 'del', 'dev', port, 'vid', VID.exec(vlan)![1]!);
  }
  for (const vlan of missing(now.vlans, wanted.vlans)) {
    commands.run('bridge', 'vlan', 'add', 'dev', port, ...vlan.split(' '));
  }
  for (const entry of missing(now.fdb, wanted.fdb)) {
    const [mac, ...rest] = entry.split(' ') as [string, ...string[]];
    commands.run('bridge', 'fdb', 'replace', mac, 'dev', port, ...rest);
  }
  for (const entry of missing(now.mdb, wanted.mdb)) {
    commands.run('bridge', 'mdb', 'add', 'dev', bridge, 'port', port, ...entry.split(' '));
  }
}

/** @returns of `wanted`, those that `have` has not */
function missing(have: readonly string[], wanted: readonly string[]): string[] {
  return wanted.filter((one) => !have.includes(one));
}

/** @param shown what `bridge -j vlan show` prints: nothing in a kernel that cannot filter VLANs */
export function vlansOf(shown: unknown, port: string): string[] {
  const vlans = rows<VlanRow>(shown).find(({ ifname }) => ifname === port)?.vlans ?? [];
  return vlans.map(({ vlan, vlanEnd, flags = [] }) =>
    [
      `vid ${vlan}${vlanEnd === undefined ? '' : `-${vlanEnd}`}`,
      ...(flags.includes('PVID') ? ['pvid'] : []),
      ...(flags.includes('Egress Untagged') ? ['untagged'] : []),
    ].join(' '),
  );
}

/** @param shown what `bridge -j fdb show br BRIDGE` prints */
export function fdbOf(shown: unknown, port: string, ownMac: string): string[] {
  return rows<FdbRow>(shown)
    .filter(({ ifname, master, flags = [] }) => ifname === port && master !== undefined && !isLearned(flags))
    .filter(({ mac, state }) => mac !== ownMac && (state === 'static' || state === 'permanent'))
    .map(({ mac, state, vlan, flags = [] }) =>
      [
        mac,
        'master',
        state,
        ...(vlan === undefined ? [] : ['vlan', vlan]),
        ...(flags.includes('sticky') ? ['sticky'] : []),
      ].join(' '),
    );
}

/** Entered by a driver or another program, which keeps it itself. */
function isLearned(flags: readonly string[]): boolean {
  return flags.includes('extern_learn') || flags.includes('offload');
}

/** @param shown what `bridge -d -j mdb show dev BRIDGE` prints */
export function mdbOf(shown: unknown, port: string): string[] {
  return rows<MdbRow>(shown)
    .flatMap(({ mdb }) => mdb ?? [])
    .filter((entry) => entry.port === port && entry.state === 'permanent')
    .map(({ grp, src, vid }) =>
      [
        `grp ${grp}`,
        ...(src === undefined ? [] : [`src ${src}`]),
        'permanent',
        ...(vid === undefined ? [] : [`vid ${vid}`]),
      ].join(' '),
    );
}

interface VlanRow {
  readonly ifname: string;
  readonly vlans: readonly { readonly vlan: number; readonly vlanEnd?: number; readonly flags?: readonly string[] }[];
}

interface FdbRow {
  readonly mac: string;
  readonly ifname?: string;
  readonly master?: string;
  readonly state?: string;
  readonly vlan?: number;
  readonly flags?: readonly string[];
}

interface MdbRow {
  readonly mdb?: readonly {
    readonly port: string;
    readonly grp: string;
    readonly src?: string;
    readonly vid?: number;
    readonly state: string;
  }[];
}

function rows<T>(shown: unknown): readonly T[] {
  return Array.isArray(shown) ? shown : [];
}

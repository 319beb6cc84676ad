import { BridgeError } from './bridge-error.ts';
import type { Commands } from './commands.ts';

/** Work on frames that is left to the device, or to whoever gets them: super-frames, checksums, VLAN tags. */
const OFFLOAD =
  /^(tx-checksum-|tx-scatter-gather|tx-(tcp|udp|sctp|gre|ipxip|esp|gso)|rx-checksumming$|rx-gro|rx-udp-gro)/;
const OFFLOAD_NAMES = [
  'generic-segmentation-offload',
  'generic-receive-offload',
  'large-receive-offload',
  'rx-vlan-offload',
  'tx-vlan-offload',
];

/** @returns the device's offloads that are on and can be switched, by the names of `ethtool -K` */
export function readOffloads(commands: Commands, device: string): string[] {
  const shown = commands.ask('ethtool', '--json', '-k', device);
  const features = Array.isArray(shown) ? (shown[0] as Record<string, unknown>) : {};
  return Object.entries(features)
    .filter(([name]) => OFFLOAD.test(name) || OFFLOAD_NAMES.includes(name))
    .filter(([, value]) => isFeature(value) && value.fixed === false && value.requested === true)
    .map(([name]) => name);
}

/** Switches them, one by one, and reads back. @throws BridgeError `not-as-told` */
export function switchOffloads(commands: Commands, device: string, names: readonly string[], on: boolean): void {
  if (names.length === 0) return;
  // What others need comes first in the list: on before them, off after them.
  for (const name of on ? names : names.toReversed()) {
    try {
      commands.run('ethtool', '-K', device, name, on ? 'on' : 'off');
    } catch (error) {
      // Asked for what takes effect only later, as on a tap that nobody has open, ethtool says that it failed. So it is read back.
      if (!(error instanceof BridgeError && error.code === 'command-failed')) throw error;
    }
  }
  if (commands.isDry) return;
  const now = readOffloads(commands, device);
  const wrong = names.filter((name) => now.includes(name) !== on);
  if (wrong.length > 0) {
    const state = on ? 'on' : 'off';
    throw new BridgeError('not-as-told', `${device}: ${wrong.join(', ')} cannot be switched ${state}`);
  }
}

interface Feature {
  readonly fixed: boolean | null;
  readonly requested: boolean | null;
}

function isFeature(value: unknown): value is Feature {
  return typeof value === 'object' && value !== null && 'fixed' in value && 'requested' in value;
}

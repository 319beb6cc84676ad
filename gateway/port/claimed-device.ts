import { IngressDrop } from './ingress-drop.ts';
import { countAddresses, type Netdev, setIpv6Disabled } from './netdev.ts';
import { PortError } from './port-error.ts';

/** What a device's frames are. */
export type LinkKind = 'ethernet' | 'ip';

/**
 * A device that belongs to a port: fit for it, and made so that the kernel neither sends over it by itself nor does anything
 * with what comes in.
 */
export class ClaimedDevice {
  readonly #name: string;
  readonly #drop: IngressDrop;
  readonly #ipv6Before: string | null;

  /** @throws PortError; then nothing has changed */
  constructor(name: string, device: Netdev, kind: LinkKind) {
    if (kind === 'ethernet' && !device.isEthernet) {
      const hint = device.isIp ? ` (it carries IP packets: ip:${name})` : '';
      throw new PortError('not-ethernet', `${name} is not an Ethernet device${hint}`);
    }
    if (kind === 'ip' && !device.isIp) {
      throw new PortError('not-ip', `${name} is not a device for bare IP packets, as tun and WireGuard are`);
    }
    if (device.master !== 0) {
      throw new PortError(
        'enslaved',
        `${name} belongs to a bridge or bond: take it out (holdfast bridge attach, or ip link set ${name} nomaster)`,
      );
    }
    if (countAddresses(device.index) > 0) {
      throw new PortError(
        'has-addresses',
        `${name} has IP addresses: a port may have none (ip addr flush dev ${name})`,
      );
    }
    this.#name = name;
    this.#ipv6Before = setIpv6Disabled(name, '1');
    try {
      this.#drop = new IngressDrop(device.index);
    } catch (error) {
      this.#restoreIpv6();
      throw error;
    }
  }

  /**
   * Leaves the device as it was found.
   * @param isReplaced another device has its name now, with settings of its own
   */
  release(isReplaced: boolean): void {
    this.#drop.remove();
    if (!isReplaced) this.#restoreIpv6();
  }

  /** The device cannot be used after all: takes back what this claim changed, and no other one. */
  undo(): void {
    if (!this.#drop.wasThere) this.#drop.remove();
    this.#restoreIpv6();
  }

  #restoreIpv6(): void {
    if (this.#ipv6Before !== null && this.#ipv6Before !== '1') setIpv6Disabled(this.#name, this.#ipv6Before);
  }
}

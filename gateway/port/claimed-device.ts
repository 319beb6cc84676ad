import { IngressDrop } from './ingress-drop.ts';
import { countAddresses, type Netdev, setIpv6Disabled } from './netdev.ts';
import { PortError } from './port-error.ts';

/**
 * A device that belongs to a port: fit for it, and made so that the kernel neither sends over it by itself nor does anything
 * with what comes in.
 */
export class ClaimedDevice {
  readonly #name: string;
  readonly #drop: IngressDrop;
  readonly #ipv6Before: string | null;

  /** @throws PortError; then nothing has changed */
  constructor(name: string, device: Netdev) {
    if (!device.isEthernet) throw new PortError('not-ethernet', `${name} is not an Ethernet device`);
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

  #restoreIpv6(): void {
    if (this.#ipv6Before !== null && this.#ipv6Before !== '1') setIpv6Disabled(this.#name, this.#ipv6Before);
  }
}

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Authority, type CertificateFiles } from './certificates.ts';
import type { CliProcess } from './cli-process.ts';
import { VM_GUEST } from './guest.ts';
import { HOSTS, VmScene } from './vm-scene.ts';
import { Wire } from './wire.ts';

export interface Patience {
  /** Of the driver with its standby, and of the standby with its driver; of the gateway with both. As the command line takes them. */
  readonly patience: string;
  readonly silence: string;
  readonly lease: string;
}

/**
 * Two hosts with a gateway each, of which one protects its VM at the other over TLS, and a client's network that both are on. The link
 * between the hosts can be cut; what each sends to the network is recorded. Answers to pings pass as data, all else is held.
 */
export class TwoHosts {
  readonly scene: VmScene;
  readonly driver: () => CliProcess;
  readonly #folder = mkdtempSync(join(tmpdir(), 'holdfast-two-hosts-'));
  #deaf: 0 | 1 | null = null;
  #wires: readonly [Wire, Wire] | null = null;

  constructor({ patience, silence, lease }: Patience) {
    const authority = new Authority(join(this.#folder, 'authority'));
    const driver = authority.issue({ names: 'DNS:host0.example', usage: 'clientAuth' });
    const standby = authority.issue({ names: `IP:${HOSTS.ip4[1]}`, usage: 'serverAuth' });
    const tls = { host: HOSTS.ip4[1], port: 4600, ...driver, ca: authority.cert };
    const address = `tls:${tls.host}:${tls.port}`;
    const flags = ({ cert, key }: CertificateFiles) => [
      ...['--tls-cert', cert, '--tls-key', key, '--tls-ca', authority.cert],
    ];
    this.scene = new VmScene({
      rules: 'default',
      takesOver: true,
      standbyAt: { address: { tls }, flags: ['--listen', address, ...flags(standby), '--client', 'host0.example'] },
      standbyFlags: ['--silence', silence, '--unprotected'],
    });
    for (const device of ['host0', 'host1']) {
      // The network asks both hosts, so that one which does not know that it has lost its VM would answer, too.
      this.scene.network.run('ip', 'link', 'set', device, 'type', 'bridge_slave', 'learning', 'off');
    }
    this.driver = () =>
      this.scene.protectByCommand('--standby', address, ...flags(driver), '--patience', patience, '--lease', lease);
  }

  /** From now on pings go to the VM, and what the hosts send is recorded. */
  async watch(): Promise<void> {
    const { network } = this.scene;
    network.start('ping', '-i', '0.02', VM_GUEST.ip4);
    this.#wires = [await Wire.tap(network, 'host0', 'in'), await Wire.tap(network, 'host1', 'in')];
  }

  /** The hosts do not hear each other any more; the network hears both. */
  cut(): void {
    this.scene.hosts[0]!.run('ip', 'link', 'set', 'between', 'down');
  }

  /** One host hears nothing of the other any more, and is heard. @param deaf its number: the VM is on 0 at first */
  cutOneWay(deaf: 0 | 1): void {
    const chain = 'add chain netdev cut in { type filter hook ingress device "between" priority 0; policy drop; }';
    this.scene.hosts[deaf]!.run('nft', `add table netdev cut; ${chain}`);
    this.#deaf = deaf;
  }

  heal(): void {
    if (this.#deaf === null) this.scene.hosts[0]!.run('ip', 'link', 'set', 'between', 'up');
    else this.scene.hosts[this.#deaf]!.run('nft', 'delete table netdev cut');
    this.#deaf = null;
  }

  /** When each host has sent frames of the VM until now, seconds since 1970. Ends the recording. */
  async vmFrames(): Promise<[number[], number[]]> {
    const [one, other] = this.#wires!;
    return [await framesOf(one), await framesOf(other)];
  }

  async delete(): Promise<void> {
    await this.scene.delete();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function framesOf(wire: Wire): Promise<number[]> {
  const mac = VM_GUEST.mac.replaceAll(':', '');
  const frames = await wire.frames();
  return frames
    .filter(({ bytes }) => Buffer.from(bytes.subarray(6, 12)).toString('hex') === mac)
    .map(({ time }) => time);
}

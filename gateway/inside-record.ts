import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { VmConfig } from './config.ts';
import { PortError } from './port/port-error.ts';
import { type PortSpec, parsePortSpec, portSpecText } from './port/spec.ts';

/**
 * Remembers in a file behind which ports a VM is since its last failover: a gateway that is started anew must not hear the machine
 * that the VM left. It counts as long as the configuration is the one that the VM moved away from; without a file that is where the VM is.
 */
export class InsideRecord {
  readonly #path: string;
  readonly #configured: readonly PortSpec[];

  /** @param path of the file, which need not be there */
  constructor(path: string, { pairs }: VmConfig) {
    this.#path = path;
    this.#configured = pairs.map(({ inside }) => inside);
  }

  /** @returns the ports that the VM is behind, by pair; null: those of its configuration */
  read(): PortSpec[] | null {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
    const [configured, inForce = ''] = text.split('\n');
    if (configured !== textOf(this.#configured)) return null;
    return inForce.split(' ').map(parsePortSpec);
  }

  /**
   * Before a failover: should the process end in the middle of it, the old machine is not heard either.
   * @throws PortError `system`
   */
  write(inForce: readonly PortSpec[]): void {
    try {
      this.#write(textOf(inForce));
    } catch (error) {
      throw new PortError('system', `where the VM is cannot be written down: ${(error as Error).message}`);
    }
  }

  #write(inForce: string): void {
    const configured = textOf(this.#configured);
    if (inForce === configured) {
      rmSync(this.#path, { force: true });
      return;
    }
    // A file is there whole or not at all.
    const draft = `${this.#path}.new`;
    writeFileSync(draft, `${configured}\n${inForce}\n`, { mode: 0o600 });
    renameSync(draft, this.#path);
  }
}

function textOf(specs: readonly PortSpec[]): string {
  return specs.map(portSpecText).join(' ');
}

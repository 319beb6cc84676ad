import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Gateway } from '../../gateway/gateway.ts';
import { HostClient } from '../../gateway/host/client.ts';
import { DEFAULT_LIMITS } from '../../gateway/occupancy.ts';
import { parsePortSpec } from '../../gateway/port/spec.ts';

/** A whole gateway in this process, with one VM whose frames all pass. */
export class LocalGateway {
  readonly client: HostClient;
  readonly warnings: string[] = [];
  #gateway: Gateway | null = null;
  readonly #path: string;

  /** @param folder of its own; need not exist */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#path = folder;
    this.client = new HostClient({ path: join(folder, 'control'), client: 'test' });
  }

  /** The devices must be in this process's namespace, and stay there. */
  async open(inside: string, outside: string): Promise<this> {
    const at = (file: string) => join(this.#path, file);
    writeFileSync(at('pass.rules'), 'outbound { default pass }');
    const silent = { debug: () => {}, info: () => {}, error: () => {} };
    const log = { ...silent, warn: (_: object, message: string) => this.warnings.push(message) };
    const config = {
      control: at('control'),
      listen: [],
      stateDir: at('state'),
      metrics: null,
      log: { level: 'info', format: 'json' },
      vms: [
        {
          name: 'vm0',
          replicated: false,
          pairs: [{ inside: parsePortSpec(inside), outside: parsePortSpec(outside) }],
          rules: at('pass.rules'),
          limits: DEFAULT_LIMITS,
          buffer: 'memory',
          pacing: 'burst',
          overflow: 'drop',
          announce: [],
        },
      ],
    } as const;
    this.#gateway = await Gateway.open(config, { version: '1.2.3', log });
    return this;
  }

  async close(): Promise<void> {
    this.client.close();
    await this.#gateway?.close();
  }
}

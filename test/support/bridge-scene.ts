import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Commands, SystemCommands } from '../../gateway/bridge/commands.ts';
import { type Journal, Journals } from '../../gateway/bridge/journal.ts';
import type { BridgeParts } from '../../gateway/bridge/parts.ts';
import { Netns, until } from './netns.ts';

/** Counters and timers that run by themselves. */
const RUNNING = /_timer$|^fdb_n_learned$/;

/** A bridge in a namespace of its own, which this process is in; devices, journals, and what is so there. */
export class BridgeScene {
  readonly host: Netns;
  readonly folder = mkdtempSync(join(tmpdir(), 'holdfast-bridge-'));
  readonly #others: Netns[] = [];

  constructor(label: string) {
    this.host = new Netns(`${label}-host`);
    this.run('ip', 'link', 'add', 'br0', 'type', 'bridge');
    this.host.quietUp('br0');
    // With a port that is always up the bridge is up.
    this.host.veth('port0', this.host, 'far0');
    this.run('ip', 'link', 'set', 'port0', 'master', 'br0');
    this.host.enter();
  }

  run(program: string, ...parameters: readonly string[]): string {
    return this.host.run(program, ...parameters);
  }

  /** Another machine, on a port of the bridge: `eth0` there. */
  machine(label: string, port: string, ip: string): Netns {
    const machine = new Netns(label);
    this.#others.push(machine);
    this.host.veth(port, machine, 'eth0');
    this.run('ip', 'link', 'set', port, 'master', 'br0');
    machine.run('ip', 'addr', 'add', `${ip}/24`, 'dev', 'eth0');
    return machine;
  }

  parts(commands: Commands = new SystemCommands()): BridgeParts {
    return { commands, journals: new Journals(join(this.folder, 'state')) };
  }

  /** Everything of links, addresses, qdiscs, settings of the kernel and bridge ports that does not come and go by itself. */
  state(): unknown {
    const commands = new SystemCommands();
    const ask = (...words: readonly [string, ...string[]]) => commands.ask(words[0], ...words.slice(1));
    const names = (ask('ip', '-j', 'link', 'show') as { ifname: string }[]).map(({ ifname }) => ifname);
    return {
      links: steady(ask('ip', '-d', '-j', 'link', 'show')),
      addresses: addresses(ask('ip', '-j', 'addr', 'show')),
      qdiscs: ask('tc', '-j', 'qdisc', 'show'),
      ports: ask('bridge', '-d', '-j', 'link', 'show'),
      ...this.entries(),
      settings: lines(this.run('sysctl', '-a', '--pattern', '^net\\.ipv[46]\\.conf\\.')),
      offloads: names.filter((name) => name.startsWith('tap')).map((name) => this.run('ethtool', '-k', name)),
    };
  }

  /** What is set of ports of the bridge, by the names of devices. */
  entries() {
    const commands = new SystemCommands();
    const fdb = commands.ask('bridge', '-j', 'fdb', 'show') as { state: string; master?: string; mac: string }[];
    return {
      vlans: commands.ask('bridge', '-j', 'vlan', 'show'),
      fdb: fdb
        .filter(({ state, master }) => master !== undefined && ['static', 'permanent'].includes(state))
        .map(text)
        .sort(),
      mdb: lines(this.run('bridge', '-d', 'mdb', 'show')).filter((line) => line.includes('permanent')),
    };
  }

  /** @returns the state, once the kernel has looked at every link that came up, and given it the address that it gives by itself */
  async rest(): Promise<unknown> {
    type Link = { operstate: string; flags: string[]; ifname: string; addr_info: { family?: string }[] };
    const isOpen = ({ operstate, flags, ifname, addr_info }: Link) => {
      if (flags.includes('LOOPBACK') || !flags.includes('UP')) return false;
      if (operstate === 'UNKNOWN') return true;
      // This process is in the namespace.
      const hasIp6 = readFileSync(`/proc/sys/net/ipv6/conf/${ifname}/disable_ipv6`, 'latin1').trim() === '0';
      return hasIp6 && flags.includes('LOWER_UP') && !addr_info.some(({ family }) => family === 'inet6');
    };
    const links = (): Link[] => JSON.parse(this.run('ip', '-j', 'addr', 'show'));
    await until(() => !links().some(isOpen), 'the links to be up or down');
    return this.state();
  }

  delete(): void {
    for (const netns of [...this.#others, this.host]) netns.delete();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What a process that dies leaves: nothing of it happens after its last change. */
export class Dies extends Error {}

/** Changes are counted, and after one of them the process dies. */
export class MortalLife {
  changes = 0;
  readonly commands: Commands;
  readonly journals: Journals;

  /** @param most changes; infinite for a life without an end */
  constructor(folder: string, most: number) {
    const change = () => {
      this.changes++;
      if (this.changes >= most) throw new Dies(`after change ${most}`);
    };
    this.commands = new (class extends SystemCommands {
      override run(program: string, ...parameters: readonly string[]): void {
        super.run(program, ...parameters);
        change();
      }

      override write(path: string, value: string): void {
        super.write(path, value);
        change();
      }
    })();
    this.journals = new (class extends Journals {
      override write(journal: Journal): void {
        super.write(journal);
        change();
      }

      override remove(tap: string): void {
        super.remove(tap);
        change();
      }
    })(join(folder, 'state'));
  }
}

function text(value: unknown): string {
  return JSON.stringify(value);
}

function lines(output: string): string[] {
  return output.split('\n').sort();
}

function steady(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (key, inner) => (RUNNING.test(key) ? undefined : inner));
}

/** Addresses without what passes: how long they are valid, and whether they are still being looked for elsewhere. */
function addresses(rows: unknown): string[] {
  return (rows as { ifname: string; addr_info: { local: string }[] }[]).flatMap(({ ifname, addr_info }) =>
    addr_info.map(({ local }) => `${ifname} ${local}`),
  );
}

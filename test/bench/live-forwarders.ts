import { existsSync, mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { LiveScene } from '../support/live-scene.ts';
import type { Netns } from '../support/netns.ts';
import { startOvs } from './ovs.ts';
import { find } from './processes.ts';

/** Senders and receivers have the other one, where there are two. */
const FORWARDER_CORE = '1';
/** Classic BPF: return TC_ACT_SHOT. */
const DROP = '1,6 0 0 2';
const DEVICES = ['inside', 'outside'] as const;
/** Not a dependency: measured where somebody has installed it. */
const CAP: string = 'cap';

/** Something that moves frames between the gateway namespace's two devices. */
export interface Forwarder {
  /** Null: the kernel does it. */
  readonly pid: number | null;
  stop(): Promise<void>;
}

export interface ForwarderKind {
  readonly name: string;
  /** Why it cannot be measured here; null where it can. */
  readonly missing: string | null;
  start(scene: LiveScene): Promise<Forwarder>;
}

type Affixes = readonly [string, string];

/** The kernel's own bridge. */
export const bridge: ForwarderKind = {
  name: 'the kernel bridge',
  missing: null,
  async start({ gateway }) {
    gateway.run('ip', 'link', 'add', 'bridge', 'type', 'bridge', 'mcast_snooping', '0');
    gateway.quietUp('bridge');
    for (const device of DEVICES) gateway.run('ip', 'link', 'set', device, 'master', 'bridge');
    return {
      pid: null,
      async stop() {
        gateway.run('ip', 'link', 'del', 'bridge');
      },
    };
  },
};

/** A port's system calls in C; without a name the packet port's. */
export function cForwarder(program: string, name = 'C recvmmsg/sendmmsg', ...flags: readonly string[]): ForwarderKind {
  return {
    name,
    missing: null,
    async start({ gateway }) {
      return withDrop(gateway, [program, ...DEVICES, ...flags], 'ready');
    },
  };
}

/** Node with libpcap, through the package `cap`. */
export const nodeCap: ForwarderKind = {
  name: 'Node + cap',
  missing: capReason(),
  async start({ gateway }) {
    const program = fileURLToPath(new URL('cap-forward.ts', import.meta.url));
    return withDrop(gateway, [process.execPath, '--import', 'tsx', program, ...DEVICES], 'ready');
  },
};

/** Open vSwitch with its userspace datapath. */
export const ovs: ForwarderKind = {
  name: 'OVS userspace',
  missing: find('ovs-vswitchd') === null || find('ovsdb-server') === null ? 'Open vSwitch is not installed' : null,
  start: ({ gateway, folder }) => startOvs(gateway, `${folder}/ovs`, DEVICES, FORWARDER_CORE),
};

/** @param rules the text of a rule file, or null for the rules that come with it */
export function holdfast(rules: string | null, ...flags: string[]): ForwarderKind {
  return { ...holdfastOn(['', ''], rules, ...flags), name: 'holdfast' };
}

/** @param affixes what stands before and behind a device's name where it is given as a port: `['xdp:', ',busy-poll']` */
export function holdfastOn(affixes: Affixes, rules: string | null, ...flags: string[]): ForwarderKind {
  const [before, behind] = affixes;
  return {
    name: `holdfast, ${before.replace(':', '')}${behind}`,
    missing: null,
    async start(scene) {
      const own = rules === null ? [] : ['--rules', scene.file('bench.rules', rules)];
      // Another run's state would have it wait for the host.
      const state = mkdtempSync(`${scene.folder}/state-`);
      const ports = DEVICES.flatMap((device) => [`--${device}`, `${before}${device}${behind}`]);
      const running = scene.start(...ports, ...own, '--state', state, ...flags);
      await running.says('ready');
      pin(scene.gateway, running.pid);
      return {
        pid: running.pid,
        async stop() {
          const code = await running.stop();
          if (code !== 0) throw new Error(`holdfast ended with ${code}: ${running.stderr}`);
        },
      };
    },
  };
}

/** Rules with which a frame costs as little as it can. */
export const FORWARDING_ONLY = 'outbound { default pass }';

/** A program beside which the kernel does with the frames what it does beside the gateway: nothing. */
async function withDrop(gateway: Netns, command: readonly string[], ready: string): Promise<Forwarder> {
  for (const device of DEVICES) {
    gateway.run('tc', 'qdisc', 'add', 'dev', device, 'clsact');
    gateway.run('tc', 'filter', 'add', 'dev', device, 'ingress', 'bpf', 'da', 'bytecode', DROP);
  }
  const [program, ...parameters] = command;
  const running = gateway.start(program!, ...parameters);
  await running.says(ready);
  pin(gateway, running.child.pid!);
  return {
    pid: running.child.pid!,
    async stop() {
      await running.stop('SIGKILL');
      for (const device of DEVICES) gateway.run('tc', 'qdisc', 'del', 'dev', device, 'clsact');
    },
  };
}

function pin(netns: Netns, pid: number): void {
  if (existsSync('/sys/devices/system/cpu/cpu1')) netns.run('taskset', '-acp', FORWARDER_CORE, String(pid));
}

function capReason(): string | null {
  try {
    createRequire(import.meta.url)(CAP);
    return null;
  } catch {
    return 'the package cap is not installed';
  }
}

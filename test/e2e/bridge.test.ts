/** The gateway comes between a tap and a bridge, and goes again: with machines that talk meanwhile, and commands that die. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { attach } from '../../gateway/bridge/attach.ts';
import { BridgeError } from '../../gateway/bridge/bridge-error.ts';
import { SystemCommands } from '../../gateway/bridge/commands.ts';
import { detach } from '../../gateway/bridge/detach.ts';
import { Journals } from '../../gateway/bridge/journal.ts';
import { BridgeScene, Dies, MortalLife } from '../support/bridge-scene.ts';
import { leaveNetns, type Netns, noNetnsReason, type Program, until } from '../support/netns.ts';
import { HOLDFAST, holdfast } from '../support/run-cli.ts';

const reason = noNetnsReason('bridge', 'tc', 'ethtool', 'sysctl', 'ping');
const REQUEST = { tap: 'tap0', bridge: 'br0', offloads: 'keep' } as const;
const CYCLES = 20;

let scene: BridgeScene;

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  scene = new BridgeScene('bridge');
});
afterEach(() => {
  leaveNetns();
  scene?.delete();
});

const SETTINGS = [
  'priority',
  '5',
  'root_block',
  'on',
  'mcast_to_unicast',
  'on',
  'mcast_router',
  '2',
  'group_fwd_mask',
  '0x4000',
];

/** A VM behind `tap0` in the bridge, with settings of the port that are not the usual ones. */
function machineWithSettings(...settings: readonly string[]): Netns {
  const vm = scene.machine('bridge-vm', 'tap0', '10.78.0.1');
  scene.run('sysctl', '-qw', 'net.ipv6.conf.tap0.disable_ipv6=0');
  scene.run('ip', 'link', 'set', 'tap0', 'type', 'bridge_slave', 'cost', '77', ...settings);
  scene.run('bridge', 'fdb', 'add', '02:00:00:00:00:99', 'dev', 'tap0', 'master', 'static');
  scene.run('bridge', 'mdb', 'add', 'dev', 'br0', 'port', 'tap0', 'grp', '239.1.2.3', 'permanent');
  return vm;
}

/** @returns code and message of the BridgeError */
function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof BridgeError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'nothing was refused';
}

async function settlesTo(before: unknown): Promise<void> {
  // A gateway lets go of a device when it hears that a bridge has it, and a new address is no longer tentative in a moment.
  let state = scene.state();
  const isBefore = () => {
    if (isDeepStrictEqual(state, before)) return true;
    state = scene.state();
    return false;
  };
  await until(isBefore, 'the state before', 30_000).catch(() => {});
  expect(state).toEqual(before);
}

/** Echo requests without a pause. */
class Talk {
  readonly #program: Program;
  /** When answers came, in milliseconds. */
  readonly #times: number[] = [];
  #rest = '';

  constructor(from: Netns, to: string) {
    this.#program = from.start('ping', '-D', '-i', '0.01', '-s', '1200', to);
    this.#program.child.stdout!.on('data', (text) => {
      const lines = `${this.#rest}${text}`.split('\n');
      this.#rest = lines.pop()!;
      for (const line of lines) {
        const time = /^\[([\d.]+)\] \d+ bytes from/.exec(line)?.[1];
        if (time !== undefined) this.#times.push(1000 * Number(time));
      }
    });
  }

  /** Waits for answers that come from now on. */
  async goesOn(): Promise<void> {
    const start = Date.now();
    await until(() => (this.#times.at(-4) ?? 0) > start, 'answers');
  }

  /** @returns how many milliseconds at the most passed without an answer */
  async stop(): Promise<number> {
    await this.#program.stop();
    return Math.round(Math.max(...this.#times.slice(1).map((time, i) => time - this.#times[i]!)));
  }
}

describe('with traffic', () => {
  test(`attach and detach ${CYCLES} times: everything is as before, and everybody is reached`, {
    timeout: 180_000,
  }, async () => {
    const vm = machineWithSettings(...SETTINGS);
    const near = scene.machine('bridge-near', 'port1', '10.78.0.2');
    scene.machine('bridge-far', 'port2', '10.78.0.3');
    scene.run('ip', 'addr', 'add', '10.78.0.4/24', 'dev', 'br0');
    // The gateway is first: it waits until the tap has left the bridge.
    const run = ['run', '--inside', 'tap0', '--outside', 'hf-tap0', '--control', `${scene.folder}/control`];
    const gateway = scene.host.start(process.execPath, HOLDFAST, ...run);
    await gateway.says('belongs to a bridge', 60_000);
    const talks = [new Talk(vm, '10.78.0.3'), new Talk(near, '10.78.0.1')];
    const everybodyTalks = () => Promise.all(talks.map((talk) => talk.goesOn()));
    await everybodyTalks();
    const before = await scene.rest();
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      attach(scene.parts(), REQUEST);
      await everybodyTalks();
      const through = () => forwarded(scene.run('ip', '-s', '-j', 'link', 'show', 'hf-tap0'));
      await until(() => through() > 5, 'frames through the gateway');
      expect(detach(scene.parts(), 'tap0')).toEqual({ tap: 'tap0', bridge: 'br0', changed: true, notes: [] });
      await everybodyTalks();
      await settlesTo(before);
    }
    const gaps = await Promise.all(talks.map((talk) => talk.stop()));
    process.stdout.write(
      `longest time without an answer in ${CYCLES} attaches and detaches: ${gaps.join(' and ')} ms\n`,
    );
    expect(gateway.child.exitCode).toBeNull();
    await gateway.stop('SIGTERM');
    await settlesTo(before);
  });

  test('while no gateway runs nothing passes, and the machine itself answers nobody in its stead', {
    timeout: 180_000,
  }, async () => {
    const vm = machineWithSettings(...SETTINGS);
    const near = scene.machine('bridge-near', 'port1', '10.78.0.2');
    scene.run('ip', 'addr', 'add', '10.78.0.4/24', 'dev', 'br0');
    /** Whoever is to be reached has answered at last, and of the others not one answer comes. */
    const pings = (from: Netns, to: string, isReached: boolean) => {
      const howLong = isReached ? ['-c', '1', '-w', '30'] : ['-c', '3', '-i', '0.2', '-W', '1'];
      try {
        from.run('ping', ...howLong, to);
        return true;
      } catch {
        return false;
      }
    };
    const reached = (isPassing: boolean) => [
      pings(vm, '10.78.0.2', isPassing),
      pings(vm, '10.78.0.4', isPassing),
      pings(near, '10.78.0.1', isPassing),
      pings(near, '10.78.0.4', true),
    ];
    const before = await scene.rest();
    attach(scene.parts(), REQUEST);
    expect(reached(false)).toEqual([false, false, false, true]);
    const neighbour = near.run('ip', 'neigh', 'show', '10.78.0.4');
    expect(neighbour).toContain(scene.run('cat', '/sys/class/net/br0/address').trim());
    const run = ['run', '--inside', 'tap0', '--outside', 'hf-tap0', '--control', `${scene.folder}/control`];
    const gateway = scene.host.start(process.execPath, HOLDFAST, ...run);
    await gateway.says('ready', 60_000);
    expect(reached(true)).toEqual([true, true, true, true]);
    await gateway.stop('SIGTERM');
    expect(reached(false)).toEqual([false, false, false, true]);
    const killed = scene.host.start(process.execPath, HOLDFAST, ...run);
    await killed.says('ready', 60_000);
    await killed.stop('SIGKILL');
    detach(scene.parts(), 'tap0');
    expect(reached(true)).toEqual([true, true, true, true]);
    await settlesTo(before);
  });
});

describe('a command that dies', () => {
  /** A machine with a tap whose address is the bridge's, which takes the most steps. */
  function machineWithLowestAddress(): void {
    machineWithSettings();
    scene.run('sysctl', '-qw', 'net.ipv6.conf.tap0.disable_ipv6=1');
    scene.run('ip', 'link', 'set', 'tap0', 'address', '02:00:00:00:00:01');
    scene.run('sysctl', '-qw', 'net.ipv6.conf.tap0.disable_ipv6=0');
  }

  /** @returns how many changes it makes when it does not */
  function changesOf(work: (life: MortalLife) => void): number {
    const life = new MortalLife(scene.folder, Number.POSITIVE_INFINITY);
    work(life);
    return life.changes;
  }

  function dies(after: number, work: (life: MortalLife) => void): void {
    expect(() => work(new MortalLife(scene.folder, after))).toThrow(Dies);
  }

  test('attach, after any of its changes: repaired by attach, and by detach', { timeout: 180_000 }, async () => {
    machineWithLowestAddress();
    const before = await scene.rest();
    const changes = changesOf((life) => attach(life, REQUEST));
    const ports = await attachedPorts();
    detach(scene.parts(), 'tap0');
    expect(changes).toBeGreaterThan(15);
    for (let after = 1; after <= changes; after++) {
      dies(after, (life) => attach(life, REQUEST));
      attach(scene.parts(), REQUEST);
      expect(await attachedPorts(), `attached again after ${after}`).toEqual(ports);
      // What is done is not done again.
      expect(changesOf((life) => attach(life, REQUEST))).toBe(0);
      detach(scene.parts(), 'tap0');
      dies(after, (life) => attach(life, REQUEST));
      detach(scene.parts(), 'tap0');
      await settlesTo(before);
    }
  });

  test('detach, after any of its changes: repaired by detach, and by attach', { timeout: 180_000 }, async () => {
    machineWithLowestAddress();
    const before = await scene.rest();
    attach(scene.parts(), REQUEST);
    const ports = await attachedPorts();
    const changes = changesOf((life) => detach(life, 'tap0'));
    expect(changes).toBeGreaterThan(10);
    for (let after = 1; after <= changes; after++) {
      attach(scene.parts(), REQUEST);
      dies(after, (life) => detach(life, 'tap0'));
      detach(scene.parts(), 'tap0');
      await settlesTo(before);
      attach(scene.parts(), REQUEST);
      dies(after, (life) => detach(life, 'tap0'));
      attach(scene.parts(), REQUEST);
      expect(await attachedPorts(), `attached again after ${after}`).toEqual(ports);
      detach(scene.parts(), 'tap0');
      await settlesTo(before);
    }
  });
});

test('a process that is killed: another one repairs what it left', { timeout: 180_000 }, async () => {
  machineWithSettings();
  const before = await scene.rest();
  const state = ['--state', `${scene.folder}/state`];
  const journal = new Journals(`${scene.folder}/state`).path('tap0');
  for (const afterMs of [0, 30, 90]) {
    const attaching = ['bridge', 'attach', '--vm-tap', 'tap0', '--bridge', 'br0', ...state];
    const child = spawn(process.execPath, [HOLDFAST, ...attaching], { stdio: 'ignore' });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await until(() => existsSync(journal), 'the first change', 60_000);
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    child.kill('SIGKILL');
    await ended;
    const { code, stderr } = await holdfast(['bridge', 'detach', '--vm-tap', 'tap0', ...state], { timeoutMs: 60_000 });
    expect([code, stderr]).toEqual([0, '']);
    await settlesTo(before);
  }
});

describe('other devices and other beginnings', () => {
  function tap(name: string, ...state: readonly string[]): void {
    scene.run('ip', 'tuntap', 'add', name, 'mode', 'tap');
    scene.run('ip', 'link', 'set', name, ...state);
  }

  test.each([
    ['a tap that is in the bridge', ['up', 'master', 'br0']],
    ['a tap that is down', ['master', 'br0']],
    ['a tap that is in no bridge', ['up']],
    ["a tap whose address is the bridge's", ['up', 'address', '02:00:00:00:00:01', 'master', 'br0']],
    ['a tap with a small MTU', ['up', 'mtu', '1400', 'master', 'br0']],
  ])('%s: with offloads and without, and back', async (_, state) => {
    tap('tap0', ...state);
    const before = await scene.rest();
    for (const offloads of ['keep', 'off'] as const) {
      attach(scene.parts(), { ...REQUEST, offloads });
      const { mtu, master } = linkOf('hf-tap0-br');
      expect({ mtu, master }).toEqual({ mtu: linkOf('tap0').mtu, master: 'br0' });
      expect(linkOf('hf-tap0')).toMatchObject({ up: true, addresses: [] });
      expect(linkOf('tap0')).toMatchObject({ up: state.includes('up'), addresses: [] });
      const segmented = scene.run('ethtool', '-k', 'hf-tap0').includes('tcp-segmentation-offload: off');
      expect(segmented).toBe(offloads === 'off');
      detach(scene.parts(), 'tap0');
      await settlesTo(before);
    }
  });

  test('an empty bridge has its address back', () => {
    tap('tap0', 'up');
    scene.run('ip', 'link', 'set', 'port0', 'nomaster');
    scene.run('ip', 'link', 'set', 'br0', 'address', '02:00:00:00:00:02');
    attach(scene.parts(), REQUEST);
    detach(scene.parts(), 'tap0');
    expect(scene.run('cat', '/sys/class/net/br0/address').trim()).toBe('02:00:00:00:00:02');
  });

  test('a bridge whose address is that of the tap has it at every moment', () => {
    tap('tap0', 'up', 'address', '02:00:00:00:00:01', 'master', 'br0');
    const addresses = new Set<string>();
    class Watching extends SystemCommands {
      override run(program: string, ...parameters: readonly string[]): void {
        super.run(program, ...parameters);
        addresses.add(scene.run('cat', '/sys/class/net/br0/address').trim());
      }
    }
    attach(scene.parts(new Watching()), REQUEST);
    detach(scene.parts(new Watching()), 'tap0');
    expect([...addresses]).toEqual(['02:00:00:00:00:01']);
  });

  test('a qdisc and filters of somebody else stay', async () => {
    tap('tap0', 'up', 'master', 'br0');
    scene.run('tc', 'qdisc', 'add', 'dev', 'tap0', 'clsact');
    scene.run('tc', 'filter', 'add', 'dev', 'tap0', 'egress', 'pref', '7', 'bpf', 'da', 'bytecode', '1,6 0 0 0');
    const filters = () => scene.run('tc', 'filter', 'show', 'dev', 'tap0', 'egress');
    const [before, filtersBefore] = [await scene.rest(), filters()];
    attach(scene.parts(), REQUEST);
    detach(scene.parts(), 'tap0');
    expect(filters()).toBe(filtersBefore);
    await settlesTo(before);
  });

  test('two taps at a time, and one with a name that leaves no room', async () => {
    tap('tap0', 'up', 'master', 'br0');
    tap('vm-0123456789ab', 'up', 'master', 'br0');
    const before = await scene.rest();
    const long = attach(scene.parts(), { ...REQUEST, tap: 'vm-0123456789ab' });
    attach(scene.parts(), REQUEST);
    expect(long.outside).toMatch(/^hf-vm-0[\da-f]{5}$/);
    detach(scene.parts(), long.tap);
    expect(linkOf('hf-tap0-br').master).toBe('br0');
    detach(scene.parts(), 'tap0');
    await settlesTo(before);
  });

  test('a tap that is gone, or was made anew: the rest is removed', () => {
    tap('tap0', 'up', 'master', 'br0');
    attach(scene.parts(), REQUEST);
    scene.run('ip', 'link', 'del', 'tap0');
    expect(detach(scene.parts(), 'tap0')).toMatchObject({ changed: true, notes: ['tap0 is gone'] });
    expect(detach(scene.parts(), 'tap0')).toMatchObject({ changed: false });
    tap('tap0', 'up', 'master', 'br0');
    attach(scene.parts(), REQUEST);
    scene.run('ip', 'link', 'del', 'tap0');
    tap('tap0', 'up');
    expect(detach(scene.parts(), 'tap0').notes).toEqual(['tap0 is another device now: it is left as it is']);
    expect(linkOf('tap0').master).toBeUndefined();
    expect(scene.run('ip', 'link', 'show')).not.toContain('hf-tap0');
    // The same for attach: it begins with the new one.
    attach(scene.parts(), REQUEST);
    scene.run('ip', 'link', 'del', 'tap0');
    tap('tap0', 'up', 'master', 'br0');
    attach(scene.parts(), REQUEST);
    detach(scene.parts(), 'tap0');
    expect(linkOf('tap0').master).toBe('br0');
  });

  test('a bridge that is gone: the tap stays free, everything else is as it was', () => {
    tap('tap0', 'up', 'master', 'br0');
    attach(scene.parts(), REQUEST);
    scene.run('ip', 'link', 'del', 'br0');
    expect(detach(scene.parts(), 'tap0').notes).toEqual(['br0 is gone: tap0 is in no bridge']);
    expect(scene.run('tc', 'qdisc', 'show', 'dev', 'tap0')).not.toContain('clsact');
  });

  test('VLANs of a bridge that filters them go over and come back', async ({ skip }) => {
    try {
      scene.run('ip', 'link', 'set', 'br0', 'type', 'bridge', 'vlan_filtering', '1');
    } catch {
      skip('this kernel cannot filter VLANs in a bridge');
    }
    tap('tap0', 'up', 'master', 'br0');
    scene.run('bridge', 'vlan', 'del', 'dev', 'tap0', 'vid', '1');
    scene.run('bridge', 'vlan', 'add', 'dev', 'tap0', 'vid', '10', 'pvid', 'untagged');
    scene.run('bridge', 'vlan', 'add', 'dev', 'tap0', 'vid', '20-25');
    const vlans = (port: string) => scene.run('bridge', 'vlan', 'show', 'dev', port).replace(port, '');
    const [before, vlansBefore] = [await scene.rest(), vlans('tap0')];
    attach(scene.parts(), REQUEST);
    expect(vlans('hf-tap0-br').replaceAll(/\s+/g, ' ')).toBe(vlansBefore.replaceAll(/\s+/g, ' '));
    detach(scene.parts(), 'tap0');
    expect(vlans('tap0')).toBe(vlansBefore);
    await settlesTo(before);
  });
});

describe('what is refused, and changes nothing', () => {
  beforeEach(() => {
    scene.run('ip', 'tuntap', 'add', 'tap0', 'mode', 'tap');
    scene.run('ip', 'link', 'set', 'tap0', 'up', 'master', 'br0');
    scene.run('ip', 'link', 'add', 'br1', 'type', 'bridge');
  });

  async function isRefused(work: () => unknown, message: string): Promise<void> {
    const before = await scene.rest();
    expect(refusal(work)).toContain(message);
    expect(scene.state()).toEqual(before);
  }

  test('a tap, or a bridge, that cannot be meant', async () => {
    const wrong = (change: object) => () => attach(scene.parts(), { ...REQUEST, ...change });
    await isRefused(wrong({ tap: 'tap9' }), 'no-device: there is no network device tap9');
    await isRefused(wrong({ bridge: 'br9' }), 'no-device: there is no network device br9');
    await isRefused(wrong({ bridge: 'br1' }), 'wrong-bridge: tap0 is in br0, not in br1');
    await isRefused(wrong({ bridge: 'tap0' }), 'wrong-bridge: tap0 is no Linux bridge');
    await isRefused(wrong({ tap: 'br1' }), "wrong-device: br1 is bridge: expected a VM's tap");
    await isRefused(wrong({ tap: 'lo' }), 'wrong-device: lo is no Ethernet device');
    scene.run('ip', 'addr', 'add', '10.0.0.1/24', 'dev', 'tap0');
    await isRefused(wrong({}), 'in-use: tap0 has IP addresses');
    expect(new Journals(`${scene.folder}/state`).read('tap0')).toBeNull();
  });

  test('devices of these names that somebody else made', async () => {
    scene.run('ip', 'link', 'add', 'hf-tap0', 'type', 'veth', 'peer', 'name', 'hf-tap0-br');
    await isRefused(() => attach(scene.parts(), REQUEST), 'not-ours: hf-tap0 exists, and not from holdfast');
    await isRefused(() => detach(scene.parts(), 'tap0'), 'not-ours: hf-tap0 and hf-tap0-br: not from holdfast');
    scene.run('ip', 'link', 'del', 'hf-tap0');
    attach(scene.parts(), REQUEST);
    scene.run('ip', 'link', 'del', 'hf-tap0');
    scene.run('ip', 'link', 'add', 'hf-tap0', 'type', 'veth', 'peer', 'name', 'hf-tap0-br');
    await isRefused(() => attach(scene.parts(), REQUEST), 'not-ours: hf-tap0 and hf-tap0-br: this is not the pair');
    await isRefused(() => detach(scene.parts(), 'tap0'), 'not-ours: hf-tap0 and hf-tap0-br: this is not the pair');
    scene.run('ip', 'link', 'del', 'hf-tap0');
    // Without them, what is missing is made again.
    attach(scene.parts(), REQUEST);
    expect(detach(scene.parts(), 'tap0')).toMatchObject({ bridge: 'br0', changed: true });
  });

  test('a tap that has been put somewhere else, or is attached otherwise', async () => {
    attach(scene.parts(), REQUEST);
    await isRefused(
      () => attach(scene.parts(), { ...REQUEST, bridge: 'br1' }),
      'in-use: tap0 is attached to br0 with --offloads keep',
    );
    await isRefused(() => attach(scene.parts(), { ...REQUEST, offloads: 'off' }), 'in-use: tap0 is attached to br0');
    scene.run('ip', 'link', 'set', 'tap0', 'master', 'br1');
    await isRefused(() => attach(scene.parts(), REQUEST), 'wrong-bridge: tap0 has been put into br1');
    await isRefused(() => detach(scene.parts(), 'tap0'), 'wrong-bridge: tap0 is in br1 now and was in br0');
    scene.run('ip', 'link', 'set', 'tap0', 'nomaster');
    scene.run('ip', 'link', 'set', 'hf-tap0-br', 'master', 'br1');
    await isRefused(() => detach(scene.parts(), 'tap0'), 'wrong-bridge: hf-tap0-br has been put into br1');
    scene.run('ip', 'link', 'set', 'hf-tap0-br', 'master', 'br0');
    detach(scene.parts(), 'tap0');
  });

  test('from another network namespace', () => {
    attach(scene.parts(), REQUEST);
    leaveNetns();
    expect(refusal(() => detach(scene.parts(), 'tap0'))).toContain(
      'not-ours: tap0 is attached in another network namespace',
    );
    expect(refusal(() => attach(scene.parts(), REQUEST))).toContain(
      'not-ours: tap0 is attached in another network namespace',
    );
  });
});

test('on the command line: attach, look, attach again, detach', { timeout: 120_000 }, async () => {
  machineWithSettings(...SETTINGS);
  const before = await scene.rest();
  const state = ['--state', `${scene.folder}/state`];
  const bridge = (...words: readonly string[]) => holdfast(['bridge', ...words, ...state], { timeoutMs: 60_000 });
  const where = ['attach', '--vm-tap', 'tap0', '--bridge', 'br0'];
  const dry = await bridge(...where, '--dry-run');
  expect([dry.code, dry.stderr]).toEqual([0, '']);
  expect(dry.stdout).toMatch(/^ip link add name hf-tap0 .*\n(.*\n)*ip link set dev tap0 nomaster\n/);
  expect(scene.state()).toEqual(before);
  const first = await bridge(...where);
  expect([first.code, first.stderr, first.stdout]).toEqual([
    0,
    '',
    'tap0 is attached to br0 through hf-tap0; no frame passes until a gateway runs:\n  holdfast run --inside tap0 --outside hf-tap0\n',
  ]);
  const again = await bridge(...where, '--json');
  const ports = { tap: 'tap0', bridge: 'br0', inside: 'tap0', outside: 'hf-tap0', bridgePort: 'hf-tap0-br', notes: [] };
  expect(JSON.parse(again.stdout)).toEqual(ports);
  const attached = await scene.rest();
  const plan = await bridge('detach', '--vm-tap', 'tap0', '--dry-run', '--json');
  expect(JSON.parse(plan.stdout).commands).toContain('ip link set dev tap0 master br0');
  expect(scene.state()).toEqual(attached);
  expect((await bridge('detach', '--vm-tap', 'tap0')).stdout).toBe('tap0 is detached, it is in br0\n');
  expect((await bridge('detach', '--vm-tap', 'tap0')).stdout).toBe('tap0 was not attached: nothing to undo\n');
  await settlesTo(before);
  const refused = await bridge('attach', '--vm-tap', 'tap0', '--bridge', 'nowhere');
  expect([refused.code, refused.stderr]).toEqual([1, 'holdfast: there is no network device nowhere\n']);
});

/** @returns frames that came from the bridge to the gateway's outside port, and the other way */
function forwarded(shown: string): number {
  const [{ stats64 }] = JSON.parse(shown) as [{ stats64: { rx: { packets: number }; tx: { packets: number } } }];
  return Math.min(stats64.rx.packets, stats64.tx.packets);
}

function linkOf(name: string): { mtu: number; master?: string; up: boolean; addresses: unknown[] } {
  const [shown] = JSON.parse(scene.run('ip', '-j', 'addr', 'show', 'dev', name)) as [
    { mtu: number; master?: string; flags: string[]; addr_info: unknown[] },
  ];
  const { mtu, master, flags, addr_info: addresses } = shown;
  return { mtu, ...(master === undefined ? {} : { master }), up: flags.includes('UP'), addresses };
}

/** @returns all of the bridge's ports but the numbers of devices that are made anew each time */
async function attachedPorts(): Promise<unknown> {
  const read = () =>
    JSON.parse(scene.run('bridge', '-d', '-j', 'link', 'show')) as { ifindex: number; state: string }[];
  // A port forwards as soon as the kernel has seen that its link is up.
  await until(() => read().every(({ state }) => state === 'forwarding'), 'the ports to forward');
  return { ...scene.entries(), ports: read().map(({ ifindex: _, ...port }) => port) };
}

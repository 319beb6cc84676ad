import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { topLines, topRates } from '../../gateway/cli/top-text.ts';
import type { Status } from '../../gateway/host/api.ts';
import { ControlRig, PORT_COUNTERS, portStatus } from '../support/control-rig.ts';
import { makeFrame } from '../support/frames.ts';
import { until } from '../support/host-rig.ts';
import type { Scene } from '../support/rig.ts';
import { HOLDFAST, jsonLines } from '../support/run-cli.ts';

const PASS = { colour: 0 };
const HOLD = { colour: 1 };
/** util-linux: runs a command on a terminal of its own. */
const withoutScript = spawnSync('script', ['--version']).status !== 0;

let rig: ControlRig;
let scene: Scene;
/** How often the gateway has told how things are. */
let asked: number;

beforeEach(async () => {
  asked = 0;
  rig = new ControlRig({
    ports: () => {
      asked++;
      return [portStatus('inside'), portStatus('outside', { link: 'down', trouble: 'eth1 has no carrier', mtu: null })];
    },
    metricsText: () => 'holdfast_up 1\n',
  });
  scene = rig.scene;
  await rig.listen();
});
afterEach(() => rig.close());

/** Two epochs in flight, one frame released, two held, and one passed. */
function checkpoints(): void {
  const { term } = scene.vm.start('now', 5e9);
  scene.send(1, HOLD);
  for (const epoch of [1, 2, 3]) {
    scene.vm.seal(term, epoch);
    if (epoch < 3) scene.send(10 + epoch, { ...HOLD, flow: epoch });
  }
  scene.vm.commit(term, 1);
  scene.send(20, { ...PASS, flow: 2 });
  scene.rig.net.send(makeFrame({ kind: 'udp', flow: 1, colour: 2, vlan: 0, pad: 0 }, 3));
  scene.vm.turn();
  scene.rig.clock.advanceTo(scene.rig.clock.nowNs() + 1.5e9);
}

describe('holdfast status', () => {
  it('says how VMs and ports are', async () => {
    checkpoints();
    const { code, stdout, stderr } = await rig.cli(['status']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.split('\n')).toEqual([
      'vm0: on, term 1, rules of generation 1',
      '  epochs    4 open, in flight 2 3, committed 1',
      '  host      silent for 1.5 s',
      '  held      2 frames, 92 bytes, the oldest for 1.5 s',
      '  outbound  4 = 1 passed + 1 released + 0 discarded + 0 dropped + 2 still held (3 ever held)',
      '  inbound   1: 1 passed, 0 dropped',
      '  reason     frames',
      '  port-lost       4',
      '  default         3',
      '  inbound         1',
      '  rule            1',
      '  direction  class    verdict  frames  bytes',
      '  outbound   data     pass          1     46',
      '  outbound   control  hold          3    138',
      '',
      '  port  side     vm   kind    link    mtu  received  received bytes  sent  sent bytes  lost',
      '  tap0  inside   vm0  packet  up    1,500         7             700     5         500     2',
      '  eth1  outside  vm0  packet  down      -         7             700     5         500     2',
      '  eth1: eth1 has no carrier',
      '',
    ]);
  });

  it('--json is what the gateway says', async () => {
    checkpoints();
    const { stdout } = await rig.cli(['status', '--json']);
    expect(jsonLines(stdout)).toEqual([JSON.parse(JSON.stringify(await rig.client().call('status', {})))]);
    expect(jsonLines(stdout)[0]).toMatchObject({ vms: [{ vm: 'vm0', sealedEpochs: [2, 3], classes: [{}, {}] }] });
  });

  it('says that the lease has run out, and that the VM gets no packets', async () => {
    scene.vm.start('now', 1e9);
    scene.vm.quiesce(1, 60e9);
    scene.rig.clock.advanceTo(scene.rig.clock.nowNs() + 2e9);
    const { stdout } = await rig.cli(['status']);
    expect(stdout).toContain('the lease has run out: everything is held');
    expect(stdout).toContain('no packets are delivered to the VM');
  });

  it('--watch says it again and again', async () => {
    const { code, stdout } = await rig.cli(['status', '--watch', '--interval', '20ms', '--count', '3']);
    expect(code).toBe(0);
    expect(stdout.match(/^vm0: off, nothing is held, rules of generation 1$/gm)).toHaveLength(3);
  });
});

describe('holdfast metrics', () => {
  it('prints what Prometheus reads', async () => {
    expect(await rig.cli(['metrics'])).toMatchObject({ code: 0, stdout: 'holdfast_up 1\n', stderr: '' });
    const { stdout } = await rig.cli(['metrics', '--json']);
    expect(jsonLines(stdout)[0]).toMatchObject({ text: 'holdfast_up 1\n', generation: 1 });
  });

  it('of a gateway that makes none: exit 1', async () => {
    await rig.close();
    rig = new ControlRig();
    await rig.listen();
    expect(await rig.cli(['metrics'])).toMatchObject({ code: 1, stderr: 'holdfast: this gateway makes no metrics\n' });
  });
});

describe('holdfast top', () => {
  it('prints a block for each look where there is no terminal', async () => {
    checkpoints();
    const { code, stdout, stderr } = await rig.cli(['top', '--count', '2', '--interval', '100ms']);
    expect([code, stderr]).toEqual([0, '']);
    const [first, second, ...others] = stdout.split(/^(?=holdfast at )/m);
    expect(others).toEqual([]);
    expect(first).toContain(
      `holdfast at ${rig.path}\nvm0: on, term 1\n  held      2 frames, 92 bytes, the oldest for 1.5 s\n`,
    );
    expect(first).toContain('  epochs    4 open, in flight 2 3, committed 1\n  host      silent for 1.5 s\n');
    expect(first).toMatch(/outbound +control +hold +- +- +3$/m);
    expect(second).toMatch(/outbound +control +hold +0 +0 +3$/m);
    expect(second).toMatch(/^ +tap0 +inside +vm0 +up +0 +0 +0 +0 +2$/m);
    expect(stdout).not.toContain('\u001b');
  });

  it('--json has the rates beside what the gateway says', async () => {
    const { stdout } = await rig.cli(['top', '--count', '2', '--interval', '20ms', '--json']);
    const [first, second] = jsonLines(stdout) as unknown as (Status & { rates: ReturnType<typeof topRates> })[];
    expect(first!.rates.seconds).toBeNull();
    expect(second!.rates.seconds).toBeGreaterThan(0.01);
    expect(second!.rates.vms[0]!.counters).toMatchObject({ outbound: 0, stillHeld: 0 });
    expect(second!.vms[0]!.vm).toBe('vm0');
  });

  it.each([
    [[], 'the gateway does not answer: what it said last is shown'],
    [['--json'], '{"trouble":"the gateway does not answer"}\n'],
  ])('goes on when the gateway does not, and says so: %j', async (args, words) => {
    const running = rig.cli(['top', '--count', '2', '--interval', '1s', ...args]);
    // The answer is on its way then, before the end of the connection.
    await until(() => asked > 0);
    await rig.server.close();
    const { code, stdout } = await running;
    expect(code).toBe(0);
    expect(stdout.indexOf('vm0')).toBeGreaterThan(0);
    expect(stdout.indexOf(words)).toBeGreaterThan(stdout.indexOf('vm0'));
  });

  describe.skipIf(withoutScript)('on a terminal', () => {
    const ENTER = '\u001b[?1049h\u001b[?25l';
    const LEAVE = '\u001b[?25h\u001b[?1049l';

    /** @param keys typed as soon as something is shown */
    function onTerminal(command: string, keys: string, env: Record<string, string> = {}): Promise<string> {
      const line = `stty rows 9 cols 50; ${process.execPath} ${HOLDFAST} ${command}; echo "code $?"; stty -a`;
      const child = spawn('script', ['-qec', line, '/dev/null'], {
        env: { ...process.env, NODE_OPTIONS: '', HOLDFAST_CONTROL: rig.path, ...env },
        timeout: 60_000,
      });
      // It may have ended before anything is typed.
      child.stdin.on('error', () => {});
      let shown = '';
      let isTyped = false;
      child.stdout.on('data', (text) => {
        shown += text;
        if (isTyped || !shown.includes('q ends')) return;
        isTyped = true;
        child.stdin.write(keys);
      });
      return once(child, 'close').then(() => shown);
    }

    /** @returns what stood on the screen, view after view, without styles */
    function views(shown: string): string[][] {
      const plain = shown.replaceAll('\r', '').split('\u001b[H').slice(1);
      return plain.map((view) => stripVTControlCharacters(view.split(LEAVE)[0]!).split('\n'));
    }

    it('shows what fits, and q gives the terminal back as it was', async () => {
      checkpoints();
      const shown = await onTerminal('top', 'q');
      expect(shown.startsWith(ENTER)).toBe(true);
      const rest = shown.split(LEAVE)[1]!;
      expect(rest).toContain('code 0');
      expect(rest).toMatch(/[^-]icanon/);
      expect(rest).toMatch(/[^-]echo /);
      const [view] = views(shown);
      expect(view).toHaveLength(9);
      expect(Math.max(...view!.map((text) => text.length))).toBeLessThanOrEqual(50);
      expect(view![1]).toBe('vm0: on, term 1');
      expect(view![8]).toBe('space pauses, q ends, arrows scroll');
      expect(shown).toContain('\u001b[1m');
    });

    it('scrolls with arrows, pauses with the space bar, and without colours has none', async () => {
      checkpoints();
      const shown = await onTerminal('top --interval 1m', '\u001b[B\u001b[B\u001b[A q', { NO_COLOR: '1' });
      const [first, down, further, up, paused] = views(shown);
      expect(down![0]).toBe(first![1]);
      expect(further![0]).toBe(first![2]);
      expect(up![0]).toBe(first![1]);
      expect(paused!.at(-1)).toBe('paused: space goes on, q ends, arrows scroll');
      expect(shown).not.toMatch(/\[\d+m/);
    });

    it('ends by itself, or by a signal, and gives the terminal back as well', async () => {
      const counted = await onTerminal('top --count 1', '');
      expect(counted).toContain(LEAVE);
      expect(counted).toContain('code 0');
      const killed = await onTerminal('top & read -r _; kill $!; wait $!', '\n');
      expect(killed.split(LEAVE)).toHaveLength(2);
    });
  });
});

describe('rates', () => {
  const status = (outbound: number, frames: number): Status => ({
    generation: 1,
    reasons: {},
    ports: [portStatus('inside', { counters: { ...PORT_COUNTERS, received: outbound } })],
    vms: [
      {
        vm: 'vm0',
        state: 'on',
        term: 1,
        openEpoch: 1,
        sealedEpochs: [],
        committedEpoch: 0,
        generation: 1,
        counters: { outbound } as never,
        heldFrames: 0,
        heldBytes: 0,
        oldestHeldMs: null,
        hostSilentMs: null,
        leaseMs: 5000,
        leaseLapsed: false,
        quiesced: false,
        reasons: { rule: outbound },
        classes: [{ direction: 'outbound', class: 'data', verdict: 'pass', frames, bytes: 10 * frames }],
      },
    ],
  });
  const at = (atMs: number, outbound: number, frames: number) => ({
    status: status(outbound, frames),
    atMs,
    trouble: null,
  });

  it('are differences over the time between two answers', () => {
    const rates = topRates(at(3000, 300, 50), at(1000, 100, 40));
    expect(rates.seconds).toBe(2);
    expect(rates.vms[0]).toMatchObject({
      counters: { outbound: 100 },
      reasons: { rule: 100 },
      classes: [{ class: 'data', frames: 5, bytes: 50 }],
    });
    expect(rates.ports[0]!.counters.received).toBe(100);
    expect(topLines(at(3000, 300, 50), at(1000, 100, 40), 'x').map(({ text }) => text)).toContainEqual(
      expect.stringMatching(/^ {2}out\/s +100 outbound, - passed/),
    );
  });

  it('are not known at the first look, nor where counters fell', () => {
    expect(topRates(at(3000, 300, 50), null).vms[0]!.counters).toEqual({ outbound: null });
    expect(topRates(at(3000, 30, 5), at(1000, 100, 40)).vms[0]).toMatchObject({
      counters: { outbound: null },
      reasons: { rule: null },
      classes: [{ frames: null, bytes: null }],
    });
  });
});

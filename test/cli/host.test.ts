import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { controlSocket } from '../../gateway/cli/with-host.ts';
import { defaultControl } from '../../gateway/config-defaults.ts';
import { ControlRig } from '../support/control-rig.ts';
import { makeFrame } from '../support/frames.ts';
import { until } from '../support/host-rig.ts';
import { Scene } from '../support/rig.ts';
import { HOLDFAST, holdfast, jsonLines, temporaryFolder } from '../support/run-cli.ts';

const HOLD = { colour: 1 };
const folder = temporaryFolder();

let rig: ControlRig;
let scene: Scene;

beforeEach(async () => {
  rig = new ControlRig();
  scene = rig.scene;
  await rig.listen();
});
afterEach(() => rig.close());

/** Runs `holdfast host ARGS`, which has to be granted. @returns its line */
async function granted(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await rig.cli(['host', ...args]);
  expect([code, stderr]).toEqual([0, '']);
  return stdout;
}

async function result(...args: readonly string[]): Promise<Record<string, unknown>> {
  return jsonLines(await granted(...args, '--json'))[0]!;
}

describe('holdfast host', () => {
  it('leads a VM through checkpoints: start, seal, commit, abort, rollback, stop', async () => {
    expect(await granted('start')).toBe('vm0: term 1 has begun, epoch 1 is open\n');
    scene.send(1, HOLD);
    expect(await granted('seal')).toMatch(/^vm0: epoch 1 is sealed, epoch 2 is open; 1 frame \(\d+ bytes\) held\n$/);
    scene.send(2, HOLD);
    expect(await result('seal')).toMatchObject({
      vm: 'vm0',
      term: 1,
      epoch: 2,
      openEpoch: 3,
      drained: true,
      heldFrames: 2,
    });
    expect(scene.left()).toEqual([]);
    expect(await granted('commit', '--epoch', '1')).toMatch(
      /^vm0: epoch 1 is committed; 1 frame \(\d+ bytes\) released\n$/,
    );
    expect(scene.left()).toEqual([1]);
    expect(await result('abort', '--epoch', '2')).toEqual({ vm: 'vm0', term: 1, epoch: 2, movedFrames: 1 });
    expect(await result('rollback', '--epoch', '1')).toEqual({
      vm: 'vm0',
      term: 2,
      openEpoch: 4,
      discardedFrames: 1,
      releasedFrames: 0,
    });
    scene.send(3, HOLD);
    expect(await granted('stop', '--held', 'release')).toBe(
      'vm0: term 2 has ended; 1 frame released, 0 frames discarded\n',
    );
    expect(scene.left()).toEqual([3]);
    expect(scene.vm.epochs.state).toBe('off');
  });

  it('commits the newest sealed epoch where none is named, and those before it with it', async () => {
    await granted('start', '--lease', '0s');
    scene.send(1, HOLD);
    await granted('seal');
    scene.send(2, HOLD);
    await granted('seal');
    scene.send(3, HOLD);
    expect(await result('commit')).toMatchObject({ epoch: 2, releasedFrames: 2 });
    expect(scene.left()).toEqual([1, 2]);
    const { code, stdout, stderr } = await rig.cli(['host', 'commit', '--json']);
    expect([code, stderr]).toEqual([1, 'holdfast: epoch-not-sealed: no epoch of vm0 waits for its commit\n']);
    expect(jsonLines(stdout)).toEqual([{ error: expect.objectContaining({ code: 'epoch-not-sealed' }) }]);
    expect(scene.left()).toEqual([]);
  });

  it('start takes the lease and from when on frames are held', async () => {
    await granted('start', '--hold-from', 'first-seal', '--lease', '250ms');
    scene.send(1, HOLD);
    expect(scene.left()).toEqual([1]);
    scene.rig.clock.advanceTo(scene.rig.clock.nowNs() + 249e6);
    scene.vm.watchHost();
    expect(scene.vm.forwarder.hostSilent).toBe(false);
    scene.rig.clock.advanceTo(scene.rig.clock.nowNs() + 1e6);
    scene.vm.watchHost();
    expect(scene.vm.forwarder.hostSilent).toBe(true);
  });

  it('takeover goes on after the term of another gateway', async () => {
    expect(await result('takeover', '--term', '7', '--epoch', '41')).toEqual({ vm: 'vm0', term: 8, openEpoch: 42 });
  });

  it('quiesce and resume stop and start packets to the VM', async () => {
    await granted('start', '--lease', '0s');
    expect(await granted('quiesce', '--lease', '1m')).toMatch(/^vm0: no packets are delivered, after /);
    expect(scene.vm.quiesced.until[0]).toBeGreaterThan(0);
    expect(await result('resume')).toEqual({ vm: 'vm0', deliveredFrames: 0 });
    expect(scene.vm.quiesced.until[0]).toBe(Number.NEGATIVE_INFINITY);
  });

  it('quiesce says when packets are still on their way: exit 1', async () => {
    await granted('start', '--lease', '0s');
    for (let serial = 0; serial < 300; serial++) {
      scene.rig.net.send(makeFrame({ kind: 'udp', flow: 0, colour: 0, vlan: 0, pad: 0 }, serial));
      scene.vm.turn();
    }
    const { code, stdout } = await rig.cli(['host', 'quiesce', '--timeout', '0s']);
    expect([code, stdout]).toEqual([1, 'vm0: packets are still on their way after 0 ns\n']);
  });

  it('failover tells what was announced; a gateway that cannot says so', async () => {
    await granted('start');
    await granted('seal');
    const args = ['failover', '--epoch', '1', '--inside', 'tap1'];
    expect(await rig.cli(['host', ...args])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('not-supported: '),
    });
    await rig.close();
    const answer = {
      term: 2,
      openEpoch: 3,
      discardedFrames: 4,
      releasedFrames: 5,
      announced: ['192.0.2.1'],
      ports: [],
    };
    rig = new ControlRig({ failover: (_vm, _term, _epoch, inside) => ({ ...answer, announced: [inside] }) });
    await rig.listen();
    await granted('start');
    await granted('seal');
    expect(await granted(...args)).toBe(
      'vm0: back at epoch 1: term 2 has begun, epoch 3 is open; 4 frames discarded, 5 frames released; tap1 announced\n',
    );
  });

  /** Runs `holdfast host declare` until it is ended. @returns it, once the flow is declared, and its first line */
  async function declaring(...args: readonly string[]) {
    const child = spawn(process.execPath, [HOLDFAST, 'host', 'declare', '--timeout', '60m', ...args], {
      env: { ...process.env, NODE_OPTIONS: '', HOLDFAST_CONTROL: rig.path },
      timeout: 60_000,
    });
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    const closed = once(child, 'close').then(([code]) => ({ code, stderr }));
    const line = await Promise.race([once(child.stdout, 'data'), closed]);
    return { child, closed, line: String(line) };
  }

  it('declare holds a flow declared as long as it runs', async () => {
    await granted('start', '--lease', '0s');
    const flow = [
      '--src',
      '10.0.0.1',
      '--dst',
      '10.0.0.254',
      '--protocol',
      'udp',
      '--sport',
      '6000',
      '--dport',
      '5001',
    ];
    const { child, closed, line } = await declaring(...flow);
    expect(line).toBe('vm0: flow 1 is declared, as long as this command runs\n');
    scene.send(1, HOLD);
    expect(scene.left()).toEqual([1]);
    child.kill('SIGTERM');
    expect(await closed).toEqual({ code: 0, stderr: '' });
    await until(() => rig.server.clients === 0);
    scene.send(2, HOLD);
    expect(scene.left()).toEqual([]);
  });

  it('declare says so when the term that it was for ends', async () => {
    await granted('start');
    const { closed, line } = await declaring('--src', '10.0.0.1', '--dst', '10.0.0.254', '--protocol', '17', '--json');
    expect(line).toBe('{"vm":"vm0","handle":1}\n');
    await granted('start');
    const stderr = 'holdfast: vm0: flow 1 is no longer declared: the term has changed\n';
    expect(await closed).toEqual({ code: 1, stderr });
  });

  it('declare says so when the gateway goes away', async () => {
    await granted('start');
    const { closed } = await declaring('--src', '10.0.0.1', '--dst', '10.0.0.254', '--protocol', '17');
    await rig.restart('boot-2');
    const stderr = 'holdfast: vm0: flow 1 is no longer declared: the connection to the gateway broke\n';
    expect(await closed).toEqual({ code: 1, stderr });
  });
});

describe('holdfast host is refused: exit 1, the reason on stderr, nothing happens', () => {
  it.each<[string[], string]>([
    [['seal', '--term', '9'], 'stale-term: '],
    [['seal', '--epoch', '5'], 'epoch-not-open: '],
    [['commit', '--epoch', '1'], 'epoch-not-sealed: '],
    [['rollback', '--epoch', '5'], 'epoch-not-sealed: '],
    [['seal', '--vm', 'nix'], "unknown-vm: there is no VM 'nix' here, only vm0"],
    [['stop', '--held', 'discard', '--term', '0'], 'stale-term: '],
  ])('%j', async (args, words) => {
    await granted('start');
    scene.send(1, HOLD);
    const before = JSON.stringify([scene.vm.epochs.term, scene.vm.epochs.openEpoch, scene.vm.epochs.sealedEpochs]);
    const { code, stdout, stderr } = await rig.cli(['host', ...args]);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^holdfast: [^\n]+\n$/);
    expect(stderr).toContain(`holdfast: ${words}`);
    expect(JSON.stringify([scene.vm.epochs.term, scene.vm.epochs.openEpoch, scene.vm.epochs.sealedEpochs])).toBe(
      before,
    );
    expect(scene.left()).toEqual([]);
    const json = await rig.cli(['host', ...args, '--json']);
    expect(json.code).toBe(1);
    expect(jsonLines(json.stdout)[0]).toMatchObject({ error: { code: words.split(':')[0] } });
  });

  it('without a term', async () => {
    const { code, stderr } = await rig.cli(['host', 'commit']);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^holdfast: not-replicated: /)]);
  });
});

describe('with several VMs', () => {
  it('one has to be named', async () => {
    await rig.close();
    const other = new Scene();
    const vms = () =>
      new Map([
        ['vm0', scene.vm],
        ['vm1', other.vm],
      ]);
    rig = new ControlRig({ vms: vms() });
    await rig.listen();
    const { code, stderr } = await rig.cli(['host', 'start']);
    expect([code, stderr]).toEqual([2, 'holdfast: there are 2 VMs: name one with --vm: vm0, vm1\n']);
    expect(await granted('start', '--vm', 'vm1')).toBe('vm1: term 1 has begun, epoch 1 is open\n');
    expect([scene.vm.epochs.state, other.vm.epochs.state]).toEqual(['off', 'on']);
  });
});

describe('where no gateway is', () => {
  const commands = [
    ['status'],
    ['metrics'],
    ['top', '--count', '1'],
    ['host', 'start'],
    ['set', 'list'],
    ['capture', 'tap0', '--write', '/dev/null'],
  ];

  it.each(commands)('%s says in one line which socket was tried and what to do, exit 2', async (...command) => {
    const args = command.filter((word) => typeof word === 'string');
    const path = folder.path('nothing');
    const { code, stdout, stderr } = await holdfast([...args, '--control', path]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toBe(
      `holdfast: no gateway answers at ${path} (there is no such socket): start one with 'holdfast run', or name its socket with --control or HOLDFAST_CONTROL\n`,
    );
  });

  it('a socket whose gateway died says so', async () => {
    const path = folder.path('dead');
    const script = "require('net').createServer().listen(process.argv[1], () => console.log('up'))";
    const dead = spawn(process.execPath, ['-e', script, path]);
    await once(dead.stdout, 'data');
    dead.kill('SIGKILL');
    await once(dead, 'close');
    const { code, stderr } = await holdfast(['status'], { env: { HOLDFAST_CONTROL: path } });
    expect([code, stderr]).toEqual([2, expect.stringContaining(`at ${path} (nobody listens there any more)`)]);
  });

  it('somebody who hangs up at once is no gateway', async () => {
    const path = folder.path('rude');
    const rude = createServer((socket) => socket.destroy()).listen(path);
    await once(rude, 'listening');
    const { code, stderr } = await holdfast(['host', 'seal', '--control', path]);
    rude.close();
    expect([code, stderr]).toEqual([2, expect.stringContaining('it hung up')]);
  });

  it('an empty name stands for the default socket', () => {
    const chosen = () => controlSocket({ control: '' });
    const path = defaultControl();
    if (path === null) expect(chosen).toThrow('--control');
    else expect(chosen()).toBe(path);
  });
});

describe('a wrong call of holdfast host', () => {
  it.each<[string[], string]>([
    [['seal', '--epoch', '-1'], 'whole number'],
    [['abort'], "required option '--epoch <n>'"],
    [['takeover', '--epoch', '1'], "required option '--term <n>'"],
    [['stop'], "required option '--held <what>'"],
    [['stop', '--held', 'lose'], 'release, discard, keep'],
    [['start', '--lease', '5'], 'expected a duration'],
    [['start', '--term', '1'], "unknown option '--term'"],
    [['quiesce', '--lease', '0s'], 'above 0'],
    [['comit'], 'Did you mean commit?'],
    [[], "a command is missing: see 'holdfast --help'"],
  ])('%j: one line on stderr, exit 2', async (args, words) => {
    const { code, stdout, stderr } = await rig.cli(['host', ...args]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^holdfast: [^\n]+\n$/);
    expect(stderr).toContain(words);
    expect(scene.vm.epochs.term).toBe(0);
  });

  it.each([
    'start',
    'takeover',
    'seal',
    'commit',
    'abort',
    'rollback',
    'failover',
    'quiesce',
    'resume',
    'stop',
    'declare',
  ])('host %s --help is printed on stdout, exit 0', async (name) => {
    const { code, stdout, stderr } = await holdfast(['host', name, '--help']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(new RegExp(`^Usage: holdfast host ${name} `));
    expect(stdout).toContain('--control <socket>');
  });
});

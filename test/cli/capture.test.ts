import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ControlRig } from '../support/control-rig.ts';
import { makeFrame } from '../support/frames.ts';
import { until } from '../support/host-rig.ts';
import { commentedPackets } from '../support/pcapng-comments.ts';
import { hex, type Scene } from '../support/rig.ts';
import { HOLDFAST, jsonLines, temporaryFolder } from '../support/run-cli.ts';
import { tsharkFields, withoutTshark } from '../support/tshark.ts';

const PASS = { colour: 0 };
const HOLD = { colour: 1 };
const folder = temporaryFolder();

let rig: ControlRig;
let scene: Scene;
let files = 0;
const children: ChildProcess[] = [];

beforeEach(async () => {
  rig = new ControlRig();
  scene = rig.scene;
  await rig.listen();
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rig.close();
});

function newFile(): string {
  return folder.path(`${files++}.pcapng`);
}

/** Starts a shell command in which $HOLDFAST is the command line, $FILE a file. @returns when the capture has begun */
async function started(line: string, file: string) {
  const env = { ...process.env, NODE_OPTIONS: '', HOLDFAST: `${process.execPath} ${HOLDFAST}` };
  const child = spawn('bash', ['-c', line], { env: { ...env, FILE: file, HOLDFAST_CONTROL: rig.path } });
  children.push(child);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  const closed = once(child, 'close').then(([code]) => ({ code, stdout, stderr }));
  await until(() => scene.vm.forwarder.isTapped || child.exitCode !== null);
  return { child, closed };
}

function frameHex(serial: number, spec: { colour: number }): string {
  return hex(makeFrame({ kind: 'udp', flow: 0, vlan: 0, pad: 0, ...spec }, serial).bytes);
}

describe('holdfast capture', () => {
  it.skipIf(withoutTshark !== null)('pipes into tshark, frame by frame, with comments and directions', async () => {
    const { term } = scene.vm.start('now', Number.POSITIVE_INFINITY);
    const fields = '-e frame.packet_flags_direction -e udp.dstport -e udp.payload -e frame.comment';
    const line = `$HOLDFAST capture tap0 | tee $FILE | tshark -l -n -r - -T fields ${fields}`;
    const file = newFile();
    const { child, closed } = await started(line, file);
    let seen = '';
    child.stdout.on('data', (text) => {
      seen += text;
    });
    scene.send(1, PASS);
    scene.send(2, HOLD);
    scene.vm.seal(term, 1);
    scene.rig.net.send(makeFrame({ kind: 'udp', flow: 1, colour: 2, vlan: 0, pad: 0 }, 3));
    scene.vm.turn();
    // They are there while the capture goes on.
    await until(() => seen.split('\n').length === 4);
    expect(child.exitCode).toBeNull();
    await rig.server.close();
    expect((await closed).stderr).toContain('the gateway ended the capture');
    const payload = (serial: number, spec: { colour: number }) => frameHex(serial, spec).slice(2 * 42);
    const inbound = hex(makeFrame({ kind: 'udp', flow: 1, colour: 2, vlan: 0, pad: 0 }, 3).bytes).slice(2 * 42);
    expect(
      seen
        .trimEnd()
        .split('\n')
        .map((text) => text.split('\t'))
        .map(([direction, ...rest]) => [Number(direction), ...rest]),
    ).toEqual([
      [1, '5000', payload(1, PASS), 'outbound rule=1 class=data verdict=pass epoch=1 reason=rule'],
      [1, '5001', payload(2, HOLD), 'outbound rule=4 class=control verdict=hold epoch=1 reason=default'],
      [2, '5002', inbound, 'inbound rule=- class=- verdict=pass epoch=- reason=inbound'],
    ]);
    expect(
      commentedPackets(readFileSync(file))
        .map(({ bytes }) => hex(bytes))
        .slice(0, 2),
    ).toEqual([frameHex(1, PASS), frameHex(2, HOLD)]);
  });

  it('ends after --count frames, exit 0, with exactly so many in a file that is whole', async () => {
    const file = newFile();
    const { closed } = await started('$HOLDFAST capture --side inside --count 3 --write $FILE --json', file);
    for (let serial = 1; serial <= 10; serial++) scene.send(serial, PASS);
    const { code, stdout, stderr } = await closed;
    expect([code, stderr]).toEqual([0, '']);
    expect(jsonLines(stdout)).toEqual([{ frames: 3, dropped: 0 }]);
    expect(commentedPackets(readFileSync(file)).map(({ bytes }) => hex(bytes))).toEqual(
      [1, 2, 3].map((serial) => frameHex(serial, PASS)),
    );
    expect(scene.vm.forwarder.isTapped).toBe(false);
    if (withoutTshark === null) expect(await tsharkFields(file, ['frame.number'])).toHaveLength(3);
  });

  it('ends after --duration, and at Ctrl-C, exit 0', async () => {
    const file = newFile();
    const timed = await started('exec $HOLDFAST capture eth1 --duration 1s > $FILE', file);
    scene.send(1, PASS);
    expect(await timed.closed).toMatchObject({
      code: 0,
      stderr: '1 frame captured, 0 lost because they were read too slowly\n',
    });
    expect(commentedPackets(readFileSync(file))).toHaveLength(1);
    await until(() => !scene.vm.forwarder.isTapped);
    const interrupted = await started('exec $HOLDFAST capture eth1 > $FILE', file);
    scene.send(2, PASS);
    scene.send(3, PASS);
    await until(() => statSync(file).size > 300);
    interrupted.child.kill('SIGINT');
    expect(await interrupted.closed).toMatchObject({ code: 0, stderr: expect.stringContaining('2 frames captured') });
    expect(commentedPackets(readFileSync(file))).toHaveLength(2);
  });

  it('keeps only what --match selects, and --snaplen bytes of it', async () => {
    const file = newFile();
    const { closed } = await started(
      "$HOLDFAST capture tap0 --match 'udp dport 5001' --snaplen 30 --count 1 > $FILE",
      file,
    );
    scene.send(1, PASS);
    scene.send(2, HOLD);
    expect((await closed).code).toBe(0);
    const [packet] = commentedPackets(readFileSync(file));
    expect(hex(packet!.bytes)).toBe(frameHex(2, HOLD).slice(0, 60));
  });

  it('ends quietly when its reader has seen enough', async () => {
    const { closed } = await started(
      '{ $HOLDFAST capture tap0; echo "code $?" >&2; } | head -c 200 > $FILE',
      newFile(),
    );
    const sending = setInterval(() => scene.send(1, PASS), 5);
    const { stderr } = await closed;
    clearInterval(sending);
    expect(stderr).toBe('code 0\n');
    await until(() => !scene.vm.forwarder.isTapped);
  });

  it('that is read too slowly loses frames, says how many, and forwarding goes on meanwhile', async () => {
    const FRAMES = 40_000;
    const file = newFile();
    const { child, closed } = await started('exec $HOLDFAST capture tap0 --write $FILE --json', file);
    await until(() => existsSync(file) && statSync(file).size > 0);
    child.kill('SIGSTOP');
    for (let sent = 0; sent < FRAMES; ) {
      for (let i = 0; i < 50; i++) scene.put(sent++, PASS);
      while (scene.vm.turn() > 0);
      expect(scene.left()).toHaveLength(50);
    }
    expect(scene.vm.counters.get('passed')).toBe(FRAMES);
    child.kill('SIGCONT');
    child.kill('SIGINT');
    const { code, stdout } = await closed;
    expect(code).toBe(0);
    const { frames, dropped } = jsonLines(stdout)[0] as { frames: number; dropped: number };
    expect(dropped).toBeGreaterThan(10_000);
    expect(frames + dropped).toBe(FRAMES);
    expect(commentedPackets(readFileSync(file))).toHaveLength(frames);
    const info = spawnSync('capinfos', ['-M', file], { encoding: 'utf8' });
    if (info.error === undefined) expect(info.stdout).toContain(`Number of packets = ${frames}`);
  });

  it.each<[string[], number, string]>([
    [['nix', '--write', '/dev/null'], 2, "'port': there is no such port, only tap0, eth1"],
    [['tap0', '--vm', 'vm7', '--write', '/dev/null'], 1, "unknown-vm: there is no VM 'vm7'"],
    [['tap0', '--match', 'udp dprt 5', '--write', '/dev/null'], 2, "did you mean 'dport'?"],
    [[], 2, 'name a port, or say --side'],
    [['tap0', '--count', '0'], 2, 'from 1 on'],
    [['tap0', '--snaplen', '300000'], 2, 'up to 262144'],
    [['tap0', '--write', '/nix/nix.pcapng'], 2, 'cannot write /nix/nix.pcapng'],
  ])('%j: exit %i, one line on stderr', async (args, exitCode, words) => {
    const { code, stdout, stderr } = await rig.cli(['capture', ...args]);
    expect([code, stdout]).toEqual([exitCode, '']);
    expect(stderr).toMatch(/^holdfast: [^\n]+\n$/);
    expect(stderr).toContain(words);
    await until(() => !scene.vm.forwarder.isTapped);
  });

  it('does not write to a terminal', async () => {
    const line = `${process.execPath} ${HOLDFAST} capture tap0; echo "code $?"`;
    const { stdout, error } = spawnSync('script', ['-qec', line, '/dev/null'], { encoding: 'utf8', timeout: 20_000 });
    if (error !== undefined) return;
    expect(stdout).toContain('standard output is a terminal');
    expect(stdout).toContain('code 2');
  });
});

import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { slabOf } from '../../../classifier/slab.ts';
import { FrameBatch } from '../../../gateway/frame-batch.ts';
import { Capture } from '../../../gateway/host/capture.ts';
import { type OpenCapture, openCapture } from '../../../gateway/host/capture-client.ts';
import { GSO } from '../../../gateway/port/vnet-header.ts';
import { ControlRig, ORIGIN_SECONDS, portStatus } from '../../support/control-rig.ts';
import { makeFrame } from '../../support/frames.ts';
import { until } from '../../support/host-rig.ts';
import { commentedPackets } from '../../support/pcapng-comments.ts';
import { hex, type Scene } from '../../support/rig.ts';

const PASS = { colour: 0 };
const HOLD = { colour: 1 };
const INTERFACE_STATISTICS = 5;

let rig: ControlRig;
let scene: Scene;
const sockets: Socket[] = [];

beforeEach(async () => {
  rig = new ControlRig();
  scene = rig.scene;
  await rig.listen();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await rig.close();
});

async function capture(params: Parameters<typeof openCapture>[1]): Promise<OpenCapture> {
  const opened = await openCapture(rig.path, params);
  sockets.push(opened.socket);
  return opened;
}

/** Asks for the last of it. @returns all that came, in the end */
async function ended({ socket }: OpenCapture): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.resume();
  socket.end();
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(chunks);
}

function comments(file: Buffer): string[] {
  return commentedPackets(file).map(({ comment }) => comment);
}

function frameHex(serial: number, spec: { colour: number }): string {
  return hex(makeFrame({ kind: 'udp', flow: 0, vlan: 0, pad: 0, ...spec }, serial).bytes);
}

/** @returns of each interface: frames that it had, lost, wanted, written */
function statistics(file: Buffer): number[][] {
  const found: number[][] = [];
  for (let at = 0; at < file.length; at += file.readUInt32LE(at + 4)) {
    if (file.readUInt32LE(at) !== INTERFACE_STATISTICS) continue;
    const values = new Map<number, number>();
    const end = at + file.readUInt32LE(at + 4) - 4;
    for (let option = at + 20; file.readUInt16LE(option) !== 0 && option < end; option += 12) {
      values.set(file.readUInt16LE(option), Number(file.readBigUInt64LE(option + 4)));
    }
    found[file.readUInt32LE(at + 8)] = [4, 5, 6, 8].map((code) => values.get(code)!);
  }
  return found;
}

describe('a capture of the inside port', () => {
  test('has what the VM sent with the verdict that it got, and what the VM was sent', async () => {
    scene.vm.start();
    scene.rig.clock.advanceTo(1_500_000_000);
    const opened = await capture({ port: 'tap0' });
    expect(opened.answer).toEqual({ vm: 'vm0', ports: [{ side: 'inside', name: 'tap0' }] });
    scene.send(1, PASS);
    scene.send(2, HOLD);
    scene.rig.net.send(makeFrame({ kind: 'udp', flow: 1, colour: 2, vlan: 0, pad: 0 }, 3));
    scene.vm.turn();
    const file = await ended(opened);
    expect(comments(file)).toEqual([
      'outbound rule=1 class=data verdict=pass epoch=1 reason=rule',
      'outbound rule=4 class=control verdict=hold epoch=1 reason=default',
      'inbound rule=- class=- verdict=pass epoch=- reason=inbound',
    ]);
    const packets = commentedPackets(file);
    expect(packets.map(({ bytes }) => hex(bytes)).slice(0, 2)).toEqual([frameHex(1, PASS), frameHex(2, HOLD)]);
    expect(packets[0]!.ns).toBe(BigInt(ORIGIN_SECONDS) * 1_000_000_000n + 1_500_000_000n);
    expect(statistics(file)).toEqual([[3, 0, 3, 3]]);
  });

  test('says that a frame was dropped when it found no room, and why', async () => {
    scene.vm.start();
    const opened = await capture({ port: 'tap0' });
    for (let serial = 1; serial <= 66; serial++) scene.send(serial, HOLD);
    const file = await ended(opened);
    expect(comments(file).slice(-3)).toEqual([
      'outbound rule=4 class=control verdict=hold epoch=1 reason=default',
      'outbound rule=4 class=control verdict=drop epoch=1 reason=buffer-full',
      'outbound rule=4 class=control verdict=drop epoch=1 reason=buffer-full',
    ]);
    expect(scene.vm.counters.reasonsByName()).toMatchObject({ default: 64, 'buffer-full': 2 });
  });
});

describe('a capture of the outside port', () => {
  test('has frames when they leave: data at once, control at its commit, with how long it was held; a rollback never', async () => {
    const { term } = scene.vm.start();
    const { clock } = scene.rig;
    clock.advanceTo(1_000_000_000);
    const opened = await capture({ side: 'outside', vm: 'vm0' });
    scene.send(1, HOLD);
    scene.send(2, PASS);
    scene.vm.seal(term, 1);
    scene.send(3, HOLD);
    clock.advanceTo(1_012_345_678);
    scene.vm.commit(term, 1);
    scene.vm.rollback(term, 1);
    scene.rig.net.send(makeFrame({ kind: 'udp', flow: 1, colour: 2, vlan: 0, pad: 0 }, 9));
    scene.vm.turn();
    const file = await ended(opened);
    expect(comments(file)).toEqual([
      'outbound rule=1 class=data verdict=pass epoch=1 reason=rule',
      'outbound rule=4 class=control verdict=hold epoch=1 reason=default held=12.346ms',
      'inbound rule=- class=- verdict=pass epoch=- reason=inbound',
    ]);
    const [data, control] = commentedPackets(file);
    expect([hex(data!.bytes), hex(control!.bytes)]).toEqual([frameHex(2, PASS), frameHex(1, HOLD)]);
    expect(control!.ns - data!.ns).toBe(12_345_678n);
    expect(scene.left()).toEqual([2, 1]);
  });

  test('does not have a frame that the port refused before it is accepted', async () => {
    const opened = await capture({ port: 'eth1' });
    for (let serial = 0; serial < 300; serial++) scene.send(serial, PASS);
    // The link takes 256; the others are in the gateway.
    expect(scene.left()).toHaveLength(256);
    scene.vm.pump();
    const file = await ended(opened);
    const left = scene.left().length;
    expect(commentedPackets(file)).toHaveLength(256 + left);
    expect(scene.vm.counters.get('passed')).toBe(256 + left);
  });
});

describe('what is captured', () => {
  test('are only frames that the matches select, cut at snapLen', async () => {
    const opened = await capture({ port: 'tap0', match: 'udp dport 5001 ip saddr 10.0.0.0/8', snapLen: 20 });
    scene.send(1, PASS);
    scene.send(2, HOLD);
    scene.rig.guest.send({ bytes: new Uint8Array(13), linkType: 1 });
    scene.vm.turn();
    const file = await ended(opened);
    const [only, ...others] = commentedPackets(file);
    expect(others).toEqual([]);
    expect(hex(only!.bytes)).toBe(frameHex(2, HOLD).slice(0, 40));
    expect(only!.wireLength).toBe(frameHex(2, HOLD).length / 2);
    expect(statistics(file)).toEqual([[3, 0, 1, 1]]);
  });

  test('are frames of one pair of ports, or of all of a side, each with its interface', async () => {
    await rig.close();
    rig = new ControlRig({
      ports: () => [
        portStatus('inside'),
        portStatus('inside', { pair: 1, name: 'tap1' }),
        portStatus('outside'),
        portStatus('outside', { pair: 1, name: 'eth2' }),
      ],
    });
    await rig.listen();
    scene = rig.scene;
    const all = await capture({ side: 'inside' });
    const second = await capture({ port: 'tap1' });
    expect(all.answer.ports.map(({ name }) => name)).toEqual(['tap0', 'tap1']);
    scene.send(1, PASS);
    // The rig's memory ports know no pairs: every frame is of the first.
    expect(commentedPackets(await ended(all))).toHaveLength(1);
    expect(commentedPackets(await ended(second))).toHaveLength(0);
  });

  test('are super-frames whole, with the checksum that hardware would have finished', async () => {
    const chunks: Uint8Array[] = [];
    const one = new Capture({
      vm: scene.vm,
      ports: [{ side: 'inside', pair: 0, name: 'tap0' }],
      snapLength: Number.POSITIVE_INFINITY,
      filter: null,
      clock: scene.rig.clock,
      origin: { seconds: 0, nanoseconds: 0 },
      onEnd: () => {},
    });
    one.start({ unreadBytes: 0, write: (bytes) => chunks.push(bytes) });
    const batch = new FrameBatch(slabOf(new Uint8Array(70_000)), 1);
    batch.length[0] = 65_000;
    batch.wireLength[0] = 65_000;
    batch.gsoType[0] = GSO.tcp4;
    batch.gsoSize[0] = 1448;
    batch.l4Start[0] = 34;
    one.received('inside', batch, 1);
    one.end();
    const [packet] = commentedPackets(Buffer.concat(chunks));
    expect(packet!.bytes).toHaveLength(65_000);
    // All zeros but the field: it is the complement of 0.
    expect(packet!.bytes.readUInt16BE(34 + 16)).toBe(0xffff);
    expect(packet!.comment).toContain(' segments-of=1448');
    expect(new DataView(batch.slab.bytes.buffer).getUint16(34 + 16)).toBe(0);
  });
});

describe('a capture is refused', () => {
  test.each([
    [{ port: 'nix' }, 'invalid-params', "'port': there is no such port, only tap0, eth1"],
    [{}, 'invalid-params', "'port': is missing"],
    [{ vm: 'vm7', side: 'inside' }, 'unknown-vm', "there is no VM 'vm7'"],
    [{ port: 'tap0', side: 'outside' }, 'invalid-params', 'there is no such port'],
    [{ port: 'tap0', match: 'udp dprt 5' }, 'invalid-params', "(column 5): did you mean 'dport'?"],
    [{ port: 'tap0', match: '# nothing' }, 'invalid-params', 'expected the matches of a rule'],
    [{ port: 'tap0', match: 'udp dport 5 pass' }, 'invalid-params', '(column 13)'],
    [{ port: 'tap0', match: 'udp dport' }, 'invalid-params', '(column'],
    [{ port: 'tap0', match: 'declared' }, 'invalid-params', 'knows no declared flows'],
    [{ port: 'tap0', match: 'udp sport @ports' }, 'invalid-params', 'write the values instead'],
    [{ port: 'tap0', match: 'udp dport 1\n}\ninbound {' }, 'invalid-params', '(column'],
    [{ port: 'tap0', snapLen: 0 }, 'invalid-params', "'snapLen'"],
  ] as const)('%j: %s', async (params, code, words) => {
    const error = await openCapture(rig.path, params as never).then(
      () => null,
      (reason: Error) => reason,
    );
    expect(error).toMatchObject({ code, message: expect.stringContaining(words) });
  });

  test('when there are too many already; one that ends makes room', async () => {
    const opened = await Promise.all(Array.from({ length: 8 }, () => capture({ port: 'tap0' })));
    await expect(capture({ port: 'tap0' })).rejects.toMatchObject({ code: 'overloaded' });
    opened[0]!.socket.destroy();
    await until(() => rig.server.clients === 7);
    expect((await capture({ port: 'tap0' })).answer.vm).toBe('vm0');
  });

  test('without a gateway', async () => {
    await expect(openCapture(`${rig.path}.not`, { port: 'tap0' })).rejects.toMatchObject({ code: 'unreachable' });
  });

  test('as a notification, which has no answer: nothing happens', async () => {
    const raw = await rig.raw();
    raw.write('{"jsonrpc":"2.0","method":"capture.start","params":{"port":"tap0"}}\n');
    expect(await raw.ask('status')).toMatchObject({ id: 1 });
    expect(scene.vm.forwarder.isTapped).toBe(false);
  });
});

describe('the connection of a capture', () => {
  test('carries nothing else: no more answers, no events', async () => {
    const raw = await rig.raw();
    await raw.ask('events.subscribe', { kinds: ['epoch'] });
    const chunks: Buffer[] = [];
    raw.socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    const lines = [
      { jsonrpc: '2.0', id: 2, method: 'capture.start', params: { port: 'tap0' } },
      { jsonrpc: '2.0', id: 3, method: 'status', params: {} },
    ];
    raw.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    await until(() => Buffer.concat(chunks).includes('\n'));
    raw.write(`${JSON.stringify({ jsonrpc: '2.0', id: 4, method: 'hello', params: {} })}\n`);
    await rig.client().vm('vm0').start();
    scene.send(1, PASS);
    raw.socket.end();
    await raw.closed;
    const all = Buffer.concat(chunks);
    const file = all.subarray(all.indexOf('\n') + 1);
    expect(JSON.parse(all.subarray(0, all.indexOf('\n')).toString()).id).toBe(2);
    expect(file.readUInt32LE(0)).toBe(0x0a0d0d0a);
    let end = 0;
    while (end < file.length) end += file.readUInt32LE(end + 4);
    expect(end).toBe(file.length);
    expect(comments(file)).toHaveLength(1);
  });

  test('ends the tap with it: without a capture there is none', async () => {
    expect(scene.vm.forwarder.isTapped).toBe(false);
    const first = await capture({ port: 'tap0' });
    const second = await capture({ port: 'eth1' });
    expect(scene.vm.forwarder.isTapped).toBe(true);
    await ended(first);
    expect(scene.vm.forwarder.isTapped).toBe(true);
    second.socket.destroy();
    await until(() => !scene.vm.forwarder.isTapped);
  });

  test('when the gateway ends has the statistics of what it gave', async () => {
    const opened = await capture({ port: 'tap0' });
    scene.send(1, PASS);
    const chunks: Buffer[] = [];
    opened.socket.on('data', (chunk) => chunks.push(chunk));
    opened.socket.on('end', () => opened.socket.end());
    const closed = new Promise((resolve) => opened.socket.once('close', resolve));
    await rig.server.close();
    await closed;
    expect(statistics(Buffer.concat(chunks))).toEqual([[1, 0, 1, 1]]);
  });

  test('that is not read loses frames, counted; forwarding goes on, and the gateway stores no more than a bound', async () => {
    const opened = await capture({ port: 'tap0' });
    opened.socket.pause();
    const FRAMES = 40_000;
    globalThis.gc!();
    const before = process.memoryUsage().arrayBuffers;
    for (let sent = 0; sent < FRAMES; ) {
      for (let i = 0; i < 50; i++) scene.put(sent++, PASS);
      while (scene.vm.turn() > 0);
      expect(scene.left()).toHaveLength(50);
    }
    globalThis.gc!();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 2 ** 20);
    expect(scene.vm.counters.get('passed')).toBe(FRAMES);
    const file = await ended(opened);
    const [[received, lost, accepted, written]] = statistics(file) as [number[]];
    expect([received, accepted]).toEqual([FRAMES, FRAMES]);
    expect(lost).toBeGreaterThan(10_000);
    expect(written).toBeGreaterThan(10_000);
    expect(lost! + written!).toBe(FRAMES);
    expect(commentedPackets(file)).toHaveLength(written!);
  });

  test('is not cut off for being slow, as others are', async () => {
    const opened = await capture({ port: 'tap0' });
    scene.send(1, PASS);
    scene.rig.clock.advanceTo(60e9);
    rig.server.tick();
    scene.send(2, PASS);
    expect(comments(await ended(opened))).toHaveLength(2);
  });
});

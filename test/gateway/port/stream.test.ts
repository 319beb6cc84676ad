import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StreamPort, type StreamPortOptions } from '../../../gateway/port/stream.ts';
import { until } from '../../support/netns.ts';
import { anyClock, brief, frameOf, PortHand } from './hands.ts';

let folder: string;
let path: string;
let closing: { close(): void }[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-stream-'));
  path = join(folder, 'link');
});
afterEach(() => {
  for (const each of closing) each.close();
  closing = [];
  rmSync(folder, { recursive: true, force: true });
});

function open(options: StreamPortOptions): StreamPort {
  const port = new StreamPort('stream', { path }, anyClock(), { reconnectMs: 5, ...options });
  closing.push(port);
  return port;
}

/** The other end, byte by byte. */
class Peer {
  readonly socket: Socket;
  received = Buffer.alloc(0);
  ended = false;

  constructor(socket: Socket, reads = true) {
    this.socket = socket;
    if (reads) socket.on('data', (chunk) => (this.received = Buffer.concat([this.received, chunk])));
    socket.on('error', () => {});
    socket.on('close', () => (this.ended = true));
    closing.push({ close: () => socket.destroy() });
  }

  static async to(port: StreamPort, reads = true): Promise<Peer> {
    await until(() => existsSync(path), 'the socket');
    const peer = new Peer(connect(path), reads);
    await until(() => port.link === 'up', 'the port to have its peer');
    return peer;
  }
}

function framed(...frames: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    frames.flatMap((frame) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(frame.length);
      return [length, frame];
    }),
  );
}

test('a frame is preceded by its length in four bytes, most significant first, as QEMU has it', async () => {
  const port = open({ role: 'listen' });
  const peer = await Peer.to(port);
  const frame = frameOf(0x012c, 1);
  await new PortHand(port).send([frame]);
  await until(() => peer.received.length >= 304, 'the frame');
  expect(peer.received.subarray(0, 4)).toEqual(Buffer.from([0, 0, 1, 0x2c]));
  expect(brief(peer.received.subarray(4))).toBe(brief(frame));
});

test('frames are found however the stream is cut into pieces', async () => {
  const port = open({ role: 'listen' });
  const peer = await Peer.to(port);
  const frames = [frameOf(60, 1), frameOf(1514, 2), frameOf(14, 3)];
  for (const byte of framed(...frames)) {
    peer.socket.write(Buffer.of(byte));
    if (byte % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  expect((await new PortHand(port).takeAll(3)).map(brief)).toEqual(frames.map(brief));
});

test('an empty frame is none', async () => {
  const port = open({ role: 'listen' });
  const peer = await Peer.to(port);
  peer.socket.write(Buffer.concat([Buffer.alloc(8), framed(frameOf(60, 1)), Buffer.alloc(4)]));
  expect((await new PortHand(port).takeAll(1)).map(brief)).toEqual([brief(frameOf(60, 1))]);
});

test('a length that no frame has ends the connection, and the next one works', async () => {
  const port = open({ role: 'listen' });
  const peer = await Peer.to(port);
  peer.socket.write(Buffer.concat([framed(frameOf(60, 1)), Buffer.from([0, 1, 0x10, 1]), Buffer.alloc(100)]));
  const hand = new PortHand(port);
  expect(await hand.takeAll(1)).toHaveLength(1);
  await until(() => {
    hand.take();
    return peer.ended;
  }, 'the connection to end');
  expect(port.counters.byName()).toMatchObject({ received: 1, lost: 1 });
  await until(() => port.link === 'absent', 'the port to notice');
  expect(port.trouble).toBe('the other end sends no frames: a length is out of range');
  const next = await Peer.to(port);
  next.socket.write(framed(frameOf(70, 1)));
  expect((await hand.takeAll(1)).map(brief)).toEqual([brief(frameOf(70, 1))]);
});

test('the longest frame that QEMU sends is taken, a longer one is not sent', async () => {
  const port = open({ role: 'listen' });
  const peer = await Peer.to(port);
  peer.socket.write(framed(new Uint8Array(69_632).fill(7)));
  const hand = new PortHand(port);
  expect((await hand.takeAll(1))[0]).toHaveLength(65_600);
  expect(hand.wireLength).toBe(69_632);
  hand.batch.length[0] = 69_633;
  expect(port.transmit(hand.batch, 0, 1)).toBe(1);
  hand.batch.length[0] = 0;
  expect(port.transmit(hand.batch, 0, 1)).toBe(1);
  expect(port.counters.byName()).toMatchObject({ tooLong: 2, sent: 0 });
});

test('a sender waits when nobody reads, and everything arrives in the end', async () => {
  const port = open({ role: 'listen' });
  const peer = await Peer.to(port);
  const frames = Array.from({ length: 4000 }, (_, i) => frameOf(1514, i));
  const all = framed(...frames);
  let written = false;
  peer.socket.write(all, () => (written = true));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(written).toBe(false);
  const got = await new PortHand(port).takeAll(4000);
  expect(got.map(brief)).toEqual(frames.map(brief));
  expect(written).toBe(true);
});

/** Offers frames until the port refuses. @returns how many it accepted */
async function fill(hand: PortHand, frames: readonly Uint8Array[]): Promise<number> {
  let sent = 0;
  for (;;) {
    const accepted = hand.offer(frames);
    sent += accepted;
    if (accepted < frames.length) return sent;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a peer that does not read makes the port refuse, and onReady says when it takes frames again', async () => {
  const port = open({ role: 'listen' });
  const peer = await Peer.to(port, false);
  const hand = new PortHand(port);
  const frames = Array.from({ length: 64 }, (_, i) => frameOf(9000, i));
  const sent = await fill(hand, frames);
  const left = frames.slice(sent % 64);
  expect(port.counters.byName()).toMatchObject({ sent, refused: left.length });
  // What was refused is offered again from the first one on; a part of it may be on its way already.
  let ready = 0;
  port.onReady = () => ready++;
  peer.socket.on('data', (chunk) => (peer.received = Buffer.concat([peer.received, chunk])));
  await until(() => ready > 0, 'the port to take frames again');
  await hand.send(left);
  const all = framed(...frames, ...frames).subarray(0, 9004 * 64);
  const rounds = (sent + left.length) / 64;
  await until(() => peer.received.length >= rounds * all.length, 'every frame that was accepted');
  for (let round = 0; round < rounds; round++) {
    expect(peer.received.subarray(round * all.length, (round + 1) * all.length).equals(all)).toBe(true);
  }
  expect(peer.received.length).toBe(rounds * all.length);
  expect(port.counters.get('sent')).toBe(sent + left.length);
});

test('a frame of which the kernel took a part, and that is not offered again, is finished all the same', async () => {
  const port = open({ role: 'listen' });
  const peer = await Peer.to(port, false);
  const hand = new PortHand(port);
  const frames = Array.from({ length: 64 }, (_, i) => frameOf(65_000, i));
  await fill(hand, frames);
  peer.socket.on('data', (chunk) => (peer.received = Buffer.concat([peer.received, chunk])));
  await hand.send([frameOf(60, 7)]);
  const last = framed(frameOf(60, 7));
  await until(() => peer.received.subarray(-last.length).equals(last), 'the last frame');
  // All in between are whole: whoever follows the lengths comes to the end.
  let at = 0;
  while (at < peer.received.length) at += 4 + peer.received.readUInt32BE(at);
  expect(at).toBe(peer.received.length);
});

test('what it has accepted outlives the process: it is in the kernel, not in a queue', async () => {
  const port = open({ role: 'listen' });
  const peer = await Peer.to(port, false);
  const hand = new PortHand(port);
  const sent = await fill(hand, [frameOf(9000, 1)]);
  port.close();
  peer.socket.on('data', (chunk) => (peer.received = Buffer.concat([peer.received, chunk])));
  await until(() => peer.ended, 'the end');
  expect(Math.floor(peer.received.length / 9004)).toBe(sent);
});

test('frames without a peer are counted, not kept', async () => {
  const port = open({});
  expect([port.link, port.trouble]).toEqual(['absent', `waiting for ${path}`]);
  expect(new PortHand(port).offer([frameOf(60, 1), frameOf(60, 2)])).toBe(2);
  expect(port.counters.byName()).toMatchObject({ linkDown: 2, sent: 0 });
});

test('a port goes on trying to reach the other end, and finds it again when it has gone', async () => {
  const port = open({});
  const changes: string[] = [];
  port.onLink = () => changes.push(port.link);
  let peer: Peer | null = null;
  const serve = async (): Promise<Server> => {
    const server = createServer((socket) => (peer = new Peer(socket)));
    server.listen(path);
    closing.push(server);
    await until(() => peer !== null && port.link === 'up', 'the port to come');
    return server;
  };
  const hand = new PortHand(port);
  for (let round = 0; round < 2; round++) {
    const server = await serve();
    peer!.socket.write(framed(frameOf(60, round)));
    expect((await hand.takeAll(1)).map(brief)).toEqual([brief(frameOf(60, round))]);
    // The last frame comes in part only.
    peer!.socket.write(framed(frameOf(60, 9)).subarray(0, 30));
    await new Promise((resolve) => setTimeout(resolve, 10));
    server.close();
    peer!.socket.destroy();
    await until(() => port.link === 'absent', 'the port to notice');
    peer = null;
  }
  await serve();
  expect(port.counters.get('lost')).toBe(2);
  expect(changes.filter((link, i) => link !== changes[i - 1])).toEqual(
    ['absent', 'up', 'absent', 'up', 'absent', 'up'].slice(changes[0] === 'up' ? 1 : 0),
  );
});

test('a second peer is turned away while one is there', async () => {
  const port = open({ role: 'listen' });
  const first = await Peer.to(port);
  const second = new Peer(connect(path));
  await until(() => second.ended, 'the second to be turned away');
  expect([first.ended, port.link]).toEqual([false, 'up']);
});

test('only its owner may connect to its socket', async () => {
  const port = open({ role: 'listen' });
  await Peer.to(port);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('a socket that a killed process left is replaced, one that is in use is not', async () => {
  const first = open({ role: 'listen' });
  await until(() => existsSync(path), 'the socket');
  const second = open({ role: 'listen' });
  await until(() => second.trouble === `somebody else listens on ${path}`, 'the second to see it');
  const peer = await Peer.to(first);
  expect(second.link).toBe('absent');
  expect(peer.ended).toBe(false);
});

test('what the other end has sent can be gathered without a turn of the event loop, in its order', async () => {
  const port = open({ role: 'listen' });
  const peer = await Peer.to(port);
  const hand = new PortHand(port);
  for (let round = 0; round < 50; round++) {
    const frames = Array.from({ length: 20 }, (_, i) => frameOf(60 + i, (round * 20 + i) % 251));
    peer.socket.write(framed(...frames));
    // In some rounds the event loop has brought a part already.
    if (round % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    port.gather();
    expect(hand.take().map(brief)).toEqual(frames.map(brief));
  }
});

test('what waits in a stream that was told to pause is gathered too, before what is behind it', async () => {
  const port = open({ role: 'listen', inputBytes: 2 ** 19 });
  const peer = await Peer.to(port);
  const hand = new PortHand(port);
  const frames = Array.from({ length: 600 }, (_, i) => frameOf(1514, i % 251));
  peer.socket.write(framed(...frames));
  // Nobody takes frames: the port stops reading.
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  const got: string[] = [];
  for (let before = -1; before < got.length; ) {
    before = got.length;
    port.gather();
    got.push(...hand.take().map(brief));
  }
  expect(got).toEqual(frames.slice(0, got.length).map(brief));
  expect(got.length).toBeGreaterThan(2 ** 19 / 1518);
  got.push(...(await hand.takeAll(frames.length - got.length)).map(brief));
  expect(got).toEqual(frames.map(brief));
});

test('in either role it goes to who listens', async () => {
  const server: Server = createServer();
  closing.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const port = open({ role: 'either' });
  await until(() => port.link === 'up', 'the link');
});

test.each(['nobody', 'a socket that nobody listens on any more'])(
  'in either role it waits where %s is',
  async (who) => {
    if (who !== 'nobody') {
      const script =
        "require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
      spawnSync(process.execPath, ['-e', script, path]);
      expect(existsSync(path)).toBe(true);
    }
    const port = open({ role: 'either' });
    expect(port.isReady).toBe(false);
    await until(() => port.isReady, 'the port to wait');
    expect([port.link, port.trouble]).toEqual(['absent', `waiting for a peer on ${path}`]);
    const peer = await Peer.to(port);
    peer.socket.destroy();
    await until(() => port.link === 'absent', 'the peer to be gone');
    await Peer.to(port);
  },
);

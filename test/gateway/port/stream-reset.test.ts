/** A stream that hangs up on its peer, because the machine behind it is not the VM's any more. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StreamPort } from '../../../gateway/port/stream.ts';
import { until } from '../../support/netns.ts';
import { anyClock, brief, frameOf, PortHand } from './hands.ts';

const [FIRST, SECOND] = [frameOf(60, 1), frameOf(60, 2)];

let folder: string;
let path: string;
let port: StreamPort;
let server: Server | null = null;
const sockets: Socket[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-stream-'));
  path = join(folder, 'link');
});
afterEach(() => {
  port?.close();
  server?.close();
  server = null;
  for (const socket of sockets.splice(0)) socket.destroy();
  rmSync(folder, { recursive: true, force: true });
});

function open(role: 'listen' | 'connect'): void {
  port = new StreamPort('stream', { path }, anyClock(), { role, reconnectMs: 5 });
}

async function peer(): Promise<Socket> {
  await until(() => existsSync(path), 'the socket');
  const socket = connect(path).on('error', () => {});
  sockets.push(socket);
  await until(() => port.link === 'up', 'the port to have its peer');
  return socket;
}

function framed(frame: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(frame.length);
  return Buffer.concat([length, frame]);
}

test('what the peer sent and nobody has read is lost and counted, and whoever comes next is heard', async () => {
  open('listen');
  const before = await peer();
  let came = 0;
  port.onReady = () => came++;
  before.write(Buffer.concat([framed(FIRST), framed(FIRST)]));
  await until(() => came > 0, 'frames');
  port.reset();
  expect(port.counters.get('lost')).toBe(2);
  before.write(framed(FIRST));
  await until(() => port.link === 'absent' && before.destroyed, 'the peer to be hung up on');
  const after = await peer();
  after.write(framed(SECOND));
  expect((await new PortHand(port).takeAll(1)).map(brief)).toEqual([brief(SECOND)]);
});

test('what Node has read of a peer that had to wait is never given either', async () => {
  open('listen');
  const before = await peer();
  // More than the port takes at once, so that it stops reading.
  const many = Buffer.concat(Array.from({ length: 60_000 }, () => framed(FIRST)));
  let lastAt = 0;
  port.onReady = () => (lastAt = performance.now());
  before.write(many);
  await until(() => lastAt > 0 && performance.now() - lastAt > 50, 'the port to stop reading');
  port.reset();
  port.gather();
  expect(new PortHand(port).take()).toEqual([]);
  await until(() => port.link === 'absent', 'the peer to be hung up on');
  port.gather();
  expect(new PortHand(port).take()).toEqual([]);
});

test('a port that goes to its peer goes there again', async () => {
  const arrived: Socket[] = [];
  server = createServer((socket) => {
    sockets.push(socket.on('error', () => {}));
    arrived.push(socket);
  });
  server.listen(path);
  open('connect');
  await until(() => arrived.length === 1 && port.link === 'up', 'the port to come');
  let came = 0;
  port.onReady = () => came++;
  arrived[0]!.write(framed(FIRST));
  await until(() => came > 0, 'a frame');
  port.reset();
  await until(() => arrived.length === 2 && port.link === 'up', 'the port to come again');
  arrived[0]!.write(framed(FIRST));
  arrived[1]!.write(framed(SECOND));
  expect((await new PortHand(port).takeAll(1)).map(brief)).toEqual([brief(SECOND)]);
});

test('a peer that has not sent anything yet stays: it is there in place of an earlier one', async () => {
  open('listen');
  const before = await peer();
  before.write(framed(FIRST));
  expect(await new PortHand(port).takeAll(1)).toHaveLength(1);
  before.destroy();
  await until(() => port.link === 'absent', 'the peer to be gone');
  const after = await peer();
  port.reset();
  expect(port.link).toBe('up');
  after.write(framed(SECOND));
  expect((await new PortHand(port).takeAll(1)).map(brief)).toEqual([brief(SECOND)]);
});

test('a port without a peer is not disturbed', async () => {
  open('listen');
  await until(() => existsSync(path), 'the socket');
  port.reset();
  const after = await peer();
  after.write(framed(SECOND));
  expect((await new PortHand(port).takeAll(1)).map(brief)).toEqual([brief(SECOND)]);
});

/** A whole gateway whose VM has stream ports: machines come and go as connections. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Gateway } from '../../gateway/gateway.ts';
import type { HostEvent } from '../../gateway/host/api.ts';
import { HostClient } from '../../gateway/host/client.ts';
import { DEFAULT_LIMITS } from '../../gateway/occupancy.ts';
import { parsePortSpec } from '../../gateway/port/spec.ts';
import { LONGEST_STREAM_FRAME, StreamInput } from '../../gateway/port/stream-buffers.ts';
import { frame } from '../../pcaps/build.ts';
import { arpFrame, VM_IP4, VM_MAC } from '../support/neighbour-frames.ts';
import { until } from '../support/netns.ts';

const RULES = 'outbound { udp dport 9 hold\n default pass }';
const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const HELD = 9;
const PASSED = 10;

let folder: string;
let gateway: Gateway;
let reopen: () => Promise<Gateway>;
let host: HostClient;
let net: Peer;
const peers: Peer[] = [];
const warnings: string[] = [];

/** The other end of a stream port. */
class Peer {
  readonly socket: Socket;
  readonly #input = new StreamInput(16 * LONGEST_STREAM_FRAME);
  readonly frames: Buffer[] = [];

  constructor(path: string) {
    this.socket = connect(path).on('error', () => {});
    this.socket.on('data', (chunk) => {
      this.#input.add(chunk);
      for (let length = this.#input.next(); length > 0; length = this.#input.next()) {
        const bytes = Buffer.alloc(length);
        this.#input.take(length, new DataView(bytes.buffer, bytes.byteOffset), 0, length);
        this.frames.push(bytes);
      }
    });
    peers.push(this);
  }

  send(...frames: readonly Uint8Array[]): void {
    for (const bytes of frames) {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      this.socket.write(Buffer.concat([length, bytes]));
    }
  }

  /** What UDP datagrams said, in order. */
  get said(): string[] {
    return this.frames
      .filter((bytes) => bytes.readUInt16BE(12) === 0x0800)
      .map((bytes) => bytes.subarray(42).toString());
  }

  get announcements(): number {
    return this.frames.filter((bytes) => bytes.readUInt16BE(12) === 0x0806).length;
  }
}

function datagram(port: number, text: string): Uint8Array {
  return frame().eth({ src: VM_MAC }).ip4({ src: VM_IP4 }).udp(1, port).payload(text).build();
}

const socketAt = (name: string) => join(folder, name);
const spec = (name: string) => `stream-listen:unix:${socketAt(name)}`;

async function peerAt(name: string): Promise<Peer> {
  await until(() => existsSync(socketAt(name)), `the socket ${name}`);
  const peer = new Peer(socketAt(name));
  await until(() => linkOf(name) === 'up', `${name} to be up`);
  return peer;
}

function linkOf(name: string): string | undefined {
  return gateway.ports().find((port) => port.name === `unix:${socketAt(name)}`)?.link;
}

const vm = () => gateway.vms.get('vm0')!.vm;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-failover-'));
  writeFileSync(socketAt('test.rules'), RULES);
  warnings.length = 0;
  const log = { ...SILENT, warn: (_: object, message: string) => warnings.push(message) };
  const config = {
    control: socketAt('control'),
    listen: [],
    stateDir: socketAt('state'),
    metrics: null,
    log: { level: 'info', format: 'json' },
    vms: [
      {
        name: 'vm0',
        replicated: false,
        pairs: [{ inside: parsePortSpec(spec('a')), outside: parsePortSpec(spec('net')) }],
        rules: socketAt('test.rules'),
        limits: DEFAULT_LIMITS,
        buffer: 'memory',
        pacing: 'burst',
        overflow: 'drop',
        announce: ['10.0.0.99'],
      },
    ],
  } as const;
  reopen = () => Gateway.open(config, { version: '1.2.3', log });
  gateway = await reopen();
  host = new HostClient({ path: config.control, client: 'test' });
  net = await peerAt('net');
});
afterEach(async () => {
  host?.close();
  await gateway?.close();
  for (const { socket } of peers.splice(0)) socket.destroy();
  rmSync(folder, { recursive: true, force: true });
});

test('a VM goes on behind another port: held frames of its checkpoint leave, the rest never does', async () => {
  const events: HostEvent[] = [];
  const a = await peerAt('a');
  const client = host.vm('vm0');
  await client.start({ leaseMs: 0 });
  a.send(arpFrame(), datagram(PASSED, 'data'), datagram(HELD, 'committed'));
  await until(() => vm().txBuffer.frames === 1 && net.said.length === 1, 'one frame to be held and one to pass');
  const { epoch } = await client.seal();
  a.send(datagram(HELD, 'rolled back'));
  await until(() => vm().txBuffer.frames === 2, 'the next to be held');
  await host.subscribe(['port'], (event) => events.push(event));
  const answer = await client.failover(epoch, spec('b'));
  expect(answer).toEqual({
    term: 2,
    openEpoch: 3,
    discardedFrames: 1,
    releasedFrames: 1,
    announced: [VM_IP4, '10.0.0.99'],
  });
  expect(linkOf('b')).toBe('absent');
  // The standby's machine comes a moment later.
  const b = await peerAt('b');
  a.send(datagram(PASSED, 'from the dead'));
  b.send(datagram(PASSED, 'from the living'));
  await until(() => vm().counters.reasonsByName().fenced === 1, 'the old machine to be heard by nobody');
  await until(() => net.said.length === 3, 'the new one to be heard');
  expect(net.said).toEqual(['data', 'committed', 'from the living']);
  net.send(datagram(PASSED, 'to the VM'));
  await until(() => b.said.length === 1, 'the new machine to get a frame');
  expect(a.said).toEqual([]);
  // The ARP request of the VM's own, and five rounds for each address.
  await until(() => net.announcements === 11, 'the announcements');
  const states = events.flatMap((event) => (event.kind === 'port' ? [`${event.name.slice(-1)} ${event.state}`] : []));
  expect([states[0], states[1], states.at(-1)]).toEqual(['b absent', 'a fenced', 'b up']);
});

test('a VM goes on behind the same port: who was there is hung up on, who comes next is heard', async () => {
  const a = await peerAt('a');
  const client = host.vm('vm0');
  await client.start({ leaseMs: 0 });
  a.send(datagram(HELD, 'rolled back'));
  await until(() => vm().txBuffer.frames === 1, 'a frame to be held');
  expect(await client.failover(0, spec('a'))).toMatchObject({ discardedFrames: 1, announced: [] });
  expect(warnings.at(-1)).toMatch('10.0.0.99 cannot be announced');
  await until(() => a.socket.destroyed, 'the old machine to be hung up on');
  const b = await peerAt('a');
  b.send(datagram(PASSED, 'from the living'));
  await until(() => net.said.length > 0, 'the new one to be heard');
  expect(net.said).toEqual(['from the living']);
});

test('a machine that has taken the place of the old one already is not disturbed', async () => {
  const a = await peerAt('a');
  const client = host.vm('vm0');
  await client.start({ leaseMs: 0 });
  a.send(datagram(PASSED, 'data'));
  await until(() => net.said.length === 1, 'the old machine to be heard');
  a.socket.destroy();
  await until(() => linkOf('a') === 'absent', 'the old machine to be gone');
  const b = await peerAt('a');
  await client.failover(0, spec('a'));
  b.send(datagram(PASSED, 'from the living'));
  await until(() => net.said.length === 2, 'the new one to be heard');
});

test('neither the outside port nor another way to the same link can be the inside port', async () => {
  const client = host.vm('vm0');
  await client.start({ leaseMs: 0 });
  for (const inside of [spec('net'), spec('a').replace('-listen', '-connect'), `${spec('b')} ${spec('c')}`]) {
    await expect(client.failover(0, inside)).rejects.toMatchObject({ code: 'port-refused', field: 'inside' });
  }
  expect(vm().epochs.term).toBe(1);
});

test('a gateway that is started anew hears the machine that the VM moved to, not the old one', async () => {
  await peerAt('a');
  const client = host.vm('vm0');
  await client.start({ leaseMs: 0 });
  await client.failover(0, spec('b'));
  await gateway.close();
  gateway = await reopen();
  const moved = /since a failover the VM is behind stream-listen:unix:.*\/b,/;
  expect(warnings.filter((message) => moved.test(message))).toHaveLength(1);
  expect(linkOf('a')).toBeUndefined();
  expect(existsSync(socketAt('a'))).toBe(false);
  net = await peerAt('net');
  const b = await peerAt('b');
  const again = new HostClient({ path: socketAt('control'), client: 'test' });
  try {
    await again.vm('vm0').start({ leaseMs: 0 });
    b.send(datagram(PASSED, 'from the living'));
    await until(() => net.said.length === 1, 'the new machine to be heard');
  } finally {
    again.close();
  }
});

test('a failover that cannot be remembered is refused', async () => {
  const client = host.vm('vm0');
  await client.start({ leaseMs: 0 });
  mkdirSync(join(folder, 'state', 'vm0.inside.new'));
  await expect(client.failover(0, spec('b'))).rejects.toMatchObject({
    code: 'port-refused',
    message: expect.stringMatching(/cannot be written down/),
  });
  expect(vm().epochs.term).toBe(1);
  expect(linkOf('b')).toBeUndefined();
});

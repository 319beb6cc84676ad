import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { OPTION, REPLY } from '../../../gateway/disk/nbd-protocol.ts';
import { ImageStore } from '../../../gateway/protect/image-store.ts';
import { Standby } from '../../../gateway/protect/standby.ts';
import { STANDBY_PROTOCOL } from '../../../gateway/protect/standby-api.ts';
import { StandbyDisks } from '../../../gateway/protect/standby-disks.ts';
import { StandbyLink } from '../../../gateway/protect/standby-link.ts';
import type { Machine, StandbyEvent } from '../../../gateway/protect/standby-options.ts';
import { StandbyServer } from '../../../gateway/protect/standby-server.ts';
import { until } from '../../support/netns.ts';
import { folder } from '../disk/folders.ts';
import { attached, RawClient } from '../disk/nbd-client.ts';
import { grow, small } from '../disk/small-folder.ts';

const NAMES = ['d0', 'd1'] as const;
const BYTES = 2 ** 20;

let where: string;
let disks: StandbyDisks;
let closing: (() => Promise<void> | void)[];

beforeEach(async () => {
  where = folder();
  closing = [];
  disks = await opened();
});
afterEach(async () => {
  for (const close of closing.reverse()) await close();
});

/** As a process does that is started. */
async function opened(): Promise<StandbyDisks> {
  const all = NAMES.map((name) => ({ name, image: image(name), log: join(where, `${name}.redo`), sizeBytes: BYTES }));
  const found = await StandbyDisks.open(all, { path: join(where, 'nbd') }, null);
  closing.push(() => found.close());
  return found;
}

function image(name: string): string {
  return join(where, name);
}

/** What QEMU does for the driver: a connection to each disk. */
async function mirrored(of: StandbyDisks = disks): Promise<readonly RawClient[]> {
  const { address, disks: places } = await of.copy();
  expect(address).toBe(`unix:${join(where, 'nbd')}`);
  expect(places.map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual(NAMES.map((name) => [name, BYTES]));
  return Promise.all(places.map((place) => attached({ path: join(where, 'nbd') }, place.export)));
}

async function write(clients: readonly RawClient[], text: string): Promise<void> {
  for (const client of clients) expect(await client.write(0, Buffer.from(text))).toBe(0);
}

/** @returns how the images begin */
function images(): string[] {
  return NAMES.map((name) => readFileSync(image(name)).toString('latin1', 0, 3));
}

it('every disk goes back to the checkpoint that memory goes back to, committed or only sealed', async () => {
  const clients = await mirrored();
  await write(clients, 'old');
  await disks.start({ term: 1, epoch: 0 });
  await write(clients, 'one');
  await disks.seal({ term: 1, epoch: 1 });
  await disks.durableThrough({ term: 1, epoch: 1 });
  await disks.commit({ term: 1, epoch: 1 });
  await write(clients, 'two');
  await disks.seal({ term: 1, epoch: 2 });
  await write(clients, 'end');
  await disks.handOver({ term: 1, epoch: 2 });
  expect(images()).toEqual(['two', 'two']);
  await Promise.all(clients.map((client) => client.closed));
});

it('nobody finds a disk but who was told its name', async () => {
  const { disks: places } = await disks.copy();
  const stranger = new RawClient({ path: join(where, 'nbd') });
  await stranger.greet();
  stranger.sendOption(OPTION.list);
  const replies = await stranger.replies();
  expect(replies.map(({ type, data }) => [type, data.toString()])).toEqual([[REPLY.policy, 'names are not told here']]);
  for (const name of ['', ...NAMES]) expect((await stranger.go(name)).at(-1)!.type).toBe(REPLY.unknown);
  expect((await stranger.go(places[1]!.export)).at(-1)!.type).toBe(REPLY.ack);
  stranger.socket.destroy();
});

it('a standby that has given its disks away leaves its port to the next one', async () => {
  await disks.close();
  const open = async (name: string, port: number) => {
    const disk = { name, image: image(name), log: join(where, `${name}.redo`), sizeBytes: BYTES };
    const found = await StandbyDisks.open([disk], { host: '127.0.0.1', port }, null);
    closing.push(() => found.close());
    return found;
  };
  const active = await open('d0', 0);
  const { address, disks: places } = await active.copy();
  const port = Number(address.split(':').at(-1));
  await expect(open('d1', port)).rejects.toMatchObject({ name: 'DiskListenError', cause: { code: 'EADDRINUSE' } });
  const mirror = await attached({ host: '127.0.0.1', port }, places[0]!.export);
  await active.start({ term: 1, epoch: 0 });
  await active.handOver({ term: 1, epoch: 0 });
  await mirror.closed;
  const next = await open('d1', port);
  expect((await next.copy()).address).toBe(address);
});

it('a later process finds disks that were given away, and brings nothing old into images that a machine has written', async () => {
  const clients = await mirrored();
  await disks.start({ term: 1, epoch: 0 });
  await write(clients, 'one');
  await disks.seal({ term: 1, epoch: 1 });
  await disks.handOver({ term: 1, epoch: 1 });
  await disks.handOver({ term: 1, epoch: 1 });
  await disks.close();
  for (const name of NAMES) writeFileSync(image(name), Buffer.alloc(BYTES, 'new'));
  const later = await opened();
  await later.handOver({ term: 1, epoch: 1 });
  expect(images()).toEqual(['new', 'new']);
});

it('no disk goes anywhere where one cannot', async () => {
  const clients = await mirrored();
  await disks.start({ term: 1, epoch: 0 });
  await write(clients, 'one');
  await disks.seal({ term: 1, epoch: 1 });
  await expect(disks.handOver({ term: 1, epoch: 2 })).rejects.toThrow(
    'disk d0 is at epoch 0 of term 1, memory is at epoch 2',
  );
  await expect(disks.handOver({ term: 2, epoch: 1 })).rejects.toThrow('memory is at epoch 1 of term 2');
  await write(clients, 'two');
  await disks.seal({ term: 1, epoch: 2 });
  await disks.handOver({ term: 1, epoch: 1 });
  expect(images()).toEqual(['one', 'one']);
});

it('an epoch that was sealed elsewhere and not here belongs to the next one', async () => {
  const clients = await mirrored();
  await disks.start({ term: 1, epoch: 0 });
  await write(clients, 'one');
  await disks.seal({ term: 1, epoch: 4 });
  await disks.commit({ term: 1, epoch: 4 });
  await disks.abort({ term: 1, epoch: 4 });
  await disks.handOver({ term: 1, epoch: 4 });
  expect(images()).toEqual(['one', 'one']);
});

it('a connection that was broken is no mirror any more, also when another one has come in its place', async () => {
  const clients = await mirrored();
  await disks.start({ term: 1, epoch: 0 });
  await disks.seal({ term: 1, epoch: 1 });
  expect(await disks.resume(1, null)).toBe(true);
  clients[1]!.socket.destroy();
  await until(() => disks.status[1]!.isMirrored === false, 'the end of the connection');
  await expect(disks.seal({ term: 1, epoch: 2 })).rejects.toMatchObject({ code: 'disk-broken' });
  expect(await disks.resume(1, null)).toBe(false);
  const again = await mirrored();
  expect(await disks.resume(1, null)).toBe(false);
  await disks.start({ term: 2, epoch: 0 });
  expect(await disks.resume(2, null)).toBe(true);
  await clients[0]!.closed;
  await write(again, 'new');
});

it('a driver that comes anew finds what the newest image has committed, and what it has not aborted', async () => {
  const clients = await mirrored();
  await disks.start({ term: 1, epoch: 0 });
  for (const epoch of [1, 2]) {
    await write(clients, String(epoch).repeat(3));
    await disks.seal({ term: 1, epoch });
  }
  expect(await disks.resume(1, { term: 1, epoch: 1 })).toBe(true);
  expect(disks.status.map(({ committedEpoch }) => committedEpoch)).toEqual([1, 1]);
  await disks.seal({ term: 1, epoch: 3 });
  await expect(disks.handOver({ term: 1, epoch: 2 })).rejects.toThrow('memory is at epoch 2');
  await disks.handOver({ term: 1, epoch: 3 });
  expect(images()).toEqual(['222', '222']);
});

/** A standby with these disks, and a driver's connection to it. */
async function kept(machine: Machine, fence: () => Promise<void>, onEvent: (event: StandbyEvent) => void = () => {}) {
  const standby = new Standby({
    vm: 'vm0',
    store: new ImageStore(join(where, 'images')),
    disks,
    machine,
    ports: {
      fences: true,
      mayBeMade: false,
      switch: async ({ term }) => ({ term: term + 1, discardedFrames: 0, releasedFrames: 0 }),
      unprotect: async () => {},
    },
    goesOnUnprotected: false,
    silenceMs: 0,
    fence,
    onEvent,
  });
  const server = new StandbyServer(standby);
  const address = { path: join(where, 'standby') };
  await server.listen(address);
  const link = await StandbyLink.connect(address, 5000);
  closing.push(
    () => standby.close(),
    () => server.close(),
    () => link.close(),
  );
  return { standby, link };
}

it('a standby keeps an image only with its disks, and gives them away between fence and machine', async () => {
  const done: string[] = [];
  const machine: Machine = {
    ...{ state: 'warm', occupied: null, pid: 1234, qmp: '/nowhere', onExit: null },
    async load(path, opens) {
      done.push(
        `loaded ${readFileSync(path, 'latin1')}`,
        ...opens.map((disk) => readFileSync(disk).toString('latin1', 0, 3)),
      );
    },
    async run() {
      done.push('ran');
    },
    async stop() {},
  };
  const { standby, link } = await kept(machine, async () => {
    await sleep(30);
    done.push(`fenced, and disks are ${disks.status[0]!.state}`);
  });
  const hello = { vm: 'vm0', protocol: STANDBY_PROTOCOL, term: 1, patienceMs: 1000, leaseMs: 0 } as const;
  expect(await link.call('protect.hello', hello)).toEqual({ newest: null, disks: [...NAMES] });
  const { disks: places } = await link.call('disk.copy', { term: 1 });
  const clients = await Promise.all(places.map((place) => attached({ path: join(where, 'nbd') }, place.export)));
  await link.call('disk.start', { term: 1, epoch: 0 });
  const send = async (epoch: number) => {
    const sender = link.begin({ term: 1, epoch });
    sender.write(Buffer.from(`memory ${epoch}`));
    await sender.end(5000);
  };
  await expect(send(1), 'the disks are not sealed').rejects.toMatchObject({ code: 'failed' });
  expect(standby.status.image).toBeNull();
  await write(clients, 'one');
  await link.call('disk.seal', { term: 1, epoch: 1 });
  await send(1);
  expect(standby.status.disks.map(({ committedEpoch }) => committedEpoch)).toEqual([1, 1]);
  await write(clients, 'two');
  await link.call('disk.seal', { term: 1, epoch: 2 });
  link.begin({ term: 1, epoch: 2 }).write(Buffer.from('memory'));
  const torn = link.call('image.end', { term: 1, epoch: 2, bytes: 6, crc: 1 });
  await expect(torn).rejects.toMatchObject({ code: 'image-torn' });
  expect(standby.status.disks.map(({ committedEpoch }) => committedEpoch)).toEqual([1, 1]);
  await standby.failover('told', true);
  expect(done).toEqual(['fenced, and disks are on', 'loaded memory 1', 'one', 'one', 'ran']);
  await expect(link.call('disk.copy', { term: 1 })).rejects.toThrow();
});

it('where disks were given to a machine that did not go on, a driver is told so before the image is forgotten', async () => {
  const machine: Machine = {
    ...{ state: 'warm', occupied: null, pid: 1234, qmp: '/nowhere', onExit: null },
    load: () => Promise.reject(new Error('it cannot be loaded')),
    run: async () => {},
    stop: async () => {},
  };
  const { standby, link } = await kept(machine, async () => {});
  const hello = { vm: 'vm0', protocol: STANDBY_PROTOCOL, term: 1, patienceMs: 1000, leaseMs: 0 } as const;
  await link.call('protect.hello', hello);
  const { disks: places } = await link.call('disk.copy', { term: 1 });
  await Promise.all(places.map((place) => attached({ path: join(where, 'nbd') }, place.export)));
  await link.call('disk.start', { term: 1, epoch: 0 });
  await link.call('disk.seal', { term: 1, epoch: 1 });
  const sender = link.begin({ term: 1, epoch: 1 });
  sender.write(Buffer.from('memory'));
  await sender.end(5000);
  await expect(standby.failover('told', true)).rejects.toThrow('it cannot be loaded');
  expect(() => standby.hello({ hangUp() {} }, { ...hello, term: 2 })).toThrow('start this standby anew');
  expect(standby.status).toMatchObject({ state: 'failed', hasGoneOn: false, image: { term: 1, epoch: 1 } });
});

it('disks that are copied anew leave no way back, and a driver that goes on with them finds what the image has committed', async () => {
  const machine: Machine = {
    ...{ state: 'warm', occupied: null, pid: 1234, qmp: '/nowhere', onExit: null },
    load: async () => {},
    run: async () => {},
    stop: async () => {},
  };
  const { standby, link } = await kept(machine, async () => {});
  const hello = { vm: 'vm0', protocol: STANDBY_PROTOCOL, term: 1, patienceMs: 1000, leaseMs: 0 } as const;
  await link.call('protect.hello', hello);
  const { disks: places } = await link.call('disk.copy', { term: 1 });
  await Promise.all(places.map((place) => attached({ path: join(where, 'nbd') }, place.export)));
  await link.call('disk.start', { term: 1, epoch: 0 });
  await link.call('disk.seal', { term: 1, epoch: 1 });
  const sender = link.begin({ term: 1, epoch: 1 });
  sender.write(Buffer.from('memory'));
  // The standby is killed when the image has its name.
  const committed = vi.spyOn(disks, 'commit').mockResolvedValue();
  await sender.end(5000);
  committed.mockRestore();
  expect(standby.status.disks.map(({ committedEpoch }) => committedEpoch)).toEqual([0, 0]);
  expect(await link.call('disk.resume', { term: 1 })).toEqual({ isWhole: true });
  expect(standby.status.disks.map(({ committedEpoch }) => committedEpoch)).toEqual([1, 1]);
  await link.call('disk.copy', { term: 1 });
  expect(standby.status).toMatchObject({ state: 'waiting', image: null });
});

it('a standby says while an image cannot be written, and when it can again; checkpoints are kept meanwhile', async ({
  skip,
}) => {
  const place = small(BYTES / 2);
  skip(place === null, 'no right to mount file systems');
  await disks.close();
  disks = await StandbyDisks.open(
    [{ name: 'd0', image: join(place!, 'd0'), log: join(where, 'full.redo'), sizeBytes: BYTES }],
    ...([{ path: join(where, 'nbd') }, null] as const),
  );
  const events: StandbyEvent[] = [];
  const machine: Machine = {
    ...{ state: 'warm', occupied: null, pid: 1234, qmp: '/nowhere', onExit: null },
    load: async () => {},
    run: async () => {},
    stop: async () => {},
  };
  const { standby, link } = await kept(
    machine,
    async () => {},
    (event) => events.push(event),
  );
  const ofDisks = () => events.filter(({ event }) => event === 'disk');
  await link.call('protect.hello', { vm: 'vm0', protocol: STANDBY_PROTOCOL, term: 1, patienceMs: 1000, leaseMs: 0 });
  const { disks: places } = await link.call('disk.copy', { term: 1 });
  const client = await attached({ path: join(where, 'nbd') }, places[0]!.export);
  await link.call('disk.start', { term: 1, epoch: 0 });
  const checkpoint = async (epoch: number) => {
    await link.call('disk.seal', { term: 1, epoch });
    const sender = link.begin({ term: 1, epoch });
    sender.write(Buffer.from('memory'));
    await sender.end(5000);
  };
  expect(await client.write(0, Buffer.alloc(BYTES, 'new'))).toBe(0);
  await checkpoint(1);
  await until(() => ofDisks().length === 1, 'the standby to say so');
  expect(ofDisks()).toEqual([{ event: 'disk', name: 'd0', why: expect.stringContaining('ENOSPC') }]);
  await checkpoint(2);
  const trouble = expect.stringContaining('disk d0: its image cannot be written: ENOSPC');
  expect(standby.status).toMatchObject({ state: 'ready', image: { epoch: 2 }, trouble });
  await expect(standby.failover('told', true)).rejects.toThrow('ENOSPC');
  grow(place!, 4 * BYTES);
  await until(() => ofDisks().length === 2, 'the standby to say that it is over');
  expect(ofDisks()[1]).toEqual({ event: 'disk', name: 'd0', why: null });
  await standby.failover('told', true);
  expect(standby.status.state).toBe('active');
  expect(readFileSync(join(place!, 'd0')).equals(Buffer.alloc(BYTES, 'new'))).toBe(true);
});

import { closeSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { encodeDeltaHeader, PAGE_BYTES } from '../../../gateway/protect/delta-image.ts';
import { ImageStore } from '../../../gateway/protect/image-store.ts';
import type { PortSwitch } from '../../../gateway/protect/port-switch.ts';
import { RamBase } from '../../../gateway/protect/ram-base.ts';
import { Standby } from '../../../gateway/protect/standby.ts';
import { STANDBY_PROTOCOL } from '../../../gateway/protect/standby-api.ts';
import { StandbyLink } from '../../../gateway/protect/standby-link.ts';
import type { Machine, StandbyEvent, StandbyOptions } from '../../../gateway/protect/standby-options.ts';
import { StandbyServer } from '../../../gateway/protect/standby-server.ts';
import { until } from '../../support/netns.ts';
import { temporaryFolder } from '../../support/run-cli.ts';

const folder = temporaryFolder();
let made = 0;
let address: { readonly path: string };
let standby: Standby;
let server: StandbyServer;
let store: ImageStore;
let events: StandbyEvent[];
/** What was done, in order, with `loaded TEXT` for what the machine got. */
let done: string[];
let links: StandbyLink[];

const machine: Machine = {
  state: 'warm',
  occupied: null,
  pid: 1234,
  qmp: '/nowhere',
  onExit: null,
  async load(path) {
    done.push(`loaded ${readFileSync(path, 'latin1')}`);
  },
  async run() {
    done.push('ran');
  },
  async stop() {},
};

function portSwitch(fences: boolean): PortSwitch {
  let mayBeMade = false;
  return {
    fences,
    get mayBeMade() {
      return mayBeMade;
    },
    async switch({ term, epoch }, { addresses }) {
      mayBeMade = true;
      done.push(`switched ${term}.${epoch}, ${addresses.length} addresses`);
      return { term: term + 1, discardedFrames: 3, releasedFrames: 4 };
    },
    async unprotect(term) {
      done.push(`unprotected ${term}`);
    },
  };
}

async function open(options: Partial<StandbyOptions> = {}): Promise<void> {
  const number = made++;
  address = { path: folder.path(`standby${number}`) };
  store = new ImageStore(folder.path(`standby-images${number}`));
  standby = new Standby({
    vm: 'vm0',
    store,
    disks: null,
    machine,
    ports: portSwitch(true),
    goesOnUnprotected: false,
    silenceMs: 0,
    fence: null,
    onEvent: (event) => events.push(event),
    ...options,
  });
  server = new StandbyServer(standby);
  await server.listen(address);
}

beforeEach(() => {
  events = [];
  done = [];
  links = [];
});
afterEach(async () => {
  for (const link of links) link.close();
  await server.close();
  await standby.close();
});

async function driver(term = 1, leaseMs = 0, patienceMs = 100): Promise<StandbyLink> {
  const link = await StandbyLink.connect(address, 5000);
  links.push(link);
  await link.call('protect.hello', { vm: 'vm0', protocol: STANDBY_PROTOCOL, term, patienceMs, leaseMs });
  return link;
}

async function send(link: StandbyLink, term: number, epoch: number, text: string): Promise<void> {
  const image = link.begin({ term, epoch });
  image.write(Buffer.from(text));
  await image.end(5000);
}

it('goes on from the last complete image when the driver says that the machine is gone', async () => {
  await open();
  const link = await driver();
  await send(link, 1, 1, 'one');
  await send(link, 1, 2, 'two');
  link.begin({ term: 1, epoch: 3 }).write(Buffer.from('thr'));
  await link.call('protect.gone', { term: 1, isDeliberate: false, why: 'killed' });
  await until(() => standby.status.state === 'active', 'the failover');
  expect(done).toEqual(['loaded two', 'switched 1.2, 0 addresses', 'ran']);
  expect(events.at(-1)).toMatchObject({ event: 'failover', epoch: 2, newTerm: 2, discardedFrames: 3 });
  expect(standby.status).toMatchObject({ images: 2, incoming: null });
  await link.closed;
});

it('an image of many pieces comes as it was sent, with requests between them', async () => {
  await open();
  const link = await driver();
  const bytes = Buffer.alloc(5_000_000, 'a growing pattern ');
  const image = link.begin({ term: 1, epoch: 1 });
  for (let at = 0; at < bytes.length; at += 700_001) {
    image.write(bytes.subarray(at, at + 700_001));
    await link.call('protect.ping', { term: 1 });
  }
  await image.end(5000);
  expect(readFileSync(store.newest!.path).equals(bytes)).toBe(true);
});

it('a machine that was told to end is no failure', async () => {
  await open();
  const link = await driver();
  await send(link, 1, 1, 'one');
  await link.call('protect.gone', { term: 1, isDeliberate: true, why: 'shut down' });
  expect(standby.status.state).toBe('ended');
  expect(done).toEqual([]);
});

it('a driver that comes to say once more that protection has ended does not begin it by its first word', async () => {
  await open({ silenceMs: 1500 });
  const link = await driver();
  await send(link, 1, 1, 'one');
  await link.call('protect.gone', { term: 1, isDeliberate: true, why: 'shut down' });
  (await driver()).close();
  await until(() => standby.status.driverSilentMs! > 2000, 'silence');
  expect(standby.status.state).toBe('ended');
  const next = await driver();
  await send(next, 1, 2, 'two');
  expect(standby.status.state, 'there is a checkpoint again').toBe('ready');
  await until(() => standby.status.state === 'active', 'the failover');
  expect(done[0]).toBe('loaded two');
});

it('where the driver is silent for too long, its machine is taken for dead', async () => {
  await open({ silenceMs: 60 });
  const link = await driver();
  await send(link, 1, 1, 'one');
  link.close();
  await until(() => standby.status.state === 'active', 'the failover');
  expect(done.at(-1)).toBe('ran');
});

it('a driver that is heard is not taken for dead, whatever it says', async () => {
  await open({ silenceMs: 3000 });
  const link = await driver();
  await send(link, 1, 1, 'one');
  const image = link.begin({ term: 1, epoch: 2 });
  for (const say of [() => link.call('protect.ping', { term: 1 }), () => image.write(Buffer.from('two'))]) {
    await sleep(350);
    const before = standby.status.driverSilentMs!;
    say();
    await until(() => standby.status.driverSilentMs! < before, 'the word to be heard');
  }
  expect(standby.status.state).toBe('ready');
});

it('a standby that was not let run for longer than that hears first what was said meanwhile', async () => {
  await open({ silenceMs: 1000 });
  const link = await driver();
  await send(link, 1, 1, 'one');
  const ping = link.call('protect.ping', { term: 1 });
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1200);
  await ping;
  expect(standby.status).toMatchObject({ state: 'ready' });
  expect(done).toEqual([]);
});

it('a standby that is started anew with an image goes on from it where the driver comes and is silent, and not before', async () => {
  await open({ silenceMs: 60 });
  await send(await driver(), 1, 1, 'one');
  await server.close();
  await standby.close();
  await sleep(150);
  expect(done, 'nothing happens to one that is closed').toEqual([]);
  made--;
  await open({ silenceMs: 60 });
  await sleep(150);
  expect(standby.status, 'nobody has been heard').toMatchObject({ state: 'ready', driverSilentMs: null });
  await driver();
  await until(() => standby.status.state === 'active', 'the failover');
});

it.each([
  ['told that the machine is dead', {}, true],
  ['having made sure of that itself', { fence: async () => {} }, false],
] as const)('where another gateway takes over, it waits for no lease when it was %s', async (_, options, isDead) => {
  await open({ ports: portSwitch(false), ...options });
  const link = await driver(1, 3_600_000);
  await send(link, 1, 1, 'one');
  if (isDead) await link.call('protect.gone', { term: 1, isDeliberate: false, why: 'killed' });
  else void standby.failover('told', false);
  await until(() => standby.status.state === 'active', 'the failover');
});

it('while the VM is about to go on here no driver is let in; where that failed its machine lives, and is protected again', async () => {
  let attempts = 0;
  let fail: (why: Error) => void = () => {};
  const fence = () => {
    attempts++;
    return new Promise<void>((_, reject) => {
      fail = reject;
    });
  };
  await open({ fence, silenceMs: 60 });
  await send(await driver(), 1, 1, 'one');
  const failed = standby.failover('told', false).catch((error: Error) => error.message);
  await expect(driver()).rejects.toMatchObject({ code: 'failing-over' });
  expect(() => standby.standDown('told')).toThrow('the VM goes on here');
  fail(new Error('no'));
  expect(await failed).toBe('no');
  await sleep(150);
  expect([attempts, standby.status.state, standby.status.hasGoneOn], 'nobody tries again by himself').toEqual([
    1,
    'failed',
    false,
  ]);
  standby.standDown('told');
  expect(standby.status.state).toBe('waiting');
  await send(await driver(), 1, 2, 'two');
  expect(standby.status).toMatchObject({ state: 'ready', trouble: null });
});

it('a driver that comes where a failover has failed finds the image that there was', async () => {
  const fence = () => Promise.reject(new Error('no'));
  await open({ fence });
  await send(await driver(), 1, 1, 'one');
  await expect(standby.failover('told', false)).rejects.toThrow('no');
  await driver();
  expect(standby.status).toMatchObject({ state: 'ready', image: { epoch: 1 } });
});

it('an image that was named, and whose driver was told of no more than a failure, counts when a driver comes anew', async () => {
  await open();
  store.begin({ term: 1, epoch: 1 });
  store.write(Buffer.from('one'));
  await store.end({ term: 1, epoch: 1 }, 3, crc32('one'));
  expect(standby.status.state).toBe('waiting');
  await driver();
  expect(standby.status.state).toBe('ready');
});

it('where the network may lead here no driver is let in, whatever has failed', async () => {
  const ports: PortSwitch = { ...portSwitch(true), mayBeMade: true, switch: () => Promise.reject(new Error('lost')) };
  await open({ ports: { ...ports, mayBeMade: false } });
  await driver();
  await open({ ports });
  await expect(driver()).rejects.toMatchObject({ code: 'fenced' });
  expect(() => standby.standDown('told')).toThrow('the VM goes on here');
});

it('a machine that ends when it is the VM has failed', async () => {
  await open();
  await send(await driver(), 1, 1, 'one');
  await standby.failover('told', true);
  machine.onExit!('the machine ended: SIGSEGV');
  expect(standby.status).toMatchObject({ state: 'failed', trouble: 'the machine ended: SIGSEGV', hasGoneOn: true });
  await expect(driver()).rejects.toMatchObject({ code: 'fenced' });
});

it('an image that is not what its sender says is refused as torn, and what was half there goes with its driver', async () => {
  await open();
  const link = await driver();
  link.begin({ term: 1, epoch: 1 }).write(Buffer.from('one'));
  const end = { term: 1, epoch: 1, bytes: 3, crc: 1 };
  await expect(link.call('image.end', end)).rejects.toMatchObject({ code: 'image-torn' });
  link.begin({ term: 1, epoch: 2 }).write(Buffer.from('two'));
  await until(() => standby.status.incoming?.bytes === 3, 'the half');
  link.close();
  await until(() => events.some((event) => event.event === 'driver' && event.is === 'away'), 'the end');
  expect(standby.status.incoming).toBeNull();
});

it('what the driver before had sent gets no name any more when a driver has been told which image is the newest', async () => {
  let isFree = Promise.resolve();
  const images = folder.path(`standby-images${made}`);
  const kept = new ImageStore(images, false, new RamBase(images, false, () => isFree));
  await open({ store: kept });
  const whole = (link: StandbyLink, epoch: number) => {
    const image = link.begin({ term: 1, epoch });
    image.write(encodeDeltaHeader({ ramBytes: PAGE_BYTES, deviceBytes: 1, pages: 0, follows: null }));
    image.write(Buffer.from('d'));
    return image.end(5000);
  };
  const first = await driver();
  await whole(first, 1);
  let free = () => {};
  isFree = new Promise((resolve) => {
    free = resolve;
  });
  const late = whole(first, 2);
  late.catch(() => {});
  await until(() => kept.incoming?.bytes === 65, 'all of the second');
  const second = await StandbyLink.connect(address, 5000);
  links.push(second);
  const hello = { vm: 'vm0', protocol: STANDBY_PROTOCOL, term: 1, patienceMs: 100, leaseMs: 0 } as const;
  const { newest } = await second.call('protect.hello', hello);
  free();
  await expect(late).rejects.toThrow();
  await second.call('protect.ping', { term: 1 });
  expect([newest?.epoch, kept.newest?.epoch]).toEqual([1, 1]);
});

it('a term that has begun with output that no image contains leaves nothing to go on from', async () => {
  await open();
  const link = await driver();
  await send(link, 1, 1, 'one');
  await link.call('protect.forget', { term: 1 });
  expect(standby.status).toMatchObject({ state: 'waiting', image: null });
});

it('what is of a term before that of its driver is nothing to go on from, from the first word on', async () => {
  await open();
  await send(await driver(5, 60_000), 5, 1, 'one');
  const link = await driver(6, 200);
  expect(standby.status).toMatchObject({ state: 'waiting', image: null });
  await expect(standby.failover('told', false)).rejects.toMatchObject({ code: 'no-image' });
  await send(link, 6, 1, 'two');
  expect(standby.status).toMatchObject({ state: 'ready', image: { term: 6 } });
});

it('told to forget, it has nothing to go on from, until a driver comes anew', async () => {
  await open();
  const link = await driver();
  await send(link, 1, 1, 'one');
  const operator = await StandbyLink.connect(address, 5000);
  links.push(operator);
  await operator.call('forget', { why: 'it is protected elsewhere' });
  await link.closed;
  expect(standby.status).toMatchObject({ state: 'waiting', image: null });
  expect(events).toContainEqual({ event: 'state', state: 'waiting', why: 'it is protected elsewhere' });
  await expect(operator.call('failover', {})).rejects.toMatchObject({ code: 'no-image' });
  await send(await driver(), 1, 2, 'two');
  await operator.call('failover', {});
  expect(done).toEqual(['loaded two', 'switched 1.2, 0 addresses', 'ran']);
  await expect(operator.call('forget', {})).rejects.toMatchObject({ code: 'active' });
});

it('bytes of who has not said that he is the driver are in no image', async () => {
  await open();
  const link = await driver();
  const stranger = await StandbyLink.connect(address, 5000);
  links.push(stranger);
  const image = link.begin({ term: 1, epoch: 1 });
  image.write(Buffer.from('wh'));
  await link.call('protect.ping', { term: 1 });
  stranger.begin({ term: 1, epoch: 1 }).write(Buffer.from('bad'));
  await stranger.call('status', {});
  image.write(Buffer.from('ole'));
  await image.end(5000);
  expect(readFileSync(store.newest!.path, 'latin1')).toBe('whole');
});

it('where another gateway takes over, it waits until the old one lets nothing pass', async () => {
  await open({ ports: portSwitch(false), goesOnUnprotected: true });
  const link = await driver(1, 200, 100);
  await link.call('protect.addresses', {
    term: 1,
    addresses: [{ ip: '192.0.2.1', mac: '02:00:00:00:00:01', tags: [], pair: 0, router: false, override: true }],
  });
  const lastWordAt = performance.now();
  await send(link, 1, 1, 'one');
  await (await StandbyLink.connect(address, 5000)).call('failover', {});
  expect(performance.now() - lastWordAt, 'patience, lease and margin').toBeGreaterThan(599);
  expect(done).toEqual(['loaded one', 'switched 1.1, 1 addresses', 'unprotected 2', 'ran']);
});

/** The next process, in the same folder. */
async function restart(options: Partial<StandbyOptions>): Promise<void> {
  await server.close();
  await standby.close();
  made--;
  await open(options);
}

it('so does one that was started anew, though it has heard nobody, and goes on only when it is told to', async () => {
  const ports = portSwitch(false);
  await open({ ports });
  await send(await driver(1, 500, 300), 1, 1, 'one');
  const startedAt = performance.now();
  await restart({ ports, silenceMs: 60 });
  await sleep(150);
  expect(standby.status).toMatchObject({ state: 'ready', driverSilentMs: null });
  await standby.failover('told', false);
  expect(performance.now() - startedAt, 'patience, lease and margin').toBeGreaterThan(1099);
  expect(done.at(-1)).toBe('ran');
});

it.each([
  ['is not there', null],
  ['was cut short', '{"term":1,'],
])('one that was started anew, and where what was said of the lease %s, needs a fence', async (_, text) => {
  const ports = portSwitch(false);
  await open({ ports });
  await send(await driver(1, 200), 1, 1, 'one');
  const path = folder.path(`standby-images${made - 1}/lease`);
  rmSync(path);
  if (text !== null) writeFileSync(path, text);
  await restart({ ports });
  if (text !== null) expect(standby.status.trouble).toContain(path);
  await expect(standby.failover('told', false)).rejects.toThrow('nobody knows how long its gateway lets data pass');
  expect(done).toEqual([]);
  expect(standby.status.state, 'a driver that comes is not told that its VM has gone on').toBe('ready');
  await restart({ ports, fence: async () => {} });
  await driver();
  expect(standby.status.trouble, 'it has been said again').toBeNull();
  await standby.failover('told', false);
  expect(done.at(-1)).toBe('ran');
});

it('a driver that goes on with a term does not shorten the lease that its gateway has granted', async () => {
  await open({ ports: portSwitch(false) });
  await send(await driver(1, 0), 1, 1, 'one');
  await driver(1, 200);
  await expect(standby.failover('told', false)).rejects.toThrow('without end');
});

it('without a lease and a fence a machine that may live is not replaced where another gateway takes over', async () => {
  await open({ ports: portSwitch(false) });
  await send(await driver(1, 0), 1, 1, 'one');
  await expect(standby.failover('told', false)).rejects.toMatchObject({ code: 'failover-failed' });
  expect(done).not.toContain('ran');
});

it('a fence that fails keeps the VM from going on', async () => {
  const fence = async () => {
    throw new Error('the fence command failed: exit code 1');
  };
  await open({ fence });
  await send(await driver(), 1, 1, 'one');
  await expect(standby.failover('told', false)).rejects.toThrow('fence command');
  expect(done).toEqual(['loaded one']);
  expect(standby.status).toMatchObject({ state: 'failed', trouble: 'the fence command failed: exit code 1' });
});

it('without an image there is nothing to go on from, and whoever comes is protected', async () => {
  await open();
  const link = await driver();
  await expect(standby.failover('told', true)).rejects.toMatchObject({ code: 'no-image' });
  expect(standby.status.trouble).toContain('no complete image');
  await send(link, 1, 1, 'one');
  expect(standby.status).toMatchObject({ state: 'ready', trouble: null });
});

it('a driver takes the place of the one before, which is heard no more', async () => {
  await open();
  const first = await driver();
  const image = first.begin({ term: 1, epoch: 1 });
  image.write(Buffer.from('half'));
  const second = await driver();
  await first.closed;
  await send(second, 1, 1, 'whole');
  expect(readFileSync(store.newest!.path, 'latin1')).toBe('whole');
});

it('where the VM may be on the machine here already, it is not protected at itself', async () => {
  const occupied = 'a machine is running at /run/vm0.qmp: it may be the VM';
  await open({ machine: { ...machine, occupied } });
  await expect(driver()).rejects.toMatchObject({ code: 'occupied', message: expect.stringContaining(occupied) });
  expect(standby.status.state).toBe('waiting');
});

it('tells a driver whose VM went on here, or whose term is over, and a stranger', async () => {
  await open();
  await send(await driver(3), 3, 1, 'one');
  await expect(driver(2)).rejects.toMatchObject({ code: 'stale-term' });
  const other = await StandbyLink.connect(address, 5000);
  links.push(other);
  const hello = { vm: 'vm1', protocol: STANDBY_PROTOCOL, term: 1, patienceMs: 1, leaseMs: 0 } as const;
  await expect(other.call('protect.hello', hello)).rejects.toMatchObject({ code: 'unknown-vm' });
  await expect(other.call('protect.ping', { term: 1 })).rejects.toMatchObject({ code: 'not-the-driver' });
  await standby.failover('told', true);
  await expect(driver(3)).rejects.toMatchObject({ code: 'fenced' });
  await expect(standby.failover('again', true)).rejects.toMatchObject({ code: 'active' });
});

it('hangs up on who sends no requests', async () => {
  await open();
  for (const line of [
    'GET / HTTP/1.1\r\n\r\n',
    '{"method":"image.data","params":{"bytes":0}}\n',
    `${'x'.repeat(600_000)}`,
  ]) {
    const socket = connect(address.path);
    let answer = '';
    socket.on('data', (text) => (answer += text));
    socket.on('error', () => {});
    socket.write(line);
    await new Promise((resolve) => socket.once('close', resolve));
    expect(answer === '' || answer.includes('"error"')).toBe(true);
  }
  expect(standby.status.state).toBe('waiting');
});

it('keeps its image until the machine runs, also one of changes', async () => {
  const images = folder.path(`standby-images${made}`);
  const reopened = () => new ImageStore(images, false, new RamBase(images, false, async () => {})).newest;
  const found: unknown[] = [];
  const asked: boolean[] = [];
  const ports: PortSwitch = {
    fences: true,
    get mayBeMade() {
      return asked.length > 0;
    },
    async switch({ term }, _, mayBeSwitched) {
      // Also one that is killed before it hears that the network was switched.
      found.push(reopened());
      asked.push(mayBeSwitched);
      return { term: term + 1, discardedFrames: 0, releasedFrames: 0 };
    },
    unprotect: async () => {},
  };
  const dies: Machine = {
    ...machine,
    async load() {},
    async run() {
      // What a standby that is killed here leaves behind.
      found.push(reopened());
      if (asked.length === 1) throw new Error('the machine is gone');
    },
  };
  await open({
    ports,
    machine: dies,
    store: new ImageStore(images, false, new RamBase(images, false, async () => {})),
  });
  const link = await driver();
  const devices = Buffer.from('as QEMU wrote them');
  const header = encodeDeltaHeader({ ramBytes: 8 * PAGE_BYTES, deviceBytes: devices.length, pages: 1, follows: null });
  const image = link.begin({ term: 1, epoch: 1 });
  for (const bytes of [header, devices, Buffer.from([5, 0, 0, 0]), Buffer.alloc(PAGE_BYTES, 7)]) image.write(bytes);
  await image.end(5000);
  await expect(standby.failover('told', true)).rejects.toThrow('the machine is gone');
  await standby.failover('told again', true);
  expect(found).toEqual(Array(4).fill(expect.objectContaining({ epoch: 1, mayBeSwitched: true })));
  expect(asked, 'the second time the network may have been switched').toEqual([false, true]);
  expect(reopened(), 'a machine that runs changes its memory').toBeNull();
});

it('what an earlier process may have switched counts where going on fails, until there is a newer image', async () => {
  const images = folder.path('switched');
  const opened = () => new ImageStore(images, false, new RamBase(images, false, async () => {}));
  const header = encodeDeltaHeader({ ramBytes: 8 * PAGE_BYTES, deviceBytes: 1, pages: 1, follows: null });
  const bytes = Buffer.concat([header, Buffer.from([1]), Buffer.from([5, 0, 0, 0]), Buffer.alloc(PAGE_BYTES, 7)]);
  const earlier = opened();
  earlier.begin({ term: 1, epoch: 1 });
  earlier.write(bytes);
  await earlier.end({ term: 1, epoch: 1 }, bytes.length, crc32(bytes));
  earlier.settle();
  earlier.switching();
  await open({ store: opened(), fence: () => Promise.reject(new Error('no')) });
  const link = await driver();
  await expect(standby.failover('told', false)).rejects.toThrow('no');
  expect(standby.status).toMatchObject({ state: 'failed', hasGoneOn: true });
  await link.closed;
  await restart({ store: opened(), fence: () => Promise.reject(new Error('no')) });
  const image = (await driver()).begin({ term: 1, epoch: 2 });
  image.write(bytes);
  await image.end(5000);
  await expect(standby.failover('told', false)).rejects.toThrow('no');
  expect(standby.status).toMatchObject({ state: 'failed', hasGoneOn: false });
});

it('where a machine has run on the memory that images change, a failover that failed is not tried again', async () => {
  const images = folder.path(`standby-images${made}`);
  const dies: Machine = {
    ...machine,
    async load() {},
    async run() {
      // It ran for a moment, and nobody has heard that it did.
      const ram = openSync(`${images}/ram`, 'r+');
      writeSync(ram, 'x', 3 * PAGE_BYTES);
      closeSync(ram);
      throw new Error('the machine is gone');
    },
  };
  await open({ machine: dies, store: new ImageStore(images, false, new RamBase(images, false, async () => {})) });
  const image = (await driver()).begin({ term: 1, epoch: 1 });
  image.write(encodeDeltaHeader({ ramBytes: 8 * PAGE_BYTES, deviceBytes: 0, pages: 0, follows: null }));
  await image.end(5000);
  await expect(standby.failover('told', true)).rejects.toThrow('the machine is gone');
  await expect(standby.failover('told again', true)).rejects.toThrow('a machine has run on the memory');
});

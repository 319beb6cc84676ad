/** How a driver goes on with what it finds, and what it does when it does not hear its standby, or is told that its VM is elsewhere. */
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { RequestError, RPC } from '../../../gateway/host/protocol.ts';
import { MirrorError } from '../../../gateway/protect/disk-side.ts';
import type { StandbyState } from '../../../gateway/protect/standby-api.ts';
import { StandbyLink } from '../../../gateway/protect/standby-link.ts';
import { DriverRig } from '../../support/driver-rig.ts';
import { temporaryFolder } from '../../support/run-cli.ts';

const SHORT = { patienceMs: 400, leaseMs: 400 } as const;
/** What the standby is told: a ping that is overdue is noticed at the end of the one before. */
const MOST_SILENT_MS = 500;
/** As long as nothing may happen. */
const QUIET_MS = 300;

const folder = temporaryFolder();
let made = 0;
let rig: DriverRig;

beforeEach(async () => {
  rig = await DriverRig.open(folder.path(`session${made++}`));
});
afterEach(() => rig.close());

function state(): string {
  return rig.driver!.status.state;
}

function done(): string[] {
  return rig.done.filter((what) => what !== 'renew');
}

/** Nothing of this process runs for longer than the standby has to be heard. */
function standStill(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * MOST_SILENT_MS);
}

/** A driver before this one has sealed so many epochs of term 1, and the standby has an image. */
async function left(sealed: number, image: { readonly term: number; readonly epoch: number } | null): Promise<void> {
  const before = rig.host.client().vm('vm0');
  await before.start({ leaseMs: 0 });
  for (let i = 0; i < sealed; i++) await before.seal();
  if (image === null) return;
  rig.store.begin(image);
  rig.store.write(Buffer.from('an image'));
  await rig.store.end(image, 8, crc32('an image'));
}

it('tells the standby how long it goes on unheard, how long its gateway then does, and where the VM is', async () => {
  rig.protect(SHORT);
  await rig.until(() => rig.known !== null, 'addresses');
  expect(rig.met).toMatchObject({ term: 1, patienceMs: MOST_SILENT_MS, leaseMs: SHORT.leaseMs });
});

it('renews the lease also where no checkpoint does, several times within it', async () => {
  rig.protect({ ...SHORT, pace: { kind: 'fixed', intervalMs: 3_600_000 } });
  await rig.commits(1);
  const { asked } = rig;
  const pings = rig.pings;
  await rig.until(() => rig.asked >= asked + 4, 'renewals');
  expect(rig.pings - pings, 'one for each ping, or nearly').toBeLessThan(10);
});

it.each([
  ['shorter', 400],
  ['longer', 3_600_000],
])(
  'a driver that goes on with a term keeps to the lease that began with it, %s than its own, and says so',
  async (_, granted) => {
    await rig.host.client().vm('vm0').start({ leaseMs: granted });
    const own = granted === 400 ? 3_600_000 : 400;
    rig.protect({ patienceMs: 60_000, leaseMs: own, pace: { kind: 'fixed', intervalMs: 3_600_000 } });
    await rig.commits(1);
    expect(rig.met).toMatchObject({ term: 1, leaseMs: granted });
    const { asked } = rig;
    if (granted < own) await rig.until(() => rig.asked >= asked + 4, 'renewals');
    const { leaseMs } = await rig.host.client().vm('vm0').status();
    expect(leaseMs, 'it is what it was').toBe(granted);
  },
);

it('a term that a driver begins has the lease of that driver, whatever the one before had', async () => {
  const before = rig.host.client().vm('vm0');
  await before.start({ leaseMs: 3_600_000 });
  await before.stop('keep');
  rig.protect(SHORT);
  await rig.commits(1);
  expect(rig.met).toMatchObject({ term: 2, leaseMs: SHORT.leaseMs });
  expect(await rig.host.client().vm('vm0').status()).toMatchObject({ term: 2, leaseMs: SHORT.leaseMs });
});

it.each([
  ['the driver hears the standby no more, and is heard', 'client'],
  ['the standby hears the driver no more, and is heard', 'server'],
] as const)('where %s, the gateway is asked for nothing until both hear each other again', async (_, deaf) => {
  rig.protect(SHORT);
  await rig.commits(2);
  rig.proxy.deafen(deaf);
  await rig.until(() => state() === 'degraded', 'the driver to notice');
  const { asked } = rig;
  const heardAt = performance.now() - rig.standby.status.driverSilentMs!;
  // What the standby waits for, and for the lease, before its own gateway takes over.
  expect(rig.askedAt).toBeLessThanOrEqual(heardAt + MOST_SILENT_MS + 1);
  await sleep(QUIET_MS);
  expect(rig.asked).toBe(asked);
  expect(rig.machine.status, 'the machine runs').toBe('running');
  rig.proxy.deafen(null);
  await rig.commits(2);
  // A moment without the processor, and it has noticed that, too.
  await rig.until(() => state() === 'protected', 'protection');
  expect(rig.told('term').every(({ term }) => term === 1)).toBe(true);
});

it('notices a standby that is silent also where it has nothing to say to it', async () => {
  const hour = 3_600_000;
  rig.protect({ patienceMs: 400, leaseMs: hour, pace: { kind: 'fixed', intervalMs: hour } });
  await rig.commits(1);
  rig.proxy.deafen('client');
  await rig.until(() => state() === 'degraded', 'the driver to notice');
});

it('a driver that was not let run asks for nothing before it has heard the standby again', async () => {
  rig.protect({ ...SHORT, pace: { kind: 'fixed', intervalMs: 3_600_000 } });
  await rig.commits(1);
  await rig.until(() => rig.asked > 3, 'renewals');
  rig.proxy.deafen('client');
  const { asked } = rig;
  standStill();
  await rig.until(() => state() === 'degraded', 'the driver to notice');
  expect(rig.asked).toBe(asked);
  rig.proxy.deafen(null);
  await rig.commits(1);
});

it.each([
  [
    'sealed',
    (stand: () => void) => {
      const tell = rig.machine.onChange;
      rig.machine.onChange = (is) => {
        tell(is);
        if (is === 'paused') stand();
      };
    },
  ],
  [
    'aborted',
    (stand: () => void) => {
      rig.machine.failsCopies = 1;
      rig.beforeSeal = async () => stand();
    },
  ],
  [
    'committed',
    (stand: () => void) => {
      rig.afterKept = async () => stand();
    },
  ],
] as const)('nor is an epoch %s by a driver that was not let run', async (what, prepare) => {
  // That the standby has the image is heard, and no more.
  const deaf = what === 'committed' ? 'server' : 'client';
  let asked = 0;
  let isOver = false;
  rig.protect(SHORT);
  await rig.commits(1);
  prepare(() => {
    if (isOver) return;
    isOver = true;
    rig.proxy.deafen(deaf);
    standStill();
    asked = rig.asked;
  });
  const hasNoticed = () => rig.told('state').some((event) => event.state === 'degraded');
  await rig.until(() => isOver && hasNoticed(), 'the driver to notice');
  expect(rig.asked).toBe(asked);
  rig.proxy.deafen(null);
  await rig.commits(2);
  expect(rig.told('term').every(({ term }) => term === 1)).toBe(true);
});

it('a driver that comes anew commits what the standby has, and aborts what is later', async () => {
  await left(4, { term: 1, epoch: 2 });
  rig.protect();
  await rig.commits(1);
  expect(done().slice(0, 3)).toEqual(['commit 2', 'abort 3', 'abort 4']);
  expect(rig.told('term')).toEqual([{ event: 'term', term: 1, openEpoch: 5, how: 'attached' }]);
  expect(rig.driver!.status.aborted).toBe(2);
  expect(rig.store.newest).toMatchObject({ term: 1 });
});

it('an image of another term is no way back: it is forgotten, and no epoch is committed by it', async () => {
  await rig.host.client().vm('vm0').start({ leaseMs: 0 });
  await left(2, { term: 1, epoch: 1 });
  rig.protect();
  await rig.commits(1);
  expect(done().slice(0, 2)).toEqual(['abort 1', 'abort 2']);
  expect(rig.store.newest).toMatchObject({ term: 2, epoch: 3 });
});

it('an image from before what is committed is no way back, and is forgotten', async () => {
  await left(4, { term: 1, epoch: 2 });
  const before = rig.host.client().vm('vm0');
  await before.attach();
  await before.commit(3);
  rig.protect();
  await rig.commits(1);
  expect(done().slice(0, 2)).toEqual(['forget', 'abort 4']);
});

it('a driver that goes on with a term and was not let run meanwhile asks its gateway for nothing', async () => {
  await left(2, { term: 1, epoch: 1 });
  const disk = rig.disks(true);
  let stands = 0;
  const resume = async (...all: Parameters<typeof disk.resume>) => {
    if (stands++ === 0) {
      rig.proxy.deafen('client');
      standStill();
    }
    return disk.resume(...all);
  };
  rig.protect({ ...SHORT, disk: { ...disk, resume } });
  await rig.until(() => stands > 0 && state() === 'degraded', 'the driver to notice');
  expect(rig.asked).toBe(0);
  rig.proxy.deafen(null);
  await rig.commits(1);
});

it('nor does it begin one', async () => {
  const { isHeard } = StandbyLink.prototype;
  const look = vi.spyOn(StandbyLink.prototype, 'isHeard');
  onTestFinished(() => look.mockRestore());
  look.mockImplementationOnce(function (this: StandbyLink, withinMs) {
    rig.proxy.deafen('client');
    standStill();
    return isHeard.call(this, withinMs);
  });
  rig.protect(SHORT);
  await rig.until(() => state() === 'degraded', 'the driver to notice');
  expect(done()).toEqual(['forget']);
  rig.proxy.deafen(null);
  await rig.commits(1);
});

it('no term begins before the standby has heard of its lease, and of the end of its image', async () => {
  await left(1, { term: 1, epoch: 1 });
  await rig.host.client().call('replication.stop', { vm: 'vm0', term: 1, held: 'release' });
  rig.proxy.loseAnswerTo('protect.forget');
  rig.protect(SHORT);
  await rig.commits(1);
  expect(done().slice(0, 3)).toEqual(['forget', 'forget', 'start 2, from first-seal']);
  expect(rig.met).toMatchObject({ term: 2 });
});

it('a machine that was paused because the VM has gone on elsewhere is not let run by the next driver', async () => {
  rig.protect();
  await rig.commits(1);
  await rig.standby.failover('told', true);
  expect(await rig.outcome).toBe('fenced');
  const { resumedAt } = rig.machine;
  const runs = resumedAt.length;
  rig.protect();
  expect(await rig.outcome).toBe('fenced');
  expect(rig.driver!.status.trouble).toContain('active');
  expect([rig.machine.status, resumedAt.length]).toEqual(['paused', runs]);
});

it('a term that was kept for the next host is over: a new one begins', async () => {
  const before = rig.host.client().vm('vm0');
  await before.start({ leaseMs: 0 });
  await before.stop('keep');
  rig.protect();
  await rig.commits(1);
  expect(done().slice(0, 2)).toEqual(['forget', 'start 2, from first-seal']);
});

it('where another host has begun a term, the machine is paused', async () => {
  rig.protect();
  await rig.commits(1);
  await rig.host.client().vm('vm0').start({ leaseMs: 0 });
  expect(await rig.outcome).toBe('fenced');
  expect(rig.machine.status).toBe('paused');
  expect(rig.done.some((what) => what.startsWith('gone'))).toBe(false);
});

it('where the operator has ended replication, the machine runs on, and is not taken for dead', async () => {
  rig.protect({ disk: rig.disks() });
  await rig.commits(1);
  await endReplication();
  expect(await rig.outcome).toBe('released');
  expect(rig.machine.status).toBe('running');
  expect(done().slice(-2)).toEqual(['disks: release', 'gone on purpose']);
  expect(rig.standby.status.state).toBe('ended');
});

/** Replication ends on purpose, and the driver's word of it is lost with its connection. @returns lets the driver and its standby hear each other again */
async function unheardEnd(end: () => Promise<void>, intervalMs = 1): Promise<() => void> {
  rig.protect({ pace: { kind: 'fixed', intervalMs } });
  await rig.commits(1);
  const { standby, proxy } = rig;
  const gone = standby.gone.bind(standby);
  standby.gone = () => proxy.down();
  await end();
  await rig.until(() => rig.driver!.status.trouble?.includes('has not heard of that') === true, 'the driver to notice');
  return () => {
    standby.gone = gone;
    proxy.up();
  };
}

async function endReplication(): Promise<void> {
  const other = rig.host.client().vm('vm0');
  await other.attach();
  await other.stop('release');
}

it.each([
  ['the operator has ended replication', 'released', endReplication, 1],
  // It is asked for nothing meanwhile.
  ['the machine was told to end', 'ended', async () => rig.machine.shutDown(), 3_600_000],
] as const)(
  'where %s and the standby does not hear of it, people are told, and the standby when it can be',
  async (_, outcome, end, intervalMs) => {
    const heal = await unheardEnd(end, intervalMs);
    expect(rig.told('state').at(-1)).toMatchObject({ state: 'degraded', why: rig.driver!.status.trouble });
    heal();
    expect(await rig.outcome).toBe(outcome);
    expect(rig.done.at(-1)).toBe('gone on purpose');
    expect(rig.standby.status.state).toBe('ended');
  },
);

it('a driver whose word of the end is not heard ends when it is told to', async () => {
  await unheardEnd(endReplication);
  rig.driver!.stop();
  expect(await rig.outcome).toBe('released');
});

it('where the VM has gone on at a standby that had not heard of the end, the machine is paused', async () => {
  const heal = await unheardEnd(endReplication);
  await rig.standby.failover('silence', true);
  heal();
  expect(await rig.outcome).toBe('fenced');
  expect(rig.machine.status).toBe('paused');
});

it('where a standby that had not heard of the end has failed to go on, the machine runs on', async () => {
  const heal = await unheardEnd(endReplication);
  rig.isSwitchRefused = true;
  await expect(rig.standby.failover('silence', true)).rejects.toThrow('the gateway refuses');
  heal();
  expect(await rig.outcome).toBe('released');
  expect(rig.machine.status).toBe('running');
});

it('a standby that keeps something else than it is sent hears of the end all the same', async () => {
  rig.protect();
  await rig.commits(1);
  await rig.stopStandby();
  await rig.startStandby(true);
  await rig.until(() => rig.driver!.status.trouble?.includes('keeps changes') === true, 'the driver to notice');
  await endReplication();
  expect(await rig.outcome).toBe('released');
  expect(rig.standby.status.state).toBe('ended');
});

it('where the VM has gone on at the standby, the mirrors are let go of and the machine is paused', async () => {
  rig.protect({ disk: rig.disks() });
  await rig.commits(1);
  await rig.standby.failover('told', true);
  expect(await rig.outcome).toBe('fenced');
  expect(rig.machine.status).toBe('paused');
  expect(done().slice(-2)).toEqual(['disks: release', 'paused']);
});

it('where the standby says only when it is met that the VM has gone on there, the machine is paused, too', async () => {
  rig.standby.hello = () => {
    throw new RequestError(RPC.state, 'fenced', 'the VM goes on here');
  };
  rig.protect();
  expect(await rig.outcome).toBe('fenced');
  expect(rig.machine.status).toBe('paused');
});

/** Whoever asks the standby how it is hears this from now on. */
function standbyIs(state: StandbyState, hasGoneOn: boolean): void {
  Object.defineProperty(rig.standby, 'status', {
    configurable: true,
    get: () => ({ state, hasGoneOn, occupied: null }),
  });
}

it.each(['active', 'failed'] as const)(
  'a driver that finds that its VM has gone on at the standby, which is %s, asks its gateway for nothing, and pauses the machine',
  async (found) => {
    standbyIs(found, true);
    rig.protect();
    expect(await rig.outcome).toBe('fenced');
    expect(rig.machine.status).toBe('paused');
    expect([rig.asked, rig.told('term')]).toEqual([0, []]);
  },
);

it.each([
  ['has done so', 'active'],
  ['could not', 'failed'],
] as const)(
  'a driver whose standby is about to go on asks its gateway for nothing, and pauses the machine until the standby %s',
  async (_, decided) => {
    standbyIs('failing-over', false);
    rig.protect();
    await rig.until(() => state() === 'degraded' && rig.machine.status === 'paused', 'the driver to notice');
    expect(rig.driver!.status.trouble).toMatch(/^the VM is about to go on at its standby; the machine is paused/);
    await sleep(QUIET_MS);
    expect([rig.asked, rig.told('term'), rig.machine.status]).toEqual([0, [], 'paused']);
    standbyIs(decided, decided === 'active');
    if (decided === 'failed') return rig.commits(2);
    expect(await rig.outcome).toBe('fenced');
    expect(rig.machine.status).toBe('paused');
  },
);

it('where there may be the VM already where its standby is, a machine that was paused for that stays paused', async () => {
  standbyIs('failing-over', false);
  rig.protect();
  await rig.until(() => rig.machine.status === 'paused', 'the driver to notice');
  Object.defineProperty(rig.standby, 'status', {
    get: () => ({ state: 'ready', hasGoneOn: false, occupied: 'a machine' }),
  });
  rig.standby.hello = () => {
    throw new RequestError(RPC.state, 'occupied', 'a machine is there');
  };
  await rig.until(() => rig.driver!.status.trouble?.startsWith('a machine is there') === true, 'the driver to ask');
  await sleep(QUIET_MS);
  expect([rig.asked, rig.machine.status]).toEqual([0, 'paused']);
  rig.driver!.stop();
  expect(await rig.outcome).toBe('stopped');
  expect(rig.driver!.status.trouble).toContain('the machine is paused');
});

it('a driver that finds its machine paused while the standby is about to go on leaves it so, until that is decided', async () => {
  rig.machine.stop();
  standbyIs('failing-over', false);
  rig.protect();
  await rig.until(() => state() === 'degraded', 'the driver to notice');
  // It is not heard meanwhile, and that decides nothing.
  rig.proxy.down();
  await sleep(QUIET_MS);
  expect([rig.asked, rig.machine.status]).toEqual([0, 'paused']);
  rig.proxy.up();
  standbyIs('failed', false);
  await rig.commits(1);
});

it('the standby is heard while the gateway is away, and the machine goes on unprotected', async () => {
  rig.protect({ ...SHORT, gateway: rig.host.client({ timeoutMs: 300, firstBackoffMs: 5 }).vm('vm0') });
  await rig.commits(1);
  await rig.host.server.close();
  await rig.until(() => state() === 'degraded', 'the driver to notice');
  const from = rig.pings;
  const sessions = rig.proxy.connections;
  await rig.until(() => rig.proxy.connections > sessions, 'another session');
  await rig.until(() => rig.pings >= from + 8, 'pings');
  expect(rig.machine.status).toBe('running');
  await rig.host.restart('boot-2');
  await rig.commits(1);
  expect(rig.told('term').map(({ term }) => term)).toEqual(rig.told('term').map(() => 1));
});

it('a driver that is heard, and has not gone on with its term yet, does not renew its lease', async () => {
  let resumes = () => {};
  const disk = rig.disks(true);
  const resume = async (...all: Parameters<typeof disk.resume>) => {
    await new Promise<void>((resolve) => (resumes = resolve));
    return disk.resume(...all);
  };
  rig.protect({ ...SHORT, disk: { ...disk, resume } });
  await rig.commits(1);
  rig.proxy.down();
  await rig.until(() => state() === 'degraded', 'the driver to notice');
  const { asked, pings } = rig;
  rig.proxy.up();
  await rig.until(() => rig.pings >= pings + 8, 'pings');
  const renewals = rig.asked - asked;
  resumes();
  expect(renewals).toBe(0);
  await rig.commits(1);
});

it('a standby that could not go on is protected at again, and so is one that was told to forget', async () => {
  rig.protect();
  await rig.commits(1);
  rig.isSwitchRefused = true;
  await expect(rig.standby.failover('told', true)).rejects.toThrow('the gateway refuses');
  await rig.commits(2);
  await rig.until(() => rig.standby.status.state === 'ready', 'protection');
  rig.standby.standDown('it is protected elsewhere');
  await rig.commits(2);
});

it.each([
  ['is killed', 'gone', 'gone'],
  ['is told to end', 'ended', 'gone on purpose'],
] as const)('a machine that %s while its checkpoint is on its way: the standby is told', async (_, outcome, told) => {
  rig.protect();
  await rig.commits(1);
  rig.beforeKept = () => new Promise(() => {});
  const { pausedAt } = rig.machine;
  const count = pausedAt.length;
  await rig.until(() => pausedAt.length > count && rig.machine.status === 'running', 'a checkpoint');
  if (outcome === 'gone') rig.machine.die();
  else rig.machine.shutDown();
  expect(await rig.outcome).toBe(outcome);
  expect(done().at(-1)).toBe(told);
});

it('a machine that is killed while the standby is away: the standby is told when it is back', async () => {
  rig.protect();
  await rig.commits(1);
  rig.proxy.down();
  const { connections } = rig.proxy;
  await rig.until(() => rig.proxy.connections > connections + 4, 'attempts');
  rig.proxy.up();
  rig.machine.die();
  expect(await rig.outcome).toBe('gone');
  expect(done().at(-1)).toBe('gone');
});

it('where the standby is away, the driver tries again less and less often, and disks wait for nobody', async () => {
  rig.protect({ disk: rig.disks(true) });
  await rig.commits(1);
  rig.proxy.down();
  const at = rig.proxy.connectedAt;
  const before = at.length;
  await rig.until(() => at.length >= before + 5, 'attempts');
  expect(at[before + 4]! - at[before + 3]!, 'the fifth').toBeGreaterThan(200);
  expect(done()).toContain('disks: release');
  rig.proxy.up();
  await rig.commits(1);
  expect(rig.told('term').at(-1)).toMatchObject({ term: 1, how: 'attached' });
});

it('before disks are copied anew there is no way back: the image is forgotten, then the term begins', async () => {
  await left(1, { term: 1, epoch: 1 });
  rig.protect({ disk: rig.disks(false) });
  await rig.commits(1);
  expect(done().slice(0, 4)).toEqual(['disks: resume', 'forget', 'start 2, from first-seal', 'disks: copy']);
});

it('disks whose copy fails are let go of, and copied again', async () => {
  let copies = 0;
  const copied = async () => {
    copies++;
    if (copies === 1) throw new MirrorError('the mirror broke');
  };
  rig.protect({ disk: rig.disks(false, copied) });
  await rig.commits(1);
  expect(done().slice(2, 4)).toEqual(['disks: copy', 'disks: release']);
  expect(copies).toBe(2);
});

it.each([
  ['the driver is told to stop', () => rig.driver!.stop(), 'stopped'],
  ['the standby hangs up', () => rig.proxy.down(), null],
] as const)('where %s while disks are copied, they are let go of at once', async (_, happen, outcome) => {
  rig.protect({ disk: rig.disks(false, () => new Promise(() => {})) });
  await rig.until(() => rig.done.includes('disks: copy'), 'the copy');
  happen();
  await rig.until(() => rig.done.includes('disks: release'), 'the release');
  if (outcome !== null) expect(await rig.outcome).toBe(outcome);
  else await rig.until(() => state() === 'degraded', 'the driver to notice');
});

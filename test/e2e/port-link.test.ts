/** Devices that come, go and change while they are ports, and devices that must not be ports. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PacketPort } from '../../gateway/port/packet.ts';
import type { LivePort } from '../../gateway/port/port.ts';
import { PortError } from '../../gateway/port/port-error.ts';
import { RingPort } from '../../gateway/port/ring.ts';
import { TapPort } from '../../gateway/port/tap.ts';
import { XdpPort } from '../../gateway/port/xdp.ts';
import { anyClock, brief, frameOf, PortHand } from '../gateway/port/hands.ts';
import { leaveNetns, Netns, noNetnsReason, until } from '../support/netns.ts';

const reason = noNetnsReason('sysctl', 'tc');
const FRAME = frameOf(100, 1);

let netns: Netns;
let ports: { close(): void }[] = [];

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  netns = new Netns('link');
  netns.enter();
});
afterEach(() => {
  for (const port of ports) port.close();
  ports = [];
  leaveNetns();
  netns?.delete();
});

const BACK_ENDS = {
  packet: (device: string) => new PacketPort(device, anyClock()),
  ring: (device: string) => new RingPort(device, anyClock()),
  'xdp (skb)': (device: string) => new XdpPort(device, anyClock(), { mode: 'skb' }),
  'xdp (native)': (device: string) => new XdpPort(device, anyClock(), { mode: 'native' }),
  'xdp (busy poll)': (device: string) => new XdpPort(device, anyClock(), { busyPoll: true }),
} as const;

let backEnd: (device: string) => LivePort = BACK_ENDS.packet;

/** A port of the back end that is tried. */
function open(device: string): LivePort {
  const port = backEnd(device);
  ports.push(port);
  return port;
}

function openPacket(device: string): LivePort {
  const port = BACK_ENDS.packet(device);
  ports.push(port);
  return port;
}

/** Both ends of a veth pair as ports; the near one is of the back end that is tried. */
function pair(): { near: LivePort; far: LivePort } {
  netns.veth('near', netns, 'far');
  return { near: open('near'), far: openPacket('far') };
}

async function travels(from: LivePort, to: LivePort): Promise<void> {
  await new PortHand(from).send([FRAME]);
  expect((await new PortHand(to).takeAll(1)).map(brief)).toEqual([brief(FRAME)]);
}

/** @returns code of the PortError that opening the device throws */
function refusal(device: string): string | null {
  try {
    open(device);
    return null;
  } catch (error) {
    if (error instanceof PortError) return error.code;
    throw error;
  }
}

function qdisc(device: string): string {
  return netns.run('tc', 'qdisc', 'show', 'dev', device);
}

function drops(device: string): number {
  return netns.run('tc', 'filter', 'show', 'dev', device, 'ingress').split('bytecode').length - 1;
}

describe.each(Object.entries(BACK_ENDS))('%s port', (_, make) => {
  beforeEach(() => {
    backEnd = make;
  });

  test('a link that goes down and comes up again while it is a port: frames for it are counted, then it works on', async () => {
    const { near, far } = pair();
    const changes: string[] = [];
    near.onLink = () => changes.push(near.link);
    let ready = 0;
    near.onReady = () => ready++;
    await travels(near, far);
    netns.run('ip', 'link', 'set', 'near', 'down');
    const hand = new PortHand(near);
    expect(hand.offer([FRAME, FRAME])).toBe(2);
    await until(() => near.link === 'down', 'the link to be down');
    expect(hand.offer([FRAME])).toBe(1);
    expect(near.counters.byName()).toMatchObject({ sent: 1, linkDown: 3, refused: 0 });
    netns.run('ip', 'link', 'set', 'near', 'up');
    await until(() => near.link === 'up' && far.link === 'up', 'the link to be up');
    await travels(near, far);
    ready = 0;
    await new PortHand(far).send([FRAME]);
    await until(() => ready > 0, 'the port to say that a frame is there');
    expect((await hand.takeAll(1)).map(brief)).toEqual([brief(FRAME)]);
    expect(changes).toEqual(['down', 'up']);
  });

  test('a link whose other end is down is down', async () => {
    const { near, far } = pair();
    netns.run('ip', 'link', 'set', 'far', 'down');
    await until(() => near.link === 'down', 'the carrier to be gone');
    expect(new PortHand(near).offer([FRAME])).toBe(1);
    expect(near.counters.byName()).toMatchObject({ sent: 0, linkDown: 1 });
    netns.run('ip', 'link', 'set', 'far', 'up');
    await until(() => near.link === 'up' && far.link === 'up', 'the link to be up');
    await travels(near, far);
  });

  test('a device that is deleted and made again while it is a port is waited for, and guarded as before', async () => {
    const { near, far } = pair();
    await travels(near, far);
    let came = 0;
    near.onReady = () => came++;
    await new PortHand(far).send([FRAME]);
    await until(() => came > 0, 'a frame to be there');
    netns.run('ip', 'link', 'del', 'near');
    await until(() => near.link === 'absent', 'the device to be gone');
    expect(near.trouble).toBe('waiting for network device near');
    // What came before can still be read.
    const hand = new PortHand(near);
    expect((await hand.takeAll(1)).map(brief)).toEqual([brief(FRAME)]);
    expect(hand.offer([FRAME])).toBe(1);
    expect(near.counters.get('linkDown')).toBe(1);
    netns.veth('near', netns, 'far');
    await until(() => near.link === 'up' && far.link === 'up', 'the new device');
    expect(near.trouble).toBeNull();
    expect(drops('near')).toBe(1);
    await travels(near, far);
    await travels(far, near);
    let ready = 0;
    near.onReady = () => ready++;
    await new PortHand(far).send([FRAME]);
    await until(() => ready > 0, 'the port to say that a frame is there');
  });

  test('frames that a deleted device gave and nobody read are lost, counted, when another one takes its place', async () => {
    const { near, far } = pair();
    let ready = 0;
    near.onReady = () => ready++;
    await new PortHand(far).send([FRAME, FRAME, FRAME]);
    await until(() => ready > 0, 'the frames to be there');
    await new Promise((resolve) => setTimeout(resolve, 20));
    netns.run('ip', 'link', 'del', 'near');
    await until(() => near.link === 'absent', 'the device to be gone');
    netns.veth('near', netns, 'far');
    await until(() => near.link === 'up', 'the new device');
    expect(near.counters.byName()).toMatchObject({ received: 0, lost: 3 });
  });

  test('a port may be opened before its device exists', async () => {
    const near = open('near');
    expect([near.link, near.trouble, near.mtu]).toEqual(['absent', 'waiting for network device near', null]);
    expect(new PortHand(near).offer([FRAME])).toBe(1);
    expect(new PortHand(near).take()).toEqual([]);
    netns.veth('near', netns, 'far');
    const far = openPacket('far');
    await until(() => near.link === 'up' && far.link === 'up', 'the device');
    expect([near.trouble, near.mtu]).toEqual([null, 1500]);
    await travels(near, far);
    await travels(far, near);
  });

  test('a device that comes back unfit is not used, and used as soon as it is fit', async () => {
    const { near, far } = pair();
    netns.run('ip', 'link', 'del', 'near');
    await until(() => near.link === 'absent', 'the device to be gone');
    netns.run('ip', 'link', 'add', 'near', 'type', 'veth', 'peer', 'name', 'far');
    netns.run('ip', 'addr', 'add', '10.0.0.1/24', 'dev', 'near');
    netns.quietUp('near');
    netns.quietUp('far');
    const isSeen = () => near.trouble?.includes('near has IP addresses') === true;
    await until(() => far.link === 'up' && isSeen(), 'the ports to look');
    expect([near.link, drops('near')]).toEqual(['absent', 0]);
    netns.run('ip', 'addr', 'flush', 'dev', 'near');
    await until(() => near.link === 'up' && far.link === 'up', 'the device to be taken');
    await travels(near, far);
  });

  test('devices that must not be ports are refused, with the reason', () => {
    netns.veth('near', netns, 'far');
    netns.run('ip', 'addr', 'add', '10.0.0.1/24', 'dev', 'near');
    netns.run('ip', 'link', 'add', 'bridge', 'type', 'bridge');
    netns.run('ip', 'link', 'set', 'far', 'master', 'bridge');
    expect(refusal('near')).toBe('has-addresses');
    expect(refusal('lo')).toBe('not-ethernet');
    for (const name of ['', '.', '..', 'a b', 'a/b', 'sixteen-bytes-xx', 'a:b'])
      expect(refusal(name), name).toBe('bad-name');
    netns.run('sysctl', '-qw', 'net.ipv6.conf.near.disable_ipv6=0');
    netns.run('ip', 'addr', 'flush', 'dev', 'near');
    netns.run('ip', 'addr', 'add', 'fd00::1/64', 'dev', 'near');
    expect(refusal('near')).toBe('has-addresses');
    // A refusal leaves nothing behind.
    expect([drops('near'), drops('far')]).toEqual([0, 0]);
    netns.run('ip', 'addr', 'del', 'fd00::1/64', 'dev', 'near');
    expect(refusal('near')).toBeNull();
  });

  test('a device in a bridge is waited for, and given up when a bridge takes it', async () => {
    netns.veth('near', netns, 'far');
    netns.run('sysctl', '-qw', 'net.ipv6.conf.far.disable_ipv6=0');
    netns.run('ip', 'link', 'add', 'bridge', 'type', 'bridge');
    netns.run('ip', 'link', 'set', 'far', 'master', 'bridge');
    const near = open('near');
    const far = openPacket('far');
    const ipv6 = () => netns.run('cat', '/proc/sys/net/ipv6/conf/far/disable_ipv6').trim();
    const untouched = () => [far.link, drops('far'), qdisc('far').includes('clsact'), ipv6()];
    expect(untouched()).toEqual(['absent', 0, false, '0']);
    expect(far.trouble).toContain('far belongs to a bridge');
    for (let round = 0; round < 3; round++) {
      netns.run('ip', 'link', 'set', 'far', 'nomaster');
      await until(() => far.link === 'up', 'the device to be taken');
      expect([far.trouble, drops('far'), ipv6()]).toEqual([null, 1, '1']);
      await travels(near, far);
      netns.run('ip', 'link', 'set', 'far', 'master', 'bridge');
      await until(() => far.link === 'absent', 'the device to be given up');
      expect(untouched()).toEqual(['absent', 0, false, '0']);
    }
  });

  test('a port changes its device as it needs and leaves it as it was', async () => {
    netns.veth('near', netns, 'far');
    await netns.settled();
    netns.run('sysctl', '-qw', 'net.ipv6.conf.near.disable_ipv6=0');
    const promiscuity = () => /promiscuity (\d+)/.exec(netns.run('ip', '-d', 'link', 'show', 'near'))![1];
    const ipv6 = () => netns.run('cat', '/proc/sys/net/ipv6/conf/near/disable_ipv6').trim();
    const before = [qdisc('near'), promiscuity(), ipv6()];
    const port = open('near');
    expect([drops('near'), promiscuity(), ipv6()]).toEqual([1, '1', '1']);
    port.close();
    expect([qdisc('near'), promiscuity(), ipv6()]).toEqual(before);
  });

  test("another program's filters stay, and the qdisc that they need", () => {
    netns.veth('near', netns, 'far');
    netns.run('tc', 'qdisc', 'add', 'dev', 'near', 'clsact');
    const filter = ['filter', 'add', 'dev', 'near', 'egress', 'bpf', 'da', 'bytecode', '1,6 0 0 0'];
    netns.run('tc', ...filter);
    open('near').close();
    expect(qdisc('near')).toContain('clsact');
    expect(netns.run('tc', 'filter', 'show', 'dev', 'near', 'egress')).toContain('bytecode');
    expect(drops('near')).toBe(0);
    // One that came while the port had made the qdisc stays too.
    netns.run('tc', 'qdisc', 'del', 'dev', 'near', 'clsact');
    const port = open('near');
    netns.run('tc', ...filter);
    port.close();
    expect(netns.run('tc', 'filter', 'show', 'dev', 'near', 'egress')).toContain('bytecode');
  });

  test('what a killed gateway left on the device is taken over and removed in the end', () => {
    netns.veth('near', netns, 'far');
    const killed = openPacket('near');
    const next = open('near');
    expect(drops('near')).toBe(1);
    next.close();
    expect([drops('near'), qdisc('near').includes('clsact')]).toEqual([0, false]);
    killed.close();
  });

  test('a reader without room is not woken, and is told when it wants to read again', async () => {
    const { near, far } = pair();
    let ready = 0;
    near.onReady = () => ready++;
    near.setReading(false);
    await new PortHand(far).send([FRAME]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(ready).toBe(0);
    near.setReading(true);
    await until(() => ready > 0, 'the port to say that a frame is there');
    expect(new PortHand(near).take()).toHaveLength(1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    ready = 0;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(ready).toBe(0);
  });

  test('a port that nothing refers to goes on listening', async () => {
    netns.veth('near', netns, 'far');
    let seen: LivePort | null = null;
    (() => {
      const port = backEnd('near');
      port.onReady = () => {
        seen = port;
        port.close();
      };
    })();
    const far = openPacket('far');
    for (let i = 0; i < 5; i++) {
      globalThis.gc!();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await new PortHand(far).send([FRAME]);
    await until(() => seen !== null, 'the port to say that a frame is there');
  });
});

test('a tap that is deleted is made again, and goes with its port', async () => {
  netns.run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
  const tap = new TapPort('tap0', anyClock(), 4000);
  ports.push(tap);
  expect([tap.link, tap.mtu]).toEqual(['up', 4000]);
  const kernel = openPacket('tap0');
  await travels(tap, kernel);
  netns.run('ip', 'link', 'del', 'tap0');
  await until(() => netns.run('ip', 'link').includes('tap0'), 'the tap to be there again');
  await until(() => tap.link === 'up' && kernel.link === 'up' && drops('tap0') === 1, 'the ports to have it');
  expect(tap.mtu).toBe(4000);
  await travels(tap, kernel);
  await travels(kernel, tap);
  netns.run('ip', 'link', 'set', 'tap0', 'down');
  await until(() => tap.link === 'down', 'the tap to be down');
  expect(new PortHand(tap).offer([FRAME])).toBe(1);
  expect(tap.counters.get('linkDown')).toBe(1);
  kernel.close();
  tap.close();
  expect(netns.run('ip', 'link')).not.toContain('tap0');
});

test('what the kernel had no room for on the way to a tap is counted as lost', async () => {
  netns.run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
  const tap = new TapPort('tap0', anyClock());
  ports.push(tap);
  const kernel = new PacketPort('tap0', anyClock(), { qdiscBypass: true });
  ports.push(kernel);
  const frames = Array.from({ length: 40 }, (_, i) => frameOf(100, i));
  const sender = new PortHand(kernel);
  for (let i = 0; i < 50; i++) sender.offer(frames);
  const hand = new PortHand(tap);
  let read = 0;
  for (let got = hand.take().length; got > 0; got = hand.take().length) read += got;
  tap.updateCounters();
  const [device] = JSON.parse(netns.run('ip', '-j', '-s', 'link', 'show', 'tap0')) as [
    { stats64: { tx: { dropped: number } } },
  ];
  expect(read).toBeLessThan(2000);
  expect(tap.counters.get('lost')).toBeGreaterThan(0);
  expect(tap.counters.byName()).toMatchObject({ received: read, lost: device.stats64.tx.dropped });
});

test('a tap that another process has open cannot be opened', () => {
  const tap = new TapPort('tap0', anyClock());
  ports.push(tap);
  expect(() => new TapPort('tap0', anyClock())).toThrow(new PortError('system', 'tap tap0: EBUSY'));
  expect(() => new TapPort('tap%d', anyClock())).toThrow(PortError);
});

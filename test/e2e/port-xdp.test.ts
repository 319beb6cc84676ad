/** What only an XDP port does to its device, and asks of it. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PortError } from '../../gateway/port/port-error.ts';
import { XdpPort, type XdpPortOptions } from '../../gateway/port/xdp.ts';
import { anyClock, frameOf, PortHand } from '../gateway/port/hands.ts';
import { leaveNetns, Netns, noNetnsReason, until } from '../support/netns.ts';

const reason = noNetnsReason('sysctl', 'ethtool');

let netns: Netns;
let ports: XdpPort[] = [];

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  netns = new Netns('xdp');
  netns.enter();
});
afterEach(() => {
  for (const port of ports) port.close();
  ports = [];
  leaveNetns();
  netns?.delete();
});

function open(device: string, options: XdpPortOptions = {}): XdpPort {
  const port = new XdpPort(device, anyClock(), options);
  ports.push(port);
  return port;
}

/** @returns code of the PortError that opening the device throws */
function refusal(device: string, options: XdpPortOptions = {}): string | null {
  try {
    open(device, options);
    return null;
  } catch (error) {
    if (error instanceof PortError) return error.code;
    throw error;
  }
}

const program = (device: string) =>
  /xdp\S* .*?prog\/xdp id \d+/s.exec(netns.run('ip', '-d', 'link', 'show', device))?.[0];

test('a port is native where the driver can be, else in skb mode, and says which', () => {
  netns.veth('near', netns, 'far');
  expect(open('near').mode).toBe('native');
  expect(open('far', { mode: 'skb' }).mode).toBe('skb');
  // A driver without XDP.
  netns.run('ip', 'link', 'add', 'bridge', 'type', 'bridge');
  netns.quietUp('bridge');
  expect(open('bridge').mode).toBe('skb');
  expect(refusal('bridge', { mode: 'native' })).not.toBeNull();
});

test('the program and what was switched off go with the port, which can be opened again at once', () => {
  netns.veth('near', netns, 'far');
  netns.run('ethtool', '-K', 'near', 'gro', 'on');
  const features = () => netns.run('ethtool', '-k', 'near').match(/^(generic-receive|rx-vlan)-offload: \w+/gm);
  const before = features();
  for (let round = 0; round < 5; round++) {
    const port = open('near', { mode: round % 2 === 0 ? 'skb' : 'native' });
    expect(program('near')).toBeDefined();
    if (port.mode === 'skb') expect(features()).toEqual(['generic-receive-offload: off', 'rx-vlan-offload: off']);
    port.close();
    expect(program('near')).toBeUndefined();
    expect(features()).toEqual(before);
  }
});

test('a device that another XDP port has is refused, and one with several queues', () => {
  netns.run('ip', 'link', 'add', 'near', 'numrxqueues', '2', 'type', 'veth', 'peer', 'name', 'far');
  netns.quietUp('near');
  netns.quietUp('far');
  netns.run('ethtool', '-L', 'near', 'rx', '2');
  expect(refusal('near')).toBe('several-queues');
  netns.run('ethtool', '-L', 'near', 'rx', '1');
  expect(refusal('near')).toBeNull();
  expect(refusal('near')).toBe('taken');
  expect(netns.run('tc', 'filter', 'show', 'dev', 'near', 'ingress')).toContain('bytecode');
});

test('a port that polls without a pause tells of frames, and stops when it is closed or not read', async () => {
  netns.veth('near', netns, 'far');
  const near = open('near', { busyPoll: true });
  const far = new PortHand(open('far'));
  let ready = 0;
  near.onReady = () => ready++;
  await far.send([frameOf(100, 1)]);
  await until(() => ready > 0, 'the port to say that a frame is there');
  near.setReading(false);
  await new Promise((resolve) => setTimeout(resolve, 20));
  ready = 0;
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(ready).toBe(0);
  near.setReading(true);
  await until(() => ready > 0, 'the port to say it again');
  expect(new PortHand(near).take()).toHaveLength(1);
});

/** `holdfast doctor` on real devices: what it says of them is so, and nothing is changed. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Check } from '../../gateway/cli/doctor-check.ts';
import { Netns, noNetnsReason } from '../support/netns.ts';
import { HOLDFAST } from '../support/run-cli.ts';

const reason = noNetnsReason('ethtool', 'tc', 'sysctl');

let netns: Netns;
let other: Netns;
beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  netns = new Netns('doctor');
  other = new Netns('doctor-peer');
  netns.veth('inside', other, 'eth0');
  netns.veth('outside', other, 'eth1');
});
afterEach(() => {
  netns?.delete();
  other?.delete();
});

/** @returns the checks of the devices, by device and name */
function ask(...devices: readonly string[]): Map<string, Check> {
  // Its exit code is 1 where something fails: what it prints is the answer.
  const script = '"$@" || [ $? = 1 ]';
  const answer = netns.run('sh', '-c', script, 'sh', process.execPath, HOLDFAST, 'doctor', '--json', ...devices);
  const { checks } = JSON.parse(answer) as { checks: Check[] };
  return new Map(checks.map((check) => [`${check.device ?? ''} ${check.name}`, check]));
}

function settings(): string {
  return [
    netns.run('ip', '-d', 'addr'),
    netns.run('tc', 'qdisc'),
    netns.run('ethtool', '-k', 'inside'),
    netns.run('sysctl', 'net.ipv6.conf.inside.disable_ipv6'),
  ].join('');
}

test('a device that is fit has nothing against it, and is left as it was', async () => {
  await netns.settled();
  const before = settings();
  const checks = ask('inside', 'outside');
  expect(settings()).toBe(before);
  const ofDevices = [...checks.values()].filter(({ device }) => device !== null);
  expect(new Set(ofDevices.map(({ device }) => device))).toEqual(new Set(['inside', 'outside']));
  expect(ofDevices.filter(({ level }) => level !== 'ok')).toEqual([]);
  expect(checks.get('inside device')?.found).toBe('Ethernet, veth');
  expect(checks.get(' packet-socket')?.level).toBe('ok');
  expect(checks.get(' ingress-drop')?.level).toBe('ok');
});

test('a device in a bridge, one with an address, one that is down, and MTUs that differ', () => {
  netns.run('ip', 'link', 'add', 'br0', 'type', 'bridge');
  netns.run('ip', 'link', 'set', 'inside', 'master', 'br0');
  netns.run('ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'outside');
  netns.run('ip', 'link', 'set', 'outside', 'mtu', '1400');
  other.run('ip', 'link', 'set', 'eth1', 'down');
  const checks = ask('inside', 'outside');
  expect(checks.get('inside master')).toMatchObject({ level: 'fail', found: 'belongs to br0' });
  expect(checks.get('outside addresses')).toMatchObject({ level: 'fail', found: '1, and a port may have none' });
  expect(checks.get('outside link')).toMatchObject({ level: 'warn', found: 'down' });
  expect(checks.get('inside mtu')).toMatchObject({ level: 'warn', found: '1500, but outside has 1400' });
  expect(checks.get('inside addresses')?.level).toBe('ok');
  expect(checks.get('outside master')?.level).toBe('ok');
});

test('every offload is told as ethtool tells it, on and off', () => {
  const LINES: Readonly<Record<string, string>> = {
    rx: 'rx-checksumming',
    tx: 'tx-checksumming',
    sg: 'scatter-gather',
    // The sum of them has kinds that older commands, and ours, do not ask for.
    tso: '\ttx-tcp-segmentation',
    gso: 'generic-segmentation-offload',
    gro: 'generic-receive-offload',
    lro: 'large-receive-offload',
    rxvlan: 'rx-vlan-offload',
    txvlan: 'tx-vlan-offload',
  };
  const seen = new Set<string>();
  for (const wanted of [[], ['tx', 'off'], ['gso', 'off', 'gro', 'on'], ['txvlan', 'off', 'sg', 'off', 'rx', 'off']]) {
    if (wanted.length > 0) netns.run('ethtool', '-K', 'inside', ...wanted);
    const checks = ask('inside');
    const said = netns.run('ethtool', '-k', 'inside');
    for (const [offload, line] of Object.entries(LINES)) {
      const isOn = new RegExp(`^${line}: on`, 'm').test(said);
      expect([offload, checks.get(`inside offload-${offload}`)?.found.startsWith('on')]).toEqual([offload, isOn]);
      seen.add(`${offload} ${isOn}`);
    }
  }
  for (const offload of ['tx', 'sg', 'gro', 'gso', 'txvlan']) {
    expect([seen.has(`${offload} true`), seen.has(`${offload} false`)], offload).toEqual([true, true]);
  }
});

test('a kernel that forwards is told', () => {
  netns.run('sysctl', '-qw', 'net.ipv4.ip_forward=1');
  expect(ask().get(' forwarding')).toMatchObject({
    level: 'ok',
    found: expect.stringMatching(/^the kernel forwards IPv4;/),
  });
});

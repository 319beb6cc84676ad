import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Check } from '../../gateway/cli/doctor-check.ts';
import { type DeviceFacts, deviceChecks } from '../../gateway/cli/doctor-device.ts';
import {
  bridgeCheck,
  clockCheck,
  folderChecks,
  forwardingCheck,
  kernelVersionCheck,
  memlockCheck,
  nodeVersionCheck,
  toolChecks,
} from '../../gateway/cli/doctor-machine.ts';
import { HOLDFAST, holdfast, temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();

interface Answer {
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

function levels(checks: readonly Check[]): Record<string, string> {
  return Object.fromEntries(checks.map(({ name, level }) => [name, level]));
}

describe('what a machine has is good enough, or not', () => {
  test.each([
    ['linux', '6.18.44-custom', 'ok'],
    ['linux', '4.20.0', 'ok'],
    ['linux', '4.19.300', 'fail'],
    ['linux', '3.99.1', 'fail'],
    ['linux', 'nonsense', 'fail'],
    ['darwin', '23.0.0', 'fail'],
  ])('kernel: %s %s is %s', (platform, release, level) => {
    expect(kernelVersionCheck(platform, release).level).toBe(level);
  });

  test.each([
    ['v20.19.0', 'ok'],
    ['v22.1.0', 'ok'],
    ['v20.18.9', 'fail'],
    ['v18.20.0', 'fail'],
  ])('Node.js %s is %s', (version, level) => {
    expect(nodeVersionCheck(version).level).toBe(level);
  });

  test.each([
    ['Max locked memory         unlimited            unlimited            bytes', 'ok'],
    ['Max cpu time 1 1 s\nMax locked memory         67108864  67108864 bytes', 'ok'],
    ['Max locked memory         67108863  unlimited  bytes', 'warn'],
    ['Max cpu time 1 1 s', 'warn'],
    [null, 'warn'],
  ])('memory that may be locked: %j is %s', (limits, level) => {
    expect(memlockCheck(limits).level).toBe(level);
  });

  test.each([
    ['tsc', 'ok'],
    ['kvm-clock', 'ok'],
    ['hpet', 'warn'],
    [null, 'warn'],
  ])('clock %s is %s', (source, level) => {
    expect(clockCheck(source).level).toBe(level);
  });

  test('a kernel that forwards is no harm where ports can keep it from that', () => {
    const drop = (level: Check['level']): Check => ({
      name: 'ingress-drop',
      device: null,
      level,
      found: '',
      advice: null,
    });
    expect(forwardingCheck('0', '0', undefined).level).toBe('ok');
    expect(forwardingCheck('0', null, undefined).level).toBe('ok');
    expect(forwardingCheck('1', '0', drop('ok'))).toMatchObject({
      level: 'ok',
      found: expect.stringContaining('IPv4;'),
    });
    expect(forwardingCheck('0', '1', drop('warn'))).toMatchObject({
      level: 'warn',
      found: expect.stringContaining('IPv6,'),
    });
    expect(forwardingCheck('1', '1', undefined)).toMatchObject({
      level: 'warn',
      found: expect.stringContaining('IPv4 and IPv6,'),
    });
  });

  test('packet filters for frames in bridges are named, those that are on', () => {
    const settings = { 'bridge-nf-call-iptables': '1', 'bridge-nf-call-ip6tables': '0' };
    const { level, advice } = bridgeCheck(settings);
    expect(level).toBe('warn');
    expect(advice).toMatch(/sysctl -w net\.bridge\.bridge-nf-call-iptables=0$/);
    expect(bridgeCheck({ 'bridge-nf-call-iptables': null }).level).toBe('ok');
  });

  test('a tool is found on the path, and missing where it is not', () => {
    const nft = folder.write('nft', '');
    const found = toolChecks(['/nowhere', dirname(nft)]);
    expect(found.map(({ name }) => name)).toEqual(['ip', 'tc', 'nft']);
    expect(found[2]).toMatchObject({ level: 'ok', found: nft });
    expect(found.slice(0, 2).map(({ level }) => level)).toEqual(['warn', 'warn']);
  });

  test('the socket and the state folder: can be made, cannot, or there is no place for them', () => {
    expect(levels(folderChecks(folder.path('deep/control')))).toMatchObject({ control: 'ok' });
    expect(levels(folderChecks(`${folder.write('file', '')}/deep/control`))).toEqual({
      control: 'fail',
      state: 'fail',
    });
    expect(levels(folderChecks(`/tmp/${'x'.repeat(120)}`))).toMatchObject({ control: 'fail' });
    expect(levels(folderChecks(null))).toEqual({ control: 'warn' });
    const there = folder.write('control', '');
    expect(folderChecks(there)[0]).toMatchObject({
      level: 'ok',
      found: `${there} is there: a gateway runs, or was killed`,
    });
  });
});

describe('a device is fit to be a port, or not', () => {
  const FIT: DeviceFacts = {
    netdev: { index: 7, isEthernet: true, isUp: true, mtu: 1500, master: 0, txDropped: 0 } as DeviceFacts['netdev'],
    addresses: 0,
    master: null,
    ethtool: {
      driver: 'tun',
      offloads: {
        rx: true,
        tx: true,
        sg: true,
        tso: true,
        gso: true,
        gro: true,
        lro: false,
        rxvlan: null,
        txvlan: true,
      },
    },
    disableIpv6: '0',
  };
  const not = (more: Partial<DeviceFacts>, others: readonly [string, number][] = []) =>
    Object.entries(levels(deviceChecks('tap0', { ...FIT, ...more }, new Map(others)))).filter(
      ([, level]) => level !== 'ok',
    );

  test('what is fit', () => {
    expect(
      not({}, [
        ['tap0', 1500],
        ['eth1', 1500],
      ]),
    ).toEqual([]);
    expect(not({ disableIpv6: null })).toEqual([]);
  });

  test('what is not, each thing by itself', () => {
    expect(not({ netdev: { ...FIT.netdev, isEthernet: false } })).toEqual([['device', 'fail']]);
    expect(not({ netdev: { ...FIT.netdev, isUp: false } })).toEqual([['link', 'warn']]);
    expect(not({ master: 'br0' })).toEqual([['master', 'fail']]);
    expect(not({ addresses: 1 })).toEqual([['addresses', 'fail']]);
    expect(
      not({}, [
        ['tap0', 1500],
        ['eth1', 9000],
      ]),
    ).toEqual([['mtu', 'warn']]);
    const offloads = { ...FIT.ethtool.offloads, lro: true };
    expect(not({ ethtool: { driver: null, offloads } })).toEqual([['offload-lro', 'warn']]);
  });

  test('one that does not exist', () => {
    expect(levels(deviceChecks('tap0', null, new Map()))).toEqual({ device: 'fail' });
  });
});

describe('the command', () => {
  test('prints a line for each thing, what to do where it is not well, and a sum', async () => {
    const { code, stdout, stderr } = await holdfast(['doctor']);
    expect(stderr).toBe('');
    const lines = stdout.trimEnd().split('\n');
    const [, ok, warnings, failed] = /^(\d+) ok, (\d+) warnings?, (\d+) failed$/.exec(lines.pop()!)!;
    const count = (level: RegExp) => String(lines.filter((line) => level.test(line)).length);
    expect([count(/^ok {4}/), count(/^warn {2}/), count(/^fail {2}/)]).toEqual([ok, warnings, failed]);
    expect(count(/^ +-> /)).toBe(String(Number(warnings) + Number(failed)));
    expect(code).toBe(failed === '0' ? 0 : 1);
    expect(lines.filter((line) => !/^((ok|warn|fail) +[a-z]|$| +-> )/.test(line))).toEqual([]);
  });

  test('--json says the same on one line, for programs', async () => {
    const { code, stdout } = await holdfast(['doctor', '--json']);
    expect(stdout.match(/\n/g)).toHaveLength(1);
    const { ok, checks } = JSON.parse(stdout) as Answer;
    expect(code).toBe(ok ? 0 : 1);
    expect(ok).toBe(checks.every(({ level }) => level !== 'fail'));
    for (const { level, advice } of checks) expect(advice === null).toBe(level === 'ok');
    const names = checks.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(
      expect.arrayContaining(['kernel', 'node', 'koffi', 'capabilities', 'packet-socket', 'ingress-drop']),
    );
    expect(names).toEqual(expect.arrayContaining(['tun', 'xdp', 'libpcap', 'cap', 'ip', 'tc', 'nft']));
    expect(names).toEqual(
      expect.arrayContaining(['memlock', 'control', 'shm', 'clocksource', 'forwarding', 'bridge-netfilter']),
    );
  });

  test('a device that is not there is told, exit 1', async () => {
    const { code, stdout } = await holdfast(['doctor', '--json', 'holdfast-none']);
    expect(code).toBe(1);
    const { checks } = JSON.parse(stdout) as Answer;
    expect(checks.filter(({ device }) => device !== null)).toEqual([
      expect.objectContaining({ device: 'holdfast-none', name: 'device', level: 'fail', found: 'there is none' }),
    ]);
  });

  test.each(['a/b', '', 'much-too-long-for-a-device'])('%j cannot be a device: one line, exit 2', async (name) => {
    const { code, stdout, stderr } = await holdfast(['doctor', name]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toBe(`holdfast: '${name}' cannot be the name of a network device\n`);
  });

  test('without root it says what it could not look at, and fails only if devices were named', ({ skip }) => {
    const asNobody = (...args: string[]) =>
      spawnSync(
        'setpriv',
        ['--reuid', '65534', '--clear-groups', process.execPath, HOLDFAST, 'doctor', '--json', ...args],
        {
          encoding: 'utf8',
          env: { PATH: process.env.PATH },
        },
      );
    const { status, stdout } = asNobody();
    skip(process.getuid?.() !== 0 || stdout === '', 'needs root, setpriv, and a folder that others may read');
    const { checks } = JSON.parse(stdout) as Answer;
    expect(status).toBe(0);
    expect(levels(checks)).toMatchObject({ capabilities: 'warn', 'packet-socket': 'warn', 'ingress-drop': 'warn' });
    expect(checks.find(({ name }) => name === 'ingress-drop')?.found).toMatch(/^not tried/);
    const named = JSON.parse(asNobody('lo').stdout) as Answer;
    expect(levels(named.checks.filter(({ device }) => device === null))).toMatchObject({ capabilities: 'fail' });
  });
});

import { expect, test } from 'vitest';
import { SystemCommands } from '../../../gateway/bridge/commands.ts';
import { applyPortEntries, fdbOf, mdbOf, NO_ENTRIES, vlansOf } from '../../../gateway/bridge/port-entries.ts';
import { applyPortSettings, portSettings } from '../../../gateway/bridge/port-settings.ts';

/** Tells what would be done. */
class Told extends SystemCommands {
  readonly said: string[] = [];

  override run(program: string, ...parameters: readonly string[]): void {
    this.said.push([program, ...parameters].join(' '));
  }
}

test('VLANs of a port: numbers, ranges, and how untagged frames go; none where the kernel filters none', () => {
  const shown = [
    { ifname: 'br0', vlans: [{ vlan: 1, flags: ['PVID', 'Egress Untagged'] }] },
    {
      ifname: 'tap0',
      vlans: [
        { vlan: 10, flags: ['PVID', 'Egress Untagged'] },
        { vlan: 20, vlanEnd: 25 },
      ],
    },
  ];
  expect(vlansOf(shown, 'tap0')).toEqual(['vid 10 pvid untagged', 'vid 20-25']);
  expect([vlansOf(shown, 'tap1'), vlansOf([], 'tap0'), vlansOf(null, 'tap0')]).toEqual([[], [], []]);
});

test('a port that has VLAN 1 by itself gets those of another, and only those', () => {
  const told = new Told();
  const wanted = { ...NO_ENTRIES, vlans: ['vid 10 pvid untagged', 'vid 20-25'] };
  applyPortEntries(told, 'hf-tap0-br', 'br0', { ...NO_ENTRIES, vlans: ['vid 1 pvid untagged'] }, wanted);
  expect(told.said).toEqual([
    'bridge vlan del dev hf-tap0-br vid 1',
    'bridge vlan add dev hf-tap0-br vid 10 pvid untagged',
    'bridge vlan add dev hf-tap0-br vid 20-25',
  ]);
  applyPortEntries(told, 'hf-tap0-br', 'br0', wanted, wanted);
  expect(told.said).toHaveLength(3);
});

test("of a port's addresses only those count that somebody entered in the bridge", () => {
  const base = { ifname: 'tap0', master: 'br0', flags: [] };
  const shown = [
    { ...base, mac: '02:00:00:00:00:01', state: 'permanent' },
    { ...base, mac: '02:00:00:00:00:02', state: 'permanent' },
    { ...base, mac: '02:00:00:00:00:03', state: 'static', vlan: 5, flags: ['sticky'] },
    { ...base, mac: '02:00:00:00:00:04', state: '' },
    { ...base, mac: '02:00:00:00:00:05', state: 'static', flags: ['extern_learn'] },
    { ...base, mac: '02:00:00:00:00:06', state: 'static', ifname: 'tap1' },
    { mac: '33:33:00:00:00:01', ifname: 'tap0', flags: ['self'], state: 'permanent' },
  ];
  expect(fdbOf(shown, 'tap0', '02:00:00:00:00:01')).toEqual([
    '02:00:00:00:00:02 master permanent',
    '02:00:00:00:00:03 master static vlan 5 sticky',
  ]);
});

test('of multicast groups only those that somebody entered', () => {
  const shown = [
    {
      mdb: [
        { port: 'tap0', grp: '239.1.1.1', state: 'permanent', vid: 3 },
        { port: 'tap0', grp: 'ff02::5', src: 'fd00::1', state: 'permanent' },
        { port: 'tap0', grp: '239.1.1.2', state: 'temp' },
        { port: 'tap1', grp: '239.1.1.3', state: 'permanent' },
      ],
    },
  ];
  expect(mdbOf(shown, 'tap0')).toEqual(['grp 239.1.1.1 permanent vid 3', 'grp ff02::5 src fd00::1 permanent']);
});

test('settings of a port: what differs is set, one by one', () => {
  const shown = {
    state: 'forwarding',
    priority: 32,
    cost: 100,
    isolated: true,
    multicast_router: 3,
    group_fwd_mask: '0x4000',
  };
  const wanted = portSettings(shown);
  expect(wanted).toEqual({ priority: '32', cost: '100', isolated: 'on', mcast_router: '1', group_fwd_mask: '0x4000' });
  const told = new Told();
  applyPortSettings(told, 'p', { ...wanted, cost: '2', isolated: 'off' }, wanted);
  applyPortSettings(told, 'p', { ...wanted, backup_port: 'q' }, wanted);
  expect(told.said).toEqual([
    'ip link set dev p type bridge_slave isolated on',
    'ip link set dev p type bridge_slave cost 100',
    'ip link set dev p type bridge_slave nobackup_port',
  ]);
  const fresh = new Told();
  applyPortSettings(fresh, 'p', null, wanted);
  expect(fresh.said.map((line) => line.replace('ip link set dev p type bridge_slave ', ''))).toEqual([
    'isolated on',
    'cost 100',
    'group_fwd_mask 0x4000',
  ]);
});

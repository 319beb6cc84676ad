/** A switch that forwards multicast to members only, and a VM that goes on behind another of its ports. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { KnownReach } from '../../gateway/host/api.ts';
import type { VmClient } from '../../gateway/host/vm-client.ts';
import { LocalGateway } from '../support/local-gateway.ts';
import { leaveNetns, Netns, noNetnsReason, until } from '../support/netns.ts';

const reason = noNetnsReason('bridge', 'sysctl', 'ping');
const GROUPS = ['239.1.2.3', 'ff15::123'] as const;
const JOIN = `
const { createSocket } = require('node:dgram');
createSocket('udp4').bind(5000, function () { this.addMembership('${GROUPS[0]}', '10.77.0.1');
createSocket('udp6').bind(5001, function () { this.addMembership('${GROUPS[1]}', '::%eth0'); console.log('joined') }) })`;

let network: Netns;
let guest: Netns;
let folder: string;
const gateways: LocalGateway[] = [];

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  folder = mkdtempSync(join(tmpdir(), 'holdfast-multicast-'));
  network = new Netns('multicast');
  guest = new Netns('member');
  network.run('ip', 'link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '1', 'mcast_querier', '0');
  network.quietUp('br0');
  for (const host of ['a', 'b']) {
    network.veth(`port-${host}`, network, `out-${host}`);
    network.run('ip', 'link', 'set', `port-${host}`, 'master', 'br0');
    network.veth(`in-${host}`, host === 'a' ? guest : network, 'eth0');
  }
  guest.run('ip', 'addr', 'add', '10.77.0.1/24', 'dev', 'eth0');
  guest.run('ip', 'route', 'add', '224.0.0.0/4', 'dev', 'eth0');
  guest.run('sysctl', '-qw', 'net.ipv6.conf.eth0.accept_dad=0', 'net.ipv6.conf.eth0.disable_ipv6=0');
  // A gateway looks for its devices again and again, where its process is.
  network.enter();
});
afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway.close();
  leaveNetns();
  for (const netns of [guest, network]) netns?.delete();
  rmSync(folder, { recursive: true, force: true });
});

/** The gateway of a host, in this process. */
async function gatewayOf(host: string): Promise<VmClient> {
  const gateway = new LocalGateway(join(folder, host));
  gateways.push(gateway);
  const { client } = await gateway.open(`in-${host}`, `out-${host}`);
  return client.vm('vm0');
}

/** @returns which of the groups the switch forwards to the port */
function forwarded(port: string): string[] {
  type Entry = { readonly port: string; readonly grp: string };
  const [{ mdb }] = JSON.parse(network.run('bridge', '-j', 'mdb', 'show')) as [{ mdb: Entry[] }];
  return GROUPS.filter((group) => mdb.some((entry) => entry.port === port && entry.grp === group));
}

test('after a takeover multicast comes to the VM before anybody asks who is a member', async () => {
  const [vm, standby] = [await gatewayOf('a'), await gatewayOf('b')];
  await guest.start(process.execPath, '-e', JOIN).says('joined');
  // It asks who has the address, and so tells its own.
  guest.start('ping', '-i', '0.2', '10.77.0.2');
  await until(() => forwarded('port-a').length === 2, 'the switch to know the members');
  const isJoined = (known: KnownReach) => GROUPS.every((ip) => known.memberships?.some(({ group }) => group === ip));
  let known: KnownReach = { addresses: [] };
  const looksAgain = async () => {
    known = await vm.addresses();
    return isJoined(known);
  };
  await until(looksAgain, 'the gateway to know them');
  await standby.takeOver({ term: 1, epoch: 1 });
  expect(forwarded('port-b')).toEqual([]);
  await standby.announce(known);
  await until(() => forwarded('port-b').length === 2, 'the switch to know the VM at its new port');
});

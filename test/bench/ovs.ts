import { mkdirSync } from 'node:fs';
import { type Netns, until } from '../support/netns.ts';
import type { Forwarder } from './live-forwarders.ts';

/** An Open vSwitch of its own in the namespace: database, sockets and logs lie in `folder`. */
export async function startOvs(
  netns: Netns,
  folder: string,
  devices: readonly string[],
  core: string,
): Promise<Forwarder> {
  mkdirSync(folder, { recursive: true });
  const own = ['OVS_RUNDIR', 'OVS_LOGDIR', 'OVS_DBDIR', 'OVS_SYSCONFDIR'].map((name) => `${name}=${folder}`);
  const database = `${folder}/${Date.now()}.db`;
  const socket = `${folder}/db.sock`;
  const schema = '/usr/share/openvswitch/vswitch.ovsschema';
  netns.run('env', ...own, 'ovsdb-tool', 'create', database, schema);
  const server = netns.start('env', ...own, 'ovsdb-server', database, `--remote=punix:${socket}`, '--no-chdir');
  const control = (...words: string[]) => {
    netns.run('env', ...own, 'ovs-vsctl', `--db=unix:${socket}`, '--timeout=10', ...words);
  };
  let daemon: ReturnType<Netns['start']> | null = null;
  const stop = async () => {
    await daemon?.stop('SIGTERM');
    await server.stop('SIGTERM');
    // The userspace datapath's own device.
    netns.run('sh', '-c', 'ip link del ovs-netdev 2>/dev/null; ip link del br0 2>/dev/null; true');
  };
  try {
    await until(() => server.child.exitCode !== null || isThere(netns, socket), 'ovsdb-server');
    control('--no-wait', 'init');
    daemon = netns.start('env', ...own, 'ovs-vswitchd', `unix:${socket}`, '--no-chdir');
    control('add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev');
    for (const device of devices) control('add-port', 'br0', device);
    netns.run('taskset', '-acp', core, String(daemon.child.pid));
    return { pid: daemon.child.pid!, stop };
  } catch (error) {
    await stop();
    throw new Error(`${(error as Error).message}\n${server.output}\n${daemon?.output ?? ''}`);
  }
}

function isThere(netns: Netns, path: string): boolean {
  return netns.run('sh', '-c', `test -S ${path} && echo yes || echo no`).trim() === 'yes';
}

import type { ForwarderKind } from './live-forwarders.ts';
import { pause } from './live-rig.ts';
import { find } from './processes.ts';

const INTERVAL_US = 10_000;
const QEMU = 'qemu-system-x86_64';
const SIDES = [
  { device: 'inside', tap: 'qinside', bridge: 'bridge-in', id: 'a' },
  { device: 'outside', tap: 'qoutside', bridge: 'bridge-out', id: 'b' },
] as const;

/** QEMU without a machine, its filter-buffer between two taps: what goes out waits for a timer, whatever it is. */
export const qemuFilterBuffer: ForwarderKind = {
  name: 'QEMU filter-buffer at 10 ms',
  missing: find(QEMU) === null ? `${QEMU} is not installed` : null,
  async start({ gateway }) {
    for (const { device, tap, bridge } of SIDES) {
      gateway.run('ip', 'tuntap', 'add', tap, 'mode', 'tap');
      gateway.run('ip', 'link', 'add', bridge, 'type', 'bridge', 'mcast_snooping', '0');
      for (const one of [tap, bridge]) gateway.quietUp(one);
      for (const one of [device, tap]) gateway.run('ip', 'link', 'set', one, 'master', bridge);
    }
    const links = SIDES.flatMap(({ tap, id }) => [
      '-netdev',
      `tap,id=${id},ifname=${tap},script=no,downscript=no`,
      '-netdev',
      `hubport,id=hub-${id},hubid=0,netdev=${id}`,
    ]);
    const filter = ['-object', `filter-buffer,id=f,netdev=b,queue=rx,interval=${INTERVAL_US}`];
    const running = gateway.start(QEMU, '-machine', 'none', '-display', 'none', '-nodefaults', ...links, ...filter);
    await pause(500);
    if (running.child.exitCode !== null) throw new Error(`QEMU ended: ${running.output}`);
    return {
      pid: running.child.pid!,
      async stop() {
        await running.stop('SIGTERM');
        for (const { tap, bridge } of SIDES) {
          gateway.run('ip', 'link', 'del', bridge);
          gateway.run('ip', 'link', 'del', tap);
        }
      },
    };
  },
};

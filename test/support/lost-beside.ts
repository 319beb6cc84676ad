import type { LiveScene } from './live-scene.ts';
import type { Netns } from './netns.ts';

/**
 * @returns frames that the kernel has lost on the way to the gateway, and datagrams behind it, since the scene was made: on a busy machine
 * its queues between devices are full, too, and so are those of programs that do not get to read
 */
export function lostBeside(scene: LiveScene): number {
  const dropped = (netns: Netns, device: string) =>
    Number(netns.run('cat', `/sys/class/net/${device}/statistics/rx_dropped`));
  const [names, values] = scene.network
    .run('grep', '^Udp:', '/proc/net/snmp')
    .split('\n')
    .map((line) => line.split(' '));
  const unread = Number(values![names!.indexOf('RcvbufErrors')]);
  return dropped(scene.gateway, 'inside') + dropped(scene.network, 'eth0') + unread;
}

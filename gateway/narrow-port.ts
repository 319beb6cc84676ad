import type { PortStatus } from './host/api.ts';
import type { LimitedLog } from './log-limit.ts';

/**
 * Says where the network's frames can be longer than the port to the VM takes, as behind a standby's port that was made otherwise: they
 * are lost, and only that port's counter `tooLong` would tell.
 * @param told the last message about each port, which is not repeated
 * @param ports of one VM
 */
export function tellNarrow(log: LimitedLog, told: Map<string, string>, ports: readonly PortStatus[]): void {
  for (const { vm, name, backend, pair, side, mtu } of ports) {
    if (side !== 'inside') continue;
    const key = `${vm} ${name} mtu`;
    const outside = ports.find((one) => one.side === 'outside' && one.pair === pair);
    const most = outside?.mtu ?? null;
    if (mtu === null || most === null || mtu >= most) {
      told.delete(key);
      continue;
    }
    const message = `its MTU is ${mtu}, and that of ${outside!.name} is ${most}: longer frames to the VM are lost (tooLong)`;
    if (told.get(key) === message) continue;
    told.set(key, message);
    log.write('warn', key, { vm, port: `${backend}:${name}` }, message);
  }
}

/**
 * The network: notes which frame came when, and knows nothing else.
 *
 *   tsx receiver.ts FILE MOST-FRAMES   (in the network's namespace; ends when its standard input does)
 */
import { writeFileSync } from 'node:fs';
import { CONTROL_PORT, DATA_PORT, FRAME, NETWORK, nowMs } from './frames.ts';
import { UdpSocket } from './udp.ts';

const [file = '', most = '1000000'] = process.argv.slice(2);
const sockets = [new UdpSocket(NETWORK, DATA_PORT), new UdpSocket(NETWORK, CONTROL_PORT)];
const into = new Uint8Array(2048);
const view = new DataView(into.buffer);
/** Of each kind: serial, time of arrival, time of sending; one after another. */
const seen = sockets.map(() => new Float64Array(3 * Number(most)));
const counts = [0, 0];

function take(): void {
  sockets.forEach((socket, kind) => {
    const rows = seen[kind]!;
    while (socket.receive(into) >= FRAME.bytes) {
      const at = 3 * counts[kind]!++;
      rows[at] = view.getUint32(FRAME.serial);
      rows[at + 1] = nowMs();
      rows[at + 2] = view.getFloat64(FRAME.sentMs);
    }
  });
}

const timer = setInterval(take, 1);
process.stdin.resume();
process.stdin.on('end', () => {
  clearInterval(timer);
  take();
  for (const [kind, rows] of seen.entries()) writeFileSync(`${file}.${kind}`, rows.subarray(0, 3 * counts[kind]!));
  process.exit(0);
});
process.stdout.write('receiving\n');

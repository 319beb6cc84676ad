/**
 * A guest that sends to two ports in turn, until its standard input ends; prints how many datagrams it sent.
 *
 *   tsx alternating.ts FRAMES-PER-SECOND   (in the guest's namespace)
 */
import { CONTROL_PORT, DATA_PORT, FRAME, GUEST, NETWORK, nowMs } from './frames.ts';
import { sockaddr, UdpSocket } from './udp.ts';

const rate = Number(process.argv[2]);
const socket = new UdpSocket(GUEST, 6000);
const to = [sockaddr(NETWORK, DATA_PORT), sockaddr(NETWORK, CONTROL_PORT)] as const;
const payload = new Uint8Array(FRAME.bytes);
const view = new DataView(payload.buffer);
/** What a busy machine kept from being sent is sent over time. */
const MOST_AT_ONCE = 200;

let serial = 0;
let due = 0;
let lastMs = nowMs();
const timer = setInterval(() => {
  const now = nowMs();
  due = Math.min(due + ((now - lastMs) * rate) / 1000, rate);
  lastMs = now;
  for (let n = 0; n < MOST_AT_ONCE && due >= 1; n++, due--) {
    view.setUint32(FRAME.serial, serial);
    view.setFloat64(FRAME.sentMs, now);
    if (!socket.send(to[serial % 2]!, payload, payload.length)) return;
    serial++;
  }
}, 1);
process.stdin.resume();
process.stdin.on('end', () => {
  clearInterval(timer);
  process.stdout.write(`${serial}\n`);
  process.exit(0);
});

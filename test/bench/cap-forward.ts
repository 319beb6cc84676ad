/** A forwarder as one writes it with the package cap (libpcap): whole frames, one call each. `cap-forward.ts INSIDE OUTSIDE` */
import { createRequire } from 'node:module';

interface Capture {
  open(device: string, filter: string, bufferBytes: number, into: Buffer): string;
  setMinBytes?(bytes: number): void;
  on(event: 'packet', listener: (length: number, truncated: boolean) => void): void;
  send(frame: Buffer, length: number): void;
}

const NAME: string = 'cap';
const LONGEST = 65_535;
/** What cap can send. */
const LONGEST_SENT = 1514;
const { Cap } = createRequire(import.meta.url)(NAME) as { readonly Cap: new () => Capture };

const [inside, outside] = process.argv.slice(2).map((device) => {
  const capture = new Cap();
  const frame = Buffer.alloc(LONGEST);
  capture.open(device, 'inbound', 8 * 2 ** 20, frame);
  capture.setMinBytes?.(0);
  return { capture, frame };
});
for (const [from, to] of [
  [inside!, outside!],
  [outside!, inside!],
]) {
  from!.capture.on('packet', (length) => {
    if (length <= LONGEST_SENT) to!.capture.send(from!.frame, length);
  });
}
console.log('ready');

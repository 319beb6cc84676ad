import type { Clock } from '../clock.ts';
import { PacketPort } from './packet.ts';
import type { LivePort } from './port.ts';
import { PortError } from './port-error.ts';
import { type StreamAddress, StreamPort } from './stream.ts';
import { TapPort } from './tap.ts';

const BACKENDS = ['packet', 'tap', 'stream', 'stream-listen', 'stream-connect'] as const;
export type Backend = (typeof BACKENDS)[number];

/** Which link a port is on, and how it is reached: `tap0`, `packet:eth1`, `stream:unix:/run/vm.sock`. */
export interface PortSpec {
  readonly backend: Backend;
  readonly arg: string;
}

/**
 * Reads `BACKEND:ARG`, or a netdev's name alone.
 * @throws PortError `bad-name`
 */
export function parsePortSpec(text: string): PortSpec {
  const colon = text.indexOf(':');
  const backend = colon < 0 ? 'packet' : text.slice(0, colon);
  const arg = text.slice(colon + 1);
  if (!isBackend(backend)) {
    throw new PortError('bad-name', `'${text}': there is no port '${backend}', only ${BACKENDS.join(', ')}`);
  }
  if (arg === '') throw new PortError('bad-name', `'${text}': what is behind '${backend}:' is missing`);
  if (backend.startsWith('stream')) streamAddress(arg);
  return { backend, arg };
}

/** @throws PortError for a link that must not be a port, or without the right to use it */
export function openPort({ backend, arg }: PortSpec, clock: Clock): LivePort {
  switch (backend) {
    case 'packet':
      return new PacketPort(arg, clock);
    case 'tap':
      return new TapPort(arg, clock);
    case 'stream':
      return new StreamPort(arg, streamAddress(arg), clock, { role: 'either' });
    case 'stream-listen':
      return new StreamPort(arg, streamAddress(arg), clock, { role: 'listen' });
    case 'stream-connect':
      return new StreamPort(arg, streamAddress(arg), clock, { role: 'connect' });
  }
}

/** @throws PortError */
function streamAddress(arg: string): StreamAddress {
  const unix = /^unix:(.+)$/.exec(arg);
  if (unix !== null) return { path: unix[1]! };
  const tcp = /^tcp:(.+):(\d{1,5})$/.exec(arg);
  const port = Number(tcp?.[2]);
  if (tcp === null || port < 1 || port > 65_535) {
    throw new PortError('bad-name', `'${arg}' is no address: expected unix:PATH or tcp:HOST:PORT`);
  }
  return { host: tcp[1]!.replace(/^\[(.*)\]$/, '$1'), port };
}

function isBackend(name: string): name is Backend {
  return (BACKENDS as readonly string[]).includes(name);
}

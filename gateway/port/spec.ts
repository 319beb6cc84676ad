import type { Clock } from '../clock.ts';
import { IpPort } from './ip.ts';
import { PacketPort } from './packet.ts';
import { PcapPort } from './pcap.ts';
import type { LivePort } from './port.ts';
import { PortError } from './port-error.ts';
import { RingPort } from './ring.ts';
import { type StreamAddress, StreamPort } from './stream.ts';
import { TapPort } from './tap.ts';
import { XdpPort } from './xdp.ts';

const BACKENDS = ['packet', 'ring', 'xdp', 'tap', 'pcap', 'ip', 'stream', 'stream-listen', 'stream-connect'] as const;
export type Backend = (typeof BACKENDS)[number];

/** What may stand behind the device of an `xdp` port. */
const XDP_OPTIONS = ['native', 'skb', 'busy-poll'] as const;
type XdpOption = (typeof XDP_OPTIONS)[number];

/** Which link a port is on, and how it is reached: `tap0`, `xdp:eth1,busy-poll`, `stream:unix:/run/vm.sock`. */
export interface PortSpec {
  readonly backend: Backend;
  /** The link: a device's name, or an address. */
  readonly arg: string;
  readonly options?: readonly XdpOption[];
}

/** @returns what `parsePortSpec` reads as this */
export function portSpecText({ backend, arg, options = [] }: PortSpec): string {
  return [`${backend}:${arg}`, ...options].join(',');
}

/**
 * Reads `BACKEND:ARG`, or a netdev's name alone; options of an `xdp` port follow with commas.
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
  return backend === 'xdp' ? xdpSpec(text, arg) : { backend, arg };
}

function xdpSpec(text: string, arg: string): PortSpec {
  const [device, ...options] = arg.split(',');
  if (device === '') throw new PortError('bad-name', `'${text}': what is behind 'xdp:' is missing`);
  const unknown = options.find((option) => !(XDP_OPTIONS as readonly string[]).includes(option));
  if (unknown !== undefined) {
    throw new PortError('bad-name', `'${text}': an xdp port has no '${unknown}', only ${XDP_OPTIONS.join(', ')}`);
  }
  if (options.includes('native') && options.includes('skb')) {
    throw new PortError('bad-name', `'${text}': an xdp port is in native mode or in skb mode`);
  }
  return options.length === 0
    ? { backend: 'xdp', arg: device! }
    : { backend: 'xdp', arg: device!, options: options as XdpOption[] };
}

/** @throws PortError for a link that must not be a port, or without the right to use it */
export function openPort({ backend, arg, options = [] }: PortSpec, clock: Clock): LivePort {
  switch (backend) {
    case 'packet':
      return new PacketPort(arg, clock);
    case 'ring':
      return new RingPort(arg, clock);
    case 'xdp': {
      const mode = options.includes('native') ? 'native' : options.includes('skb') ? 'skb' : null;
      return new XdpPort(arg, clock, { mode, busyPoll: options.includes('busy-poll') });
    }
    case 'pcap':
      return new PcapPort(arg, clock);
    case 'ip':
      return new IpPort(arg, clock);
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

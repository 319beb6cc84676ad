import { concat, ip6Bytes, numbers } from './build-bytes.ts';
import { type Layer, nextHeader } from './build-layers.ts';

export interface OptionsHeaderOptions {
  /** Raw options; padded with PadN to 8 bytes less 2. */
  readonly options?: Uint8Array;
  readonly next?: number;
  /** A lie: units of 8 bytes beyond the first 8. */
  readonly headerLength?: number;
}

export const HOP_BY_HOP = 0;
export const DESTINATION_OPTIONS = 60;

/** Hop-by-hop and destination options (RFC 8200 §4.3, §4.6). */
export function ip6OptionsLayer(protocol: number, o: OptionsHeaderOptions): Layer {
  return {
    protocol,
    wrap(content, { inner }) {
      const options = padded(o.options ?? new Uint8Array(0));
      const units = o.headerLength ?? (options.length + 2) / 8 - 1;
      return concat(numbers([1, nextHeader(inner, o.next)], [1, units]), options, content);
    },
  };
}

/** Pad1 or PadN (RFC 8200 §4.2) until the header with its first two bytes is a multiple of 8. */
function padded(options: Uint8Array): Uint8Array {
  const missing = (8 - ((options.length + 2) % 8)) % 8;
  if (missing === 0) return options;
  if (missing === 1) return concat(options, Uint8Array.of(0));
  return concat(options, Uint8Array.of(1, missing - 2), new Uint8Array(missing - 2));
}

export interface RoutingOptions {
  /** 4 is segment routing (RFC 8754), 0 the deprecated source route. */
  readonly type?: number;
  readonly segmentsLeft?: number;
  readonly addresses?: readonly string[];
  readonly next?: number;
  readonly headerLength?: number;
}

/** RFC 8200 §4.4. */
export function routingLayer(o: RoutingOptions): Layer {
  return {
    protocol: 43,
    wrap(content, { inner }) {
      const addresses = concat(...(o.addresses ?? []).map(ip6Bytes));
      const { type = 0, segmentsLeft = 0, headerLength = addresses.length / 8 } = o;
      const fixed = numbers([1, nextHeader(inner, o.next)], [1, headerLength], [1, type], [1, segmentsLeft], [4, 0]);
      return concat(fixed, addresses, content);
    },
  };
}

export interface FragmentOptions {
  /** In bytes, a multiple of 8. */
  readonly offset?: number;
  readonly more?: boolean;
  readonly id?: number;
  readonly next?: number;
}

/** RFC 8200 §4.5. */
export function fragmentLayer({ offset = 0, more = false, id = 1, next }: FragmentOptions): Layer {
  return {
    protocol: 44,
    wrap: (content, { inner }) =>
      concat(numbers([1, nextHeader(inner, next)], [1, 0], [2, (offset & 0xfff8) | (more ? 1 : 0)], [4, id]), content),
  };
}

export interface AhOptions {
  readonly spi?: number;
  readonly sequence?: number;
  /** Bytes of integrity check value, a multiple of 4. */
  readonly icvLength?: number;
  readonly next?: number;
  /** A lie: 32-bit words less 2. */
  readonly headerLength?: number;
}

/** Authentication Header (RFC 4302 §2), over IPv4 or IPv6. */
export function ahLayer({ spi = 1, sequence = 1, icvLength = 12, next, headerLength }: AhOptions): Layer {
  return {
    protocol: 51,
    wrap: (content, { inner }) =>
      concat(
        numbers([1, nextHeader(inner, next)], [1, headerLength ?? 1 + icvLength / 4], [2, 0], [4, spi], [4, sequence]),
        new Uint8Array(icvLength),
        content,
      ),
  };
}

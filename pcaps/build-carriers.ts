import { concat, numbers } from './build-bytes.ts';
import type { Layer } from './build-layers.ts';

export interface MplsOptions {
  /** 3 bits. */
  readonly trafficClass?: number;
  readonly ttl?: number;
  /** In place of the truth: whether this is the last entry of the stack. */
  readonly bottom?: boolean;
  /** The EtherType that names this entry, in place of 0x8847. */
  readonly type?: number;
}

/** One label stack entry (RFC 3032 §2.1); further ones are further layers. */
export function mplsLayer(label: number, { trafficClass = 0, ttl = 64, bottom, type = 0x8847 }: MplsOptions): Layer {
  return {
    etherType: type,
    isLabel: true,
    wrap(content, { inner }) {
      const isBottom = bottom ?? inner?.isLabel !== true;
      return concat(numbers([4, label * 0x1000 + trafficClass * 0x200 + (isBottom ? 0x100 : 0) + ttl]), content);
    },
  };
}

export interface PppoeOptions {
  readonly session?: number;
  /** The PPP protocol number, in place of what the next layer says. */
  readonly protocol?: number;
  /** Lies: these go into the header as they are. */
  readonly version?: number;
  readonly type?: number;
  readonly code?: number;
  readonly length?: number;
}

/** PPP protocol numbers (IANA) by EtherType. */
const PPP_PROTOCOL: Readonly<Record<number, number>> = { 2048: 0x0021, 34525: 0x0057 };

/** The PPP control protocol (RFC 1661 §5), for content that names none. */
const LCP = 0xc021;

/** PPPoE session stage with the PPP protocol number (RFC 2516 §4, §6). */
export function pppoeLayer(o: PppoeOptions): Layer {
  return {
    etherType: 0x8864,
    wrap(content, { inner }) {
      const protocol = o.protocol ?? PPP_PROTOCOL[inner?.etherType ?? 0] ?? LCP;
      const first = ((o.version ?? 1) << 4) | (o.type ?? 1);
      const header = numbers(
        [1, first],
        [1, o.code ?? 0],
        [2, o.session ?? 1],
        [2, o.length ?? content.length + 2],
        [2, protocol],
      );
      return concat(header, content);
    },
  };
}

/**
 * Frames of the model tests: small, valid unless they are meant not to be, and each with a serial number among its
 * bytes, so that equal bytes on the other side are the same frame, untouched.
 */

/**
 * `cut` ends within its TCP header but after the ports, so it is of the same flow as `tcp`; `stub` ends within the
 * Ethernet header; `raw` has an EtherType that nobody parses; `alien` comes with a link type that is not Ethernet.
 */
export const KINDS = [
  'tcp',
  'udp',
  'sctp',
  'arp',
  'raw',
  'cut',
  'stub',
  'oversize',
  'alien',
  'tcp-first',
  'tcp-middle',
  'tcp-last',
  'udp-first',
  'udp-middle',
  'udp-last',
] as const;
export type Kind = (typeof KINDS)[number];

export interface FrameSpec {
  readonly kind: Kind;
  /** Which conversation, 0..2: l4Ports, MAC addresses, or for fragments the packet's identification. */
  readonly flow: number;
  /** What rules look at, 0..3: TCP flags, UDP destination port, ARP operation, VLAN priority of the others. */
  readonly colour: number;
  /** 0: no tag. */
  readonly vlan: number;
  /** Bytes of payload beyond the serial number. */
  readonly pad: number;
}

export interface Frame extends FrameSpec {
  readonly serial: number;
  readonly bytes: Uint8Array;
  readonly linkType: number;
}

/** Slots of the tests take frames of up to this many bytes; `oversize` is one byte longer. */
export const SLOT_BYTES = 128;
export const LONGEST_PAD = SLOT_BYTES - 58;
/** What fragments carry: [first byte, end). */
export const FRAGMENT_SPANS = { first: [0, 24], middle: [24, 32], last: [32, 40] } as const;
/** By colour: ACK, SYN+ACK, URG+ACK, PSH+ACK. */
export const TCP_FLAGS_OF_COLOUR = [0x10, 0x12, 0x30, 0x18] as const;
export const RAW_ETHERTYPE = 0x88b5;

const PROTOCOL = { tcp: 6, udp: 17, sctp: 132 } as const;
const LINKTYPE_RAW = 101;

export function makeFrame(spec: FrameSpec, serial: number): Frame {
  return { ...spec, serial, bytes: bytesOf(spec, serial), linkType: spec.kind === 'alien' ? LINKTYPE_RAW : 1 };
}

function bytesOf(spec: FrameSpec, serial: number): Uint8Array {
  if (spec.kind === 'stub') {
    const stub = new Uint8Array(13).fill(spec.flow);
    new DataView(stub.buffer).setUint32(0, serial);
    return stub;
  }
  const out: number[] = [];
  // The second conversation speaks with addresses that are not the VM's own: they are the VM's frames all the same.
  push(out, 6, spec.flow === 2 ? 0x02_00_00_00_00_01 : 0x02_00_00_00_00_aa);
  push(out, 6, 0x02_00_00_00_00_01 + spec.flow);
  if (spec.vlan > 0) {
    push(out, 2, 0x8100);
    push(out, 2, (isColouredByTag(spec.kind) ? spec.colour << 13 : 0) | spec.vlan);
  }
  pushNetwork(out, spec, serial);
  if (spec.kind === 'cut') return Uint8Array.from(out.slice(0, (spec.vlan > 0 ? 18 : 14) + 20 + 8));
  if (spec.kind === 'oversize') while (out.length < SLOT_BYTES + 1) out.push(0xee);
  return Uint8Array.from(out);
}

/** Frames without a header field of their own that rules could tell apart. */
export function isColouredByTag(kind: Kind): boolean {
  return kind === 'sctp' || kind === 'raw' || kind === 'oversize' || kind === 'alien';
}

function pushNetwork(out: number[], spec: FrameSpec, serial: number): void {
  if (spec.kind === 'arp') {
    push(out, 2, 0x0806);
    for (const [size, value] of [
      [2, 1],
      [2, 0x0800],
      [1, 6],
      [1, 4],
      [2, 1 + spec.colour],
    ] as const)
      push(out, size, value);
    push(out, 6, 1);
    push(out, 4, 0x0a000001);
    push(out, 6, 0);
    push(out, 4, serial);
    push(out, spec.pad, 0);
    return;
  }
  if (spec.kind === 'raw' || spec.kind === 'oversize' || spec.kind === 'alien') {
    push(out, 2, RAW_ETHERTYPE);
    push(out, 4, serial);
    for (let i = 0; i < spec.pad; i++) out.push((serial + i) & 0xff);
    return;
  }
  const [protocol, part = null] = (spec.kind === 'cut' ? 'tcp' : spec.kind).split('-') as [
    keyof typeof PROTOCOL,
    string?,
  ];
  const payload: number[] = [];
  pushTransport(payload, protocol, spec, serial);
  let fragment = 0;
  let body = payload;
  if (part !== null) {
    const [from, to] = FRAGMENT_SPANS[part as keyof typeof FRAGMENT_SPANS];
    fragment = (part === 'last' ? 0 : 0x2000) | (from / 8);
    while (payload.length < to) payload.push(0x55);
    body = payload.slice(from, to);
  }
  push(out, 2, 0x0800);
  push(out, 2, 0x4500);
  push(out, 2, 20 + body.length);
  push(out, 2, part === null ? serial & 0xffff : spec.flow);
  push(out, 2, fragment);
  push(out, 1, 64);
  push(out, 1, PROTOCOL[protocol]);
  push(out, 2, 0);
  push(out, 4, 0x0a000001 + spec.flow);
  push(out, 4, spec.flow === 2 ? 0x0a000001 : 0x0a0000fe);
  // A later fragment carries nothing but its number, as often as it fits.
  if (part === 'middle' || part === 'last') {
    for (let i = 0; i < body.length; i += 4) push(out, 4, serial);
  } else {
    out.push(...body);
  }
}

function pushTransport(out: number[], protocol: keyof typeof PROTOCOL, spec: FrameSpec, serial: number): void {
  if (protocol === 'udp') {
    push(out, 2, 6000 + spec.flow);
    push(out, 2, 5000 + spec.colour);
    push(out, 2, 8 + 4 + spec.pad);
    push(out, 2, 0);
    push(out, 4, serial);
  } else {
    push(out, 2, 40000 + spec.flow);
    push(out, 2, protocol === 'tcp' ? 80 : 36412);
    push(out, 4, serial);
    push(out, 4, 0);
    if (protocol === 'tcp') {
      push(out, 2, (5 << 12) | TCP_FLAGS_OF_COLOUR[spec.colour]!);
      push(out, 2, 1000);
      push(out, 4, 0);
    }
  }
  for (let i = 0; i < spec.pad; i++) out.push((serial * 7 + i) & 0xff);
}

/** Big endian. */
function push(out: number[], size: number, value: number): void {
  for (let i = size - 1; i >= 0; i--) out.push(Math.floor(value / 2 ** (8 * i)) & 0xff);
}

/** Frames of IPv4 and IPv6 with UDP and TCP, and a second opinion on their checksums: straight from RFC 1071. */
import { A_MAC, B_MAC } from './hands.ts';

export interface IpFrame {
  readonly version: 4 | 6;
  readonly protocol: 'tcp' | 'udp';
  readonly payloadBytes: number;
  /** TCP flags. */
  readonly flags?: number;
  readonly tags?: readonly (readonly [number, number])[];
}

const NUMBER = { tcp: 6, udp: 17 } as const;
const HEADER = { tcp: 20, udp: 8 } as const;
const FIELD = { tcp: 16, udp: 6 } as const;

/** @returns the frame as a stack leaves it to hardware: its checksum field holds the pseudo-header's sum */
export function unfinishedFrame(spec: IpFrame): { bytes: Uint8Array; l4Start: number } {
  const l4Bytes = HEADER[spec.protocol] + spec.payloadBytes;
  const head: number[] = [...B_MAC, ...A_MAC];
  for (const [tpid, tci] of spec.tags ?? []) head.push(tpid >> 8, tpid & 255, tci >> 8, tci & 255);
  let addresses: number[];
  if (spec.version === 4) {
    addresses = [10, 77, 0, 1, 10, 77, 0, 2];
    const total = 20 + l4Bytes;
    const ip = [0x45, 0, total >> 8, total & 255, 0x12, 0x34, 0x40, 0, 64, NUMBER[spec.protocol], 0, 0, ...addresses];
    const sum = ~naiveSum(ip) & 0xffff;
    ip[10] = sum >> 8;
    ip[11] = sum & 255;
    head.push(0x08, 0x00, ...ip);
  } else {
    addresses = [0xfd, ...Array(14).fill(0), 1, 0xfd, ...Array(14).fill(0), 2];
    head.push(0x86, 0xdd, 0x60, 0, 0, 0, l4Bytes >> 8, l4Bytes & 255, NUMBER[spec.protocol], 64, ...addresses);
  }
  const l4Start = head.length;
  if (spec.protocol === 'tcp') {
    head.push(0x30, 0x39, 0x1f, 0x90, 0xff, 0xff, 0xf0, 0, 0, 0, 0, 1, 0x50, spec.flags ?? 0x10, 1, 0, 0, 0, 0, 0);
  } else {
    head.push(0x30, 0x39, 0x1f, 0x90, l4Bytes >> 8, l4Bytes & 255, 0, 0);
  }
  const pseudo = naiveSum([...addresses, l4Bytes >> 8, l4Bytes & 255, 0, NUMBER[spec.protocol]]);
  head[l4Start + FIELD[spec.protocol]] = pseudo >> 8;
  head[l4Start + FIELD[spec.protocol] + 1] = pseudo & 255;
  const bytes = new Uint8Array(head.length + spec.payloadBytes);
  bytes.set(head);
  for (let i = 0; i < spec.payloadBytes; i++) bytes[head.length + i] = (i * 13 + 5) & 255;
  return { bytes, l4Start };
}

/** @returns whether every checksum of the frame is right: IPv4's own and that of TCP, UDP or ICMPv6 */
export function checksumsAreRight(frame: Uint8Array): boolean {
  let at = 12;
  while (frame[at] === 0x81 || frame[at] === 0x88) at += 4;
  const ip = frame.subarray(at + 2);
  const isIp4 = ip[0]! >> 4 === 4;
  const headerBytes = isIp4 ? (ip[0]! & 15) * 4 : 40;
  const total = isIp4 ? ip[2]! * 256 + ip[3]! : 40 + ip[4]! * 256 + ip[5]!;
  const protocol = isIp4 ? ip[9]! : ip[6]!;
  const l4 = ip.subarray(headerBytes, total);
  if (isIp4 && naiveSum(ip.subarray(0, headerBytes)) !== 0xffff) return false;
  const addresses = isIp4 ? ip.subarray(12, 20) : ip.subarray(8, 40);
  return naiveSum([...addresses, l4.length >> 8, l4.length & 255, 0, protocol, ...l4]) === 0xffff;
}

/** @returns TCP payload with its sequence number, flags and lengths as the headers have them */
export function tcpPart(frame: Uint8Array, l4Start: number) {
  const view = new DataView(frame.buffer, frame.byteOffset);
  const headerBytes = (view.getUint8(l4Start + 12) >> 4) * 4;
  return {
    sequence: view.getUint32(l4Start + 4),
    flags: view.getUint8(l4Start + 13),
    payload: frame.slice(l4Start + headerBytes),
  };
}

function naiveSum(bytes: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

import { L3, L4 } from '../../classifier/parsed.ts';
import type { AppName } from '../../rules/apps.ts';
import { bytesOf, type Shape } from './ask-app.ts';

export const TCP: Shape = { l4: L4.tcp };
export const IP6: Shape = { l3: L3.ip6 };

/** @returns the parts' bytes, one after another; a number is one byte */
export function joined(...parts: readonly (string | number | ArrayLike<number>)[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => (typeof part === 'number' ? [part] : [...bytesOf(part)])));
}

export const u16 = (value: number) => [value >> 8, value & 0xff];
export const u32 = (value: number) => [...u16(value >>> 16), ...u16(value & 0xffff)];
/** @returns `count` bytes of the value */
export const times = (count: number, value = 0): number[] => Array<number>(count).fill(value);

/** @param length by the header; the body has what is left of it after 19 bytes, at most `present` bytes of all */
export function bgp(type: number, length: number, present = length): Uint8Array {
  return joined(times(16, 0xff), u16(length), type, times(Math.max(0, length - 19), 7)).slice(0, present);
}

/** @param content 20..23 for what the RFC defines @param present bytes of the body that are there */
export function tls(content: number, length: number, present = length, version = [3, 3]): Uint8Array {
  return joined(content, version, u16(length), times(present, 1));
}

/** A message of QR and opcode by its flags, then counts and the rest. */
export function dns(flags: number, counts: readonly number[], ...rest: readonly (string | number[])[]): Uint8Array {
  return joined(u16(0x1234), u16(flags), ...counts.map(u16), ...rest);
}

export function dnsName(...labels: readonly string[]): number[] {
  return [...joined(...labels.flatMap((label) => [label.length, label]), 0)];
}

export const QUESTION = [...dnsName('www', 'example', 'com'), ...u16(1), ...u16(1)];
export const QUERY = dns(0x0100, [1, 0, 0, 0], QUESTION);
export const ANSWER_RECORD = [0xc0, 12, ...u16(1), ...u16(1), ...u32(300), ...u16(4), 192, 0, 2, 1];
export const RESPONSE = dns(0x8180, [1, 1, 0, 0], QUESTION, ANSWER_RECORD);

/** DNS over TCP: each message behind its length. */
export function framed(...messages: readonly Uint8Array[]): Uint8Array {
  return joined(...messages.flatMap((message) => [u16(message.length), message]));
}

/** @param fields the first four bytes: op, hardware type, its length, hops */
export function dhcp4(fields: readonly number[] = [1, 1, 6, 0], cookie = 0x63825363): Uint8Array {
  return joined(fields, times(232), u32(cookie), [53, 1, 1, 255]);
}

/** @param option code and data of the first option */
export function dhcp6(type: number, header: number, option: readonly [number, number[]] = [1, [0, 3]]): Uint8Array {
  return joined(type, times(header - 1, 9), u16(option[0]), u16(option[1].length), option[1]);
}

/** @param rest what follows two connection ids of 8 and 4 bytes, none of which could be an id's length */
export function quic(first: number, version: number, rest: readonly number[]): Uint8Array {
  return joined(first, u32(version), 8, times(8, 0x41), 4, times(4, 0x42), rest);
}

/** A token of 1 byte, a length of 20 in two bytes, and as much of it. */
export const QUIC_INITIAL = [1, 0xaa, 0x40, 20, ...times(20, 5)];

export function wireguard(type: number, length: number): Uint8Array {
  return joined(type, times(3), times(4, 9), times(6, 8), times(2), times(Math.max(0, length - 16), 7)).slice(
    0,
    length,
  );
}

/** @param first version, padding and count @param words of 32 bits behind the header */
export function rtcp(first: number, type: number, words: number): Uint8Array {
  return joined(first, type, u16(words), times(words * 4, 3));
}

/** Frames that are the application, of every type and shape. */
export const SAMPLES: readonly (readonly [AppName, string | Uint8Array, Shape?])[] = [
  ['bgp', bgp(1, 45), TCP],
  ['bgp', joined(bgp(4, 19), bgp(4, 19), bgp(2, 60)), TCP],
  ['bgp', joined(bgp(3, 21), bgp(5, 23, 10)), TCP],
  ['sip', 'INVITE sip:bob@example.com SIP/2.0\r\nVia: x\r\n'],
  ['sip', '\r\n\r\nSIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\nBYE sip:a SIP/2.0\r\n', TCP],
  ['http', 'GET /index.html HTTP/1.1\r\nHost: example.com\r\n', TCP],
  ['http', 'HTTP/1.0 404 Not Found\r\n', TCP],
  ['http', `GET /${'x'.repeat(80)}`, TCP],
  ['ssh', 'SSH-2.0-OpenSSH_9.2p1\r\n', TCP],
  ['ssh', 'SSH-1.99-Cisco-1.25\n', TCP],
  ['dhcp', dhcp4()],
  ['dhcp', dhcp6(1, 4), { ...IP6, ports: [546, 547] }],
  ['dhcp', dhcp6(12, 34), { ...IP6, ports: [547, 547] }],
  ['quic', quic(0xc0, 1, QUIC_INITIAL)],
  ['quic', quic(0x80, 0, u32(1))],
  ['quic', quic(0xe0, 0xff00001d, [20, ...times(20)])],
  ['wireguard', wireguard(1, 148)],
  ['wireguard', wireguard(2, 92)],
  ['wireguard', wireguard(3, 64)],
  ['wireguard', wireguard(4, 96)],
  ['dns', QUERY],
  ['dns', RESPONSE],
  ['dns', framed(QUERY, QUERY, RESPONSE), TCP],
  ['tls', tls(22, 200), TCP],
  ['tls', joined(tls(22, 60), tls(20, 1), tls(23, 40), tls(23, 400, 30)), TCP],
  ['rtcp', joined(rtcp(0x81, 200, 12), rtcp(0x81, 202, 3))],
  ['rtcp', joined(rtcp(0x80, 201, 1), times(14, 1))],
  ['rtcp', joined(rtcp(0x80, 201, 1), [0x81, 202, 0, 0])],
  ['rtp', joined([0xb0, 0, 0, 1], times(8), [0xbe, 0xde, 0, 1], times(8), 3)],
];

import { ip4Text, ip6Text } from '../classifier/text.ts';
import { parseIp4, parseIp6 } from '../rules/addresses.ts';

/**
 * @param text an IPv4 or IPv6 address
 * @returns its 4 or 16 bytes
 * @throws RangeError where it is neither
 */
export function bytesOfIp(text: string): Uint8Array {
  const ip4 = parseIp4(text);
  const value = ip4 ?? parseIp6(text);
  if (value === null) throw new RangeError(`'${text}' is no IP address`);
  const length = ip4 === null ? 16 : 4;
  return Uint8Array.from({ length }, (_, k) => Number((value >> BigInt(8 * (length - 1 - k))) & 0xffn));
}

/** @returns canonical text of an address of 4 or 16 bytes */
export function textOfIp(ip: Uint8Array): string {
  const view = new DataView(ip.buffer, ip.byteOffset, ip.length);
  if (ip.length === 4) return ip4Text(view.getInt32(0));
  return ip6Text(view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12));
}

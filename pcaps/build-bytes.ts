/** Bytes as a test writes them: text in UTF-8, or bytes. */
export type Data = string | Uint8Array;

const encoder = new TextEncoder();

export function dataOf(data: Data): Uint8Array {
  return typeof data === 'string' ? encoder.encode(data) : data;
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Big-endian numbers, each with its number of bytes: `numbers([2, 0x0800], [1, 64])`. */
export function numbers(...fields: readonly (readonly [bytes: number, value: number])[]): Uint8Array {
  const out = new Uint8Array(fields.reduce((length, [bytes]) => length + bytes, 0));
  let at = 0;
  for (const [bytes, value] of fields) {
    for (let i = 0; i < bytes; i++) out[at + i] = Math.floor(value / 256 ** (bytes - 1 - i)) % 256;
    at += bytes;
  }
  return out;
}

/** Fills up with zeros to a multiple of `unit` bytes. */
export function padTo(bytes: Uint8Array, unit: number): Uint8Array {
  const missing = (unit - (bytes.length % unit)) % unit;
  return missing === 0 ? bytes : concat(bytes, new Uint8Array(missing));
}

/** @param text like `02:00:00:00:00:01` */
export function macBytes(text: string): Uint8Array {
  const parts = text.split(':');
  if (parts.length !== 6 || !parts.every((part) => /^[0-9a-f]{1,2}$/i.test(part))) {
    throw new RangeError(`not a MAC address: ${text}`);
  }
  return Uint8Array.from(parts, (part) => Number.parseInt(part, 16));
}

/** @param text like `192.0.2.1` */
export function ip4Bytes(text: string): Uint8Array {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)) {
    throw new RangeError(`not an IPv4 address: ${text}`);
  }
  return Uint8Array.from(parts, Number);
}

/** @param text as in RFC 4291 §2.2, like `2001:db8::1`; the form that ends in an IPv4 address is not understood */
export function ip6Bytes(text: string): Uint8Array {
  const [head = '', tail, ...more] = text.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = 8 - before.length - after.length;
  const all = [...before, ...new Array<string>(Math.max(0, zeros)).fill('0'), ...after];
  const misplaced = tail === undefined ? zeros !== 0 : zeros < 1;
  if (misplaced || more.length > 0 || !all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) {
    throw new RangeError(`not an IPv6 address: ${text}`);
  }
  return numbers(...all.map((group) => [2, Number.parseInt(group, 16)] as const));
}

/** The Internet checksum (RFC 1071) over all parts, each of which but the last must have an even length. */
export function internetChecksum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) sum += i % 2 === 0 ? part[i]! * 256 : part[i]!;
  }
  while (sum > 0xffff) sum = (sum % 0x1_0000) + Math.floor(sum / 0x1_0000);
  return 0xffff - sum;
}

/** CRC32c as SCTP has it, its bytes in the order in which they are sent (RFC 9260 appendix A). */
export function crc32c(bytes: Uint8Array): Uint8Array {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
  }
  return numbers([4, ~crc >>> 0]).reverse();
}

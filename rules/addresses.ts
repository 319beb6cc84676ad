/** @returns the 32 bits of dotted decimal text, or null; a leading zero is refused because some tools read it as octal */
export function parseIp4(text: string): bigint | null {
  const parts = text.split('.', 5);
  if (parts.length !== 4) return null;
  let value = 0n;
  for (const part of parts) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return null;
    value = (value << 8n) | BigInt(part);
  }
  return value;
}

/** @returns the 128 bits of text as RFC 4291 §2.2 writes it, the form with an IPv4 tail included, or null */
export function parseIp6(text: string): bigint | null {
  if (text.length > 45) return null;
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  // '::' stands for at least one group.
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const groups = [...head, ...Array<bigint>(missing).fill(0n), ...tail];
  return groups.reduce((value, group) => (value << 16n) | group, 0n);
}

function parseGroups(text: string, mayEndInIp4: boolean): bigint[] | null {
  if (text === '') return [];
  const groups: bigint[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (mayEndInIp4 && index === parts.length - 1 && part.includes('.')) {
      const ip4 = parseIp4(part);
      if (ip4 === null) return null;
      groups.push(ip4 >> 16n, ip4 & 0xffffn);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(BigInt(`0x${part}`));
    } else {
      return null;
    }
  }
  return groups;
}

/** @returns the 48 bits of six hexadecimal bytes with colons, or null */
export function parseMac(text: string): bigint | null {
  const parts = text.split(':', 7);
  if (parts.length !== 6 || !parts.every((part) => /^[0-9a-fA-F]{1,2}$/.test(part))) return null;
  return parts.reduce((value, part) => (value << 8n) | BigInt(`0x${part}`), 0n);
}

export function formatIp4(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.');
}

/** In the canonical form of RFC 5952 §4, without the mixed notation. */
export function formatIp6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) => (value >> BigInt(112 - 16 * index)) & 0xffffn);
  let bestStart = 0;
  let bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && groups[end] === 0n) end++;
    if (end - start > bestLength) {
      bestStart = start;
      bestLength = end - start;
    }
  }
  const texts = groups.map((group) => group.toString(16));
  if (bestLength < 2) return texts.join(':');
  return `${texts.slice(0, bestStart).join(':')}::${texts.slice(bestStart + bestLength).join(':')}`;
}

export function formatMac(value: bigint): string {
  const digits = value.toString(16).padStart(12, '0');
  return digits.match(/../g)!.join(':');
}

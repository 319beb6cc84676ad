import { L3, type Parsed } from '../classifier/parsed.ts';
import { parseIp4, parseIp6, parseMac } from '../rules/addresses.ts';

interface Prefix {
  readonly l3: number;
  /** Address and mask, one word for IPv4, four for IPv6. */
  readonly words: Int32Array;
  readonly masks: Int32Array;
}

/** Tells which frames of a capture a VM sent: a live gateway knows it from the port they come in by. */
export class VmAddresses {
  readonly #macs: { readonly high: number; readonly low: number }[] = [];
  readonly #prefixes: Prefix[] = [];

  /**
   * @param texts each a MAC address, an IP address or a prefix; none at all: every frame is outbound
   * @throws RangeError that names a text which is neither
   */
  constructor(texts: readonly string[]) {
    for (const text of texts) {
      const mac = parseMac(text);
      if (mac === null) this.#prefixes.push(parsePrefix(text));
      else this.#macs.push({ high: Number(BigInt.asIntN(32, mac >> 16n)), low: Number(mac & 0xffffn) });
    }
  }

  /** Nobody named an address: every frame is outbound. */
  get isEmpty(): boolean {
    return this.#macs.length === 0 && this.#prefixes.length === 0;
  }

  /** @returns whether source MAC, source IP or ARP sender is the VM's */
  isOutbound(p: Parsed): boolean {
    if (this.isEmpty) return true;
    for (const { high, low } of this.#macs) {
      if (p.srcMacHigh === high && p.srcMacLow === low) return true;
      if (p.l3 === L3.arp && p.arpMacHigh === high && p.arpMacLow === low) return true;
    }
    if (p.l3 === L3.unknown) return false;
    const l3 = p.l3 === L3.ip6 ? L3.ip6 : L3.ip4;
    for (const prefix of this.#prefixes) if (prefix.l3 === l3 && isInside(prefix, p)) return true;
    return false;
  }
}

function isInside({ words, masks, l3 }: Prefix, p: Parsed): boolean {
  if ((p.src0 & masks[0]!) !== words[0]) return false;
  if (l3 === L3.ip4) return true;
  return (p.src1 & masks[1]!) === words[1] && (p.src2 & masks[2]!) === words[2] && (p.src3 & masks[3]!) === words[3];
}

function parsePrefix(text: string): Prefix {
  const [address = '', length, ...more] = text.split('/');
  const ip4 = parseIp4(address);
  const ip6 = ip4 === null ? parseIp6(address) : null;
  const bits = ip4 === null ? 128 : 32;
  const ones = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : -1;
  if ((ip4 === null && ip6 === null) || more.length > 0 || ones < 0 || ones > bits) {
    throw new RangeError(`'${text}' is no MAC address, IP address or prefix`);
  }
  const mask = ((1n << BigInt(ones)) - 1n) << BigInt(bits - ones);
  const value = (ip4 ?? ip6!) & mask;
  return { l3: ip4 === null ? L3.ip6 : L3.ip4, words: split(value, bits), masks: split(mask, bits) };
}

function split(value: bigint, bits: number): Int32Array {
  return Int32Array.from({ length: bits / 32 }, (_, i) =>
    Number(BigInt.asIntN(32, value >> BigInt(bits - 32 * (i + 1)))),
  );
}

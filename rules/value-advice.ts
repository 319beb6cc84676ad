import { formatMac, parseIp4, parseIp6, parseMac } from './addresses.ts';
import type { Token } from './lex.ts';
import type { Operand } from './operand.ts';

/** What to write instead of a value that is none; undefined where nothing is near. */
interface Advice {
  readonly hint?: string;
}

/** What reads addresses of the other IP version: a field, with the address, or a set's type. */
export function otherVersion(text: string, address: string): string {
  if (text === 'ipv4_addr') return 'type ipv6_addr';
  if (text === 'ipv6_addr') return 'type ipv4_addr';
  return `${text.startsWith('ip6 ') ? text.replace('ip6', 'ip') : text.replace('ip', 'ip6')} ${address}`;
}

export function addressAdvice(operand: Operand, text: string): Advice {
  const { kind } = operand.syntax;
  if (text === 'any' || text === 'all') return { hint: 'leave the match out' };
  if (kind === 'mac' && /^[0-9a-fA-F]{2}(-[0-9a-fA-F]{2})*$/.test(text)) {
    return { hint: "its bytes are separated by ':'" };
  }
  if (kind === 'mac' && /^[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}$/.test(text)) {
    return { hint: `write '${formatMac(BigInt(`0x${text.replaceAll('.', '')}`))}'` };
  }
  if (kind !== 'ip4') return {};
  if (/^[0-9]+(\.[0-9]+){3}$/.test(text)) {
    const zero = text.split('.').some((part) => /^0[0-9]/.test(part));
    return { hint: zero ? 'leave out the leading zeros' : 'each of the four numbers is at most 255' };
  }
  if (/^[0-9]+(\.[0-9]+){4}$/.test(text)) {
    return { hint: "in a concatenation blanks stand around the '.': '192.0.2.1 . 53'" };
  }
  if (/^[0-9.]+:[0-9]+$/.test(text)) return { hint: 'the port is a match of its own: udp dport or tcp dport' };
  if (/[g-zG-Z]/.test(text)) return { hint: 'names are not looked up: write the address' };
  return {};
}

/** Other tools write the whole byte, of which the codepoint is the upper 6 bits (RFC 2474 §3). */
export function codepointAdvice(operand: Operand, value: bigint): Advice {
  if (!operand.text.endsWith('dscp') || value > 255n || (value & 3n) !== 0n) return {};
  return { hint: `the byte 0x${value.toString(16)} has the codepoint ${value >> 2n}` };
}

/** Longer words are not what anybody meant. */
const MAX_WORD = 64;

/** Characters that fit into 128 bits. */
const MAX_RAW_CHARACTERS = 16;

/** What was meant by a word that is no number: an address or text as raw bytes, two names as a range. */
export function numberAdvice(operand: Operand, { kind, text }: Token): string | null {
  if (text.length > MAX_WORD) return null;
  if (operand.text.startsWith('@')) {
    const address = parseMac(text) ?? parseIp4(text) ?? parseIp6(text);
    if (address !== null) {
      const digits = parseMac(text) !== null ? 12 : parseIp4(text) !== null ? 8 : 32;
      return `write it as a number: 0x${address.toString(16).padStart(digits, '0')}`;
    }
    if (kind === 'string' && text.length > 0 && text.length <= MAX_RAW_CHARACTERS && /^[\x20-\x7e]+$/.test(text)) {
      const hex = [...text].map((character) => character.charCodeAt(0).toString(16)).join('');
      return `write the text's bytes as a number: 0x${hex}, with a length of ${8 * text.length}`;
    }
    return null;
  }
  const { names } = operand.syntax;
  if (/^[0-9]+:[0-9]+$/.test(text)) return `a range is written '${text.replace(':', '-')}'`;
  if (text === 'any' || text === 'all') return 'leave the match out';
  if (text === 'range') return "a range is 'low-high'";
  for (let at = text.indexOf('-'); at >= 0; at = text.indexOf('-', at + 1)) {
    const low = text.slice(0, at);
    const high = text.slice(at + 1);
    if (Object.hasOwn(names, low) && (Object.hasOwn(names, high) || /^[0-9]+$/.test(high))) {
      return `blanks stand around the '-' behind a name: '${low} - ${high}'`;
    }
  }
  return null;
}

/** `10.0.0.0/255.0.0.0` is how other tools write a prefix. */
export function netmaskAdvice(kind: 'mac' | 'ip4' | 'ip6', length: string, address: string): Advice {
  const mask = kind === 'ip4' && address.length <= MAX_WORD ? parseIp4(length) : null;
  if (mask === null) return {};
  const ones = mask.toString(2).padStart(32, '0').replace(/0+$/, '');
  return ones.includes('0') ? {} : { hint: `write '${address}/${ones.length}'` };
}

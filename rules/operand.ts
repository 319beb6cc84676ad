import { formatIp4, formatIp6, formatMac } from './addresses.ts';
import { NUMBER, SET_TYPE_SYNTAX, VALUE_SYNTAX, type ValueSyntax } from './names.ts';
import { FIELDS, type FieldName, type Interval, SET_TYPE_BITS, type SetType } from './rule.ts';

/** What a value is compared with: how it is written, how wide it is, and what messages call it. */
export interface Operand {
  /** `ip saddr`, `@th,64,32`, or a set's type, `ipv4_addr`. */
  readonly text: string;
  readonly bits: number;
  readonly syntax: ValueSyntax;
}

/** `ip.saddr` as rules write it: `ip saddr`. */
export function fieldText(field: FieldName): string {
  return field.replace('.', ' ');
}

export function fieldOperand(field: FieldName): Operand {
  return { text: fieldText(field), bits: FIELDS[field].bits, syntax: VALUE_SYNTAX[field] };
}

/** For the elements of a named set. */
export function setTypeOperand(type: SetType): Operand {
  return { text: type, bits: SET_TYPE_BITS[type], syntax: SET_TYPE_SYNTAX[type] };
}

/** @param text as the rule writes it: `@th,64,32` */
export function rawOperand(text: string, bits: number): Operand {
  return { text, bits, syntax: NUMBER };
}

/** The largest value that it can have. */
export function maxOf(operand: Operand): bigint {
  return (1n << BigInt(operand.bits)) - 1n;
}

/** @returns how many bits the prefix has that an interval of addresses is; null if it is none */
export function prefixLength({ syntax, bits }: Operand, { low, high }: Interval): number | null {
  if (syntax.kind === 'number') return null;
  const free = low ^ high;
  if ((free & (free + 1n)) !== 0n || (low & free) !== 0n) return null;
  return bits - free.toString(2).length;
}

/** A value as rules write it; a number in hexadecimal, as this is for bits. */
export function formatBits(operand: Operand, value: bigint): string {
  switch (operand.syntax.kind) {
    case 'ip4':
      return formatIp4(value);
    case 'ip6':
      return formatIp6(value);
    case 'mac':
      return formatMac(value);
    case 'number':
      return `0x${value.toString(16)}`;
  }
}

import { MASK_IN_CONCAT, parseComparison } from './condition.ts';
import type { Cursor } from './cursor.ts';
import { quote } from './errors.ts';
import { PROTOCOL_WORDS, parseField } from './fields.ts';
import type { Token } from './lex.ts';
import { parseLookup } from './lookup.ts';
import { fieldOperand, fieldText, type Operand } from './operand.ts';
import type { ConcatMatch, FieldName, Interval } from './rule.ts';
import type { SetReference } from './set-reference.ts';
import { parseElements, parseInterval, spanning } from './values.ts';

/**
 * A match on several fields at once: `ip saddr . udp dport { 192.0.2.1 . 53, 10.0.0.0/8 . 1000-2000 }`.
 * @param start the match's first token
 * @param first the first field
 * @param cursor at the '.' behind it
 * @returns null after reporting an error
 */
export function parseConcat(cursor: Cursor, start: Token, first: FieldName): ConcatMatch | SetReference | null {
  const fields = parseFields(cursor, start, first);
  if (fields === null) return null;
  const operands = fields.names.map(fieldOperand);
  const whole = operands.map(({ text }) => text).join(' . ');
  if (cursor.is('&')) {
    cursor.unexpected(`a value for '${whole}'`, MASK_IN_CONCAT);
    return null;
  }
  const comparison = parseComparison(cursor, { ...operands[0]!, text: whole });
  if (comparison === null) return null;
  if (comparison !== 'is' && comparison !== 'is-not') {
    cursor.reports.error('syntax', cursor.previous(), `unexpected ${quote(cursor.previous().text)}`, {
      expected: `a value for '${whole}'`,
      hint: "a concatenation compares with '==' or '!='; its elements may be ranges",
    });
    cursor.skipStatement();
    return null;
  }
  const negated = comparison === 'is-not';
  if (cursor.is('@')) {
    const lookup = parseLookup(cursor, start, fields.names, negated);
    return fields.fit ? lookup : null;
  }
  const tuples = parseTuples(cursor, operands);
  return tuples === null || !fields.fit ? null : { kind: 'concat', fields: fields.names, negated, tuples };
}

interface Fields {
  readonly names: readonly FieldName[];
  /** false: it has been reported that no frame has them all. */
  readonly fit: boolean;
}

function parseFields(cursor: Cursor, start: Token, first: FieldName): Fields | null {
  const names = [first];
  let fit = isComparable(cursor, first, start);
  while (cursor.take('.')) {
    const token = cursor.peek();
    if (token.kind !== 'word' || !PROTOCOL_WORDS.includes(token.text)) {
      const other = cursor.is('@') || cursor.isWord('app');
      const hint = other ? 'only fields go into a concatenation: write this as a match of its own' : undefined;
      cursor.unexpected("a field after '.', like 'udp dport'", hint);
      cursor.skipStatement();
      return null;
    }
    const field = parseField(cursor);
    if (field === null) {
      cursor.skipStatement();
      return null;
    }
    fit = isComparable(cursor, field, token) && fitsBeside(cursor, names, field, token) && fit;
    names.push(field);
  }
  return { names, fit };
}

/** Flags are looked at one by one, which a tuple cannot say. */
function isComparable(cursor: Cursor, field: FieldName, start: Token): boolean {
  if (field !== 'tcp.flags') return true;
  const hint = "write it as a match of its own beside the concatenation: 'tcp flags & (syn|ack) == syn'";
  const message = "'tcp flags' cannot be part of a concatenation: flags are compared under a mask";
  cursor.reports.error('not-supported', spanning(start, cursor.previous()), message, { hint });
  return false;
}

/** The network header that a field's protocol is, or lies in. */
const NETWORK: Readonly<Record<string, string>> = {
  ...{ ip: 'ip', icmp: 'ip', igmp: 'ip' },
  ...{ ip6: 'ip6', icmpv6: 'ip6' },
  arp: 'arp',
};
/** The protocols whose ports `th` reads. */
const WITH_PORTS: readonly string[] = ['tcp', 'udp', 'udplite', 'sctp', 'dccp'];
const TRANSPORT: readonly string[] = [...WITH_PORTS, 'th', 'icmp', 'icmpv6', 'igmp'];

function fitsBeside(cursor: Cursor, earlier: readonly FieldName[], field: FieldName, start: Token): boolean {
  const { reports } = cursor;
  const span = spanning(start, cursor.previous());
  if (earlier.includes(field)) {
    const message = `'${fieldText(field)}' stands twice in this concatenation`;
    reports.error('bad-value', span, message, {
      hint: 'did you mean the other direction, saddr and daddr, sport and dport?',
    });
    return false;
  }
  const conflicting = earlier.find((other) => conflict(protocolOf(other), protocolOf(field)));
  if (conflicting === undefined) return true;
  const message = `conflicting protocols: no frame has both '${fieldText(conflicting)}' and '${fieldText(field)}'`;
  reports.error('conflicting-protocols', span, message, { hint: 'write one rule for each protocol' });
  return false;
}

function protocolOf(field: FieldName): string {
  return field.split('.')[0]!;
}

function conflict(a: string, b: string): boolean {
  const networks = [NETWORK[a], NETWORK[b]];
  if (networks[0] !== undefined && networks[1] !== undefined && networks[0] !== networks[1]) return true;
  if (!TRANSPORT.includes(a) || !TRANSPORT.includes(b)) {
    return networks.includes('arp') && (TRANSPORT.includes(a) || TRANSPORT.includes(b));
  }
  const portsOfEither = (a === 'th' && WITH_PORTS.includes(b)) || (b === 'th' && WITH_PORTS.includes(a));
  return a !== b && !portsOfEither;
}

type Tuple = readonly Interval[];

function parseTuples(cursor: Cursor, operands: readonly Operand[]): readonly Tuple[] | null {
  if (cursor.is('{')) return parseElements(cursor, () => parseTuple(cursor, operands));
  const tuple = parseTuple(cursor, operands);
  if (tuple === null) return null;
  if (cursor.is(',')) {
    cursor.unexpected('a match, a class or a verdict', "several elements go in braces: '{ a . b, c . d }'");
    return null;
  }
  return [tuple];
}

/**
 * `192.0.2.1 . 53`: a value, range or prefix for each operand.
 * @returns null after reporting an error; the cursor stays where it is only where no value was
 */
export function parseTuple(cursor: Cursor, operands: readonly Operand[]): Tuple | null {
  const first = cursor.peek();
  const tuple: Interval[] = [];
  for (const [index, operand] of operands.entries()) {
    if (index > 0 && !cursor.take('.')) {
      if (tuple.length === index) reportMissing(cursor, first, operands, index);
      return null;
    }
    const before = cursor.peek();
    const interval = parseInterval(operand, cursor);
    if (interval !== null) tuple.push(interval);
    else if (cursor.peek() === before) return null;
  }
  if (cursor.is('.')) {
    cursor.unexpected(`${operands.length} values for '${operands.map(({ text }) => text).join(' . ')}', not more`);
    while (cursor.take('.')) if (cursor.takeWord() === null) return null;
    return null;
  }
  return tuple.length === operands.length ? tuple : null;
}

function reportMissing(cursor: Cursor, first: Token, operands: readonly Operand[], count: number): void {
  const { text, syntax } = operands[count]!;
  const whole = operands.map((operand) => operand.text).join(' . ');
  const message = `this has ${count} of the ${operands.length} values of '${whole}'`;
  const expected = `'.' and ${syntax.noun} for '${text}' behind it`;
  cursor.reports.error('bad-value', spanning(first, cursor.previous()), message, { expected });
}

import type { Cursor } from './cursor.ts';
import { didYouMean, quote } from './errors.ts';
import { VALUE_SYNTAX } from './names.ts';
import { fieldText } from './operand.ts';
import { REFUSED_FIELDS, REFUSED_META, refuse } from './refused.ts';
import { FIELDS, type FieldName } from './rule.ts';
import { NO_VALUES, spanning } from './values.ts';

/** `tcp` → `sport`, `dport`, `flags`, and so on for every protocol of FIELDS. */
const FIELDS_OF: ReadonlyMap<string, ReadonlyMap<string, FieldName>> = groupFields();

/** The words that begin a field match. */
export const PROTOCOL_WORDS: readonly string[] = [...FIELDS_OF.keys()];

function groupFields(): Map<string, Map<string, FieldName>> {
  const groups = new Map<string, Map<string, FieldName>>();
  for (const field of Object.keys(FIELDS) as FieldName[]) {
    const [protocol, part] = field.split('.') as [string, string];
    const group = groups.get(protocol) ?? new Map<string, FieldName>();
    groups.set(protocol, group.set(part, field));
  }
  return groups;
}

/**
 * A protocol and the part of it that is meant: `udp dport`. Both words are taken.
 * @param cursor at one of PROTOCOL_WORDS
 * @returns null after reporting an error
 */
export function parseField(cursor: Cursor): FieldName | null {
  const { reports } = cursor;
  const protocol = cursor.next();
  const parts = FIELDS_OF.get(protocol.text)!;
  const expected = `${listed([...parts.keys()])} after '${protocol.text}'`;
  const word = NO_VALUES.includes(cursor.peek().text) ? null : cursor.takeWord();
  if (word === null) {
    cursor.unexpected(expected, PROTOCOL_ALONE[protocol.text]);
    return null;
  }
  const field = parts.get(word.text);
  if (field !== undefined) return field;
  const whole = `${protocol.text} ${word.text}`;
  const span = spanning(protocol, word);
  if (protocol.text === 'meta' && refuse(cursor, span, whole, word.text, REFUSED_META)) return null;
  if (refuse(cursor, span, whole, word.text, REFUSED_FIELDS[protocol.text] ?? {})) return null;
  const message = `${quote(protocol.text)} has no field ${quote(word.text)}`;
  const elsewhere = fieldAdvice(protocol.text, word.text, parts);
  const details = elsewhere === null ? didYouMean(word.text, parts.keys()) : { hint: elsewhere };
  reports.error('unknown-field', word, message, { expected, ...details });
  return null;
}

/** How to ask for a protocol, whatever its fields are. */
const PROTOCOL_ALONE: Readonly<Record<string, string>> = {
  ...advise("for any frame of it write 'ether type NAME'", 'ip', 'ip6', 'arp'),
  ...advise("for any packet of it write 'meta l4proto NAME'", 'tcp', 'udp', 'udplite', 'sctp', 'dccp'),
  ...advise("for any packet of it write 'meta l4proto NAME'", 'icmp', 'icmpv6', 'igmp'),
  vlan: "for any tagged frame write 'vlan id 0-4095'",
};

function advise(text: string, ...protocols: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(protocols.map((protocol) => [protocol, text.replace('NAME', protocol)]));
}

/** Protocols whose first field is what a number behind them means. */
const NUMBERED: readonly string[] = ['vlan', 'icmp', 'icmpv6', 'igmp', 'arp'];

/** What the word is, if it is right somewhere else. */
function fieldAdvice(protocol: string, word: string, parts: ReadonlyMap<string, FieldName>): string | null {
  if (parts.has(word.split('.')[0]!)) {
    return `in a concatenation blanks stand around the '.': ${quote(`${protocol} ${word.replace('.', ' . ')}`)}`;
  }
  if (word === 'sport' || word === 'dport') {
    return `ports belong to the transport: write 'tcp ${word}', 'udp ${word}', or 'th ${word}' for either`;
  }
  const valued = [...parts.values()].find((field) => Object.hasOwn(VALUE_SYNTAX[field].names, word));
  if (valued !== undefined) return `write '${fieldText(valued)} ${word}'`;
  if (/^[0-9]+$/.test(word) && NUMBERED.includes(protocol))
    return `write ${quote(`${fieldText([...parts.values()][0]!)} ${word}`)}`;
  const others = [...FIELDS_OF].filter(([, group]) => group.has(word)).map(([, group]) => fieldText(group.get(word)!));
  return others.length === 0 || others.length > 3 ? null : `write '${others.join("' or '")}'`;
}

/** `a, b or c`. */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

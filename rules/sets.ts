import type { Cursor } from './cursor.ts';
import { parseTimeout } from './duration.ts';
import { didYouMean, quote } from './errors.ts';
import { PROTOCOL_WORDS, parseField } from './fields.ts';
import type { Token } from './lex.ts';
import { fieldText } from './operand.ts';
import { type Refusals, refuse } from './refused.ts';
import { type FieldName, SET_TYPES, type SetType } from './rule.ts';
import { MAX_SET_SIZE, SET_FLAGS, SetDraft, type WrittenSet } from './set-draft.ts';
import { parseSetElements } from './set-elements.ts';

const SET_WORDS: readonly string[] = [
  'type',
  'typeof',
  'flags',
  'timeout',
  'size',
  'elements',
  'auto-merge',
  'comment',
];
const EXPECTED = `'type', 'flags', 'timeout', 'size', 'elements' or '}'`;

const REFUSED_IN_SET: Refusals = {
  'gc-interval': 'leave it out: an element is gone at its time',
  policy: 'leave it out: how elements are stored is not for the rules to say',
  counter: 'leave it out: every rule counts its frames and bytes',
  limit: 'rules read one frame at a time and keep no rate',
  quota: 'rules read one frame at a time and keep no count',
  map: 'a set has no values beside its elements: write one rule for each verdict',
};

/**
 * `set NAME { type …; flags …; elements = { … }; }`.
 * @param cursor at `set`
 * @param isBlock whether a block begins at a word, which is how a missing '}' shows
 * @returns null if it has no name or no body; otherwise the set, whatever is wrong in it
 */
export function parseSet(cursor: Cursor, isBlock: (cursor: Cursor) => boolean): WrittenSet | null {
  const { reports } = cursor;
  const word = cursor.next();
  const name = cursor.takeWord();
  if (name === null) {
    cursor.unexpected('the name of the set', cursor.is('@') ? "write it without '@' here" : undefined);
  } else {
    cursor.skipNewlines();
  }
  const open = cursor.peek();
  if (name === null || !cursor.is('{')) {
    if (name !== null) cursor.unexpected(`'{' after ${quote(`set ${name.text}`)}`);
    while (!cursor.atStatementEnd()) {
      if (cursor.is('{')) cursor.skipBlock();
      else cursor.next();
    }
    return null;
  }
  cursor.next();
  const draft = new SetDraft();
  while (!cursor.is('}')) {
    if (cursor.peek().kind === 'newline' || cursor.is(';')) {
      cursor.next();
    } else if (cursor.peek().kind === 'end' || isBlock(cursor)) {
      const next = cursor.peek();
      const hint = `${quote(next.text)} begins in ${reports.lineText(next, open)}, and stands outside of sets`;
      const details = next.kind === 'end' ? {} : { hint, related: reports.place(next) };
      reports.error('missing-brace', open, "this set is not closed: '}' is missing", details);
      return draft.finish(name, reports);
    } else {
      parseLine(cursor, draft, isBlock);
      if (!cursor.atStatementEnd() && !isBlock(cursor)) cursor.skipStatement();
    }
  }
  cursor.next();
  if (!cursor.atStatementEnd()) {
    cursor.unexpected("the end of the line after '}'");
    cursor.skipStatement();
  }
  if (draft.types === null && !draft.typeFailed) {
    const expected = `'type' and ${SET_TYPES.join(', ')}; several with ' . ' between them`;
    reports.error('missing-type', { ...word, length: name.end - word.start }, `set ${quote(name.text)} has no type`, {
      expected,
    });
  }
  return draft.finish(name, reports);
}

function parseLine(cursor: Cursor, draft: SetDraft, isBlock: (cursor: Cursor) => boolean): void {
  const { reports } = cursor;
  const word = cursor.takeWord();
  if (word === null) {
    cursor.unexpected(EXPECTED);
    cursor.next();
    return;
  }
  switch (word.text) {
    case 'type':
    case 'typeof':
      parseTypes(cursor, word, draft);
      return;
    case 'flags':
      parseFlags(cursor, draft);
      return;
    case 'timeout':
      draft.timeout = parseTimeout(cursor);
      expectEnd(cursor);
      return;
    case 'size':
      parseSize(cursor, draft);
      return;
    case 'auto-merge':
      draft.autoMerge = true;
      expectEnd(cursor);
      return;
    case 'comment':
      if (cursor.peek().kind === 'string') cursor.next();
      else cursor.unexpected('the comment in double quotes');
      expectEnd(cursor);
      return;
    case 'elements':
      parseElementsLine(cursor, word, draft, isBlock);
      return;
  }
  if (refuse(cursor, word, word.text, word.text, REFUSED_IN_SET)) return;
  const details = { expected: EXPECTED, ...didYouMean(word.text, SET_WORDS) };
  reports.error('unknown-keyword', word, `${quote(word.text)} says nothing about a set`, details);
}

function expectEnd(cursor: Cursor): void {
  if (!cursor.atStatementEnd()) cursor.unexpected("the end of the line, ';' or '}'");
}

function parseTypes(cursor: Cursor, word: Token, draft: SetDraft): void {
  if (draft.types !== null || draft.typeFailed) {
    const hint = "an element of several values has a type like 'ipv4_addr . inet_service'";
    cursor.reports.error('set-type', word, 'this set has a type already', { hint });
    cursor.skipStatement();
    return;
  }
  const types: SetType[] = [];
  let failed = false;
  do {
    const type = word.text === 'type' ? parseType(cursor) : parseTypeOf(cursor);
    if (type === null) failed = true;
    else types.push(type);
  } while (cursor.take('.'));
  if (!failed && !cursor.atStatementEnd()) {
    cursor.unexpected(
      "'.' and another type, or the end of the line",
      cursor.is(',') ? "types go with ' . '" : undefined,
    );
    failed = true;
  }
  draft.typeFailed = failed;
  if (!failed) draft.types = types;
}

function parseType(cursor: Cursor): SetType | null {
  const token = cursor.takeWord();
  const expected = `a type: ${SET_TYPES.join(', ')}`;
  if (token === null) {
    cursor.unexpected(expected);
    return null;
  }
  const type = SET_TYPES.find((known) => known === token.text);
  if (type !== undefined) return type;
  // 'ipv4_addr.inet_service' is one word.
  const glued = token.text.split('.').every((part) => SET_TYPES.some((known) => known === part));
  cursor.reports.error('set-type', token, `${quote(token.text)} is not a type of set elements`, {
    expected,
    ...(glued
      ? { hint: `blanks stand around the '.': '${token.text.replaceAll('.', ' . ')}'` }
      : didYouMean(token.text, SET_TYPES)),
  });
  return null;
}

function parseTypeOf(cursor: Cursor): SetType | null {
  const first = cursor.peek();
  if (first.kind !== 'word' || !PROTOCOL_WORDS.includes(first.text)) {
    cursor.unexpected("a field, like 'ip saddr'");
    return null;
  }
  const field = parseField(cursor);
  if (field === null) return null;
  const type = setTypeOf(field);
  if (type === null) {
    const message = `no set holds values of '${fieldText(field)}'`;
    cursor.reports.error('set-type', first, message, { hint: "write its values in the rule: '{ a, b }'" });
  }
  return type;
}

/** The type of set that a field is looked up in; null: none, as its values are only ever written in rules. */
export function setTypeOf(field: FieldName): SetType | null {
  const [protocol, part] = field.split('.') as [string, string];
  if (part === 'sport' || part === 'dport') return 'inet_service';
  if (part === 'saddr' || part === 'daddr') {
    return protocol === 'ip' ? 'ipv4_addr' : protocol === 'ip6' ? 'ipv6_addr' : 'ether_addr';
  }
  return ['protocol', 'nexthdr', 'l4proto'].includes(part) ? 'inet_proto' : null;
}

function parseFlags(cursor: Cursor, draft: SetDraft): void {
  do {
    const token = cursor.takeWord();
    if (token === null) {
      cursor.unexpected(`a flag: ${SET_FLAGS.join(', ')}`);
      return;
    }
    const flag = SET_FLAGS.find((known) => known === token.text);
    if (flag !== undefined) {
      draft.flags.set(flag, token);
    } else {
      const details = { expected: SET_FLAGS.join(', '), ...didYouMean(token.text, SET_FLAGS) };
      cursor.reports.error('unknown-keyword', token, `${quote(token.text)} is not a flag of sets`, details);
    }
  } while (cursor.take(','));
  expectEnd(cursor);
}

function parseSize(cursor: Cursor, draft: SetDraft): void {
  const at = cursor.takeWord();
  if (at === null) {
    cursor.unexpected('how many elements the set holds at most');
    return;
  }
  const count = /^[0-9]{1,9}$/.test(at.text) ? Number(at.text) : 0;
  if (count >= 1 && count <= MAX_SET_SIZE) {
    draft.size = { count, at };
  } else {
    const message = `${quote(at.text)} is not a size of sets`;
    cursor.reports.error('out-of-range', at, message, { expected: `a number from 1 to ${MAX_SET_SIZE}` });
  }
  expectEnd(cursor);
}

function parseElementsLine(cursor: Cursor, word: Token, draft: SetDraft, isBlock: (cursor: Cursor) => boolean): void {
  if (!cursor.take('=')) {
    cursor.unexpected("'=' after 'elements'");
    return;
  }
  const open = cursor.index;
  if (!cursor.is('{')) {
    cursor.unexpected("'{' after 'elements ='");
  } else if (draft.types === null) {
    if (!draft.typeFailed) {
      draft.typeFailed = true;
      const hint = "write 'type …' above 'elements'";
      const message = 'how to read the elements is said by the type, which is not known here';
      cursor.reports.error('missing-type', word, message, { hint });
    }
    cursor.skipList(open, isBlock);
  } else if (parseSetElements(cursor, draft.types, draft.elements, isBlock)) {
    expectEnd(cursor);
  } else {
    cursor.skipList(open, isBlock);
  }
}

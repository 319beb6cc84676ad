import type { Cursor } from './cursor.ts';
import { didYouMean, quote, type Reports } from './errors.ts';
import type { Token } from './lex.ts';
import { PROTOCOL_WORDS, parseAppMatch, parseFieldMatch, parseRawMatch } from './matches.ts';
import { fieldText } from './operand.ts';
import { REFUSED_IN_RULE, refuse } from './refused.ts';
import type { FieldName, Match, Rule, TrafficClass, VerdictName } from './rule.ts';
import type { SetReference } from './set-reference.ts';
import type { SetTable } from './set-table.ts';

export const VERDICT_WORDS: readonly VerdictName[] = ['pass', 'hold', 'drop'];

const OPTIONS = ['guard', 'ordered'] as const;
type Option = (typeof OPTIONS)[number];

/** Words that begin a match and name no protocol. */
export const MATCH_WORDS: readonly string[] = ['app', 'declared'];

/** Whatever may begin a part of a rule. */
const RULE_WORDS: readonly string[] = [
  ...PROTOCOL_WORDS,
  ...MATCH_WORDS,
  'class',
  'default',
  'comment',
  ...VERDICT_WORDS,
  ...OPTIONS,
];

/** The blocks that rules stand in. */
export const BLOCKS = ['outbound', 'inbound'] as const;
export type Block = (typeof BLOCKS)[number];

/** What the names in a rule stand for, once the file is complete. */
export interface Names {
  readonly classes: ReadonlyMap<string, TrafficClass>;
  readonly sets: SetTable;
}

/** A rule whose class and sets have not been looked up yet. */
export class ParsedRule {
  readonly first: Token;
  readonly isDefault: boolean;
  matches: readonly (Match | SetReference)[] = [];
  text = '';
  comment: string | null = null;
  className: Token | null = null;
  /** The verdict's word; null when a class is named. */
  verdict: Token | null = null;
  readonly options = new Map<Option, Token>();

  constructor(first: Token, isDefault: boolean) {
    this.first = first;
    this.isDefault = isDefault;
  }

  /** Reports names that are not defined, and what does not go together. */
  build(handle: number, block: Block, { classes, sets }: Names, reports: Reports): Rule {
    const { first, className, isDefault, text, comment, options } = this;
    const named = className === null ? undefined : classes.get(className.text);
    if (className !== null && named === undefined) {
      const message = `class ${quote(className.text)} is not defined`;
      const hint = `define it outside the block: ${quote(`class ${className.text} hold`)}, or pass, or drop`;
      reports.error('unknown-class', className, message, { hint, ...didYouMean(className.text, classes.keys()) });
    }
    const verdict =
      named?.verdict ?? VERDICT_WORDS.find((word) => className === null && word === this.verdict?.text) ?? 'hold';
    const matches = this.matches
      .map((match) => (match.kind === 'set-reference' ? sets.resolve(match) : match))
      .filter((match) => match !== null);
    if (block === 'inbound') this.#checkInbound(named, verdict, reports);
    else this.#checkGuard(matches, reports);
    return {
      handle,
      place: reports.place(first),
      text,
      matches,
      className: className?.text ?? null,
      verdict,
      isDefault,
      guard: options.has('guard'),
      ordered: options.has('ordered'),
      comment,
    };
  }

  #checkInbound(named: TrafficClass | undefined, verdict: VerdictName, reports: Reports): void {
    const reason = 'inbound frames cannot be held';
    const expected = 'pass or drop';
    if (named?.verdict === 'hold') {
      const { line, file } = named.place;
      const where = file === reports.place(this.className!).file ? `line ${line}` : `line ${line} of ${quote(file)}`;
      const message = `${reason}, and class ${quote(named.name)} is 'hold' by ${where}`;
      const hint = `name the verdict here, or a class of its own: ${quote(`class ${named.name}-in drop`)}`;
      reports.error('inbound-hold', this.className!, message, { expected, hint, related: named.place });
    } else if (this.verdict !== null && verdict === 'hold') {
      reports.error('inbound-hold', this.verdict, reason, { expected });
    }
    for (const [option, token] of this.options) {
      const hint =
        option === 'guard'
          ? 'leave it out: the guard of an outbound rule watches both directions of its connections'
          : 'leave it out: inbound frames are never held, so they keep their order';
      reports.error('bad-option', token, `'${option}' is for outbound rules`, { hint });
    }
  }

  /** The guard keeps TCP byte streams consistent: a rule that TCP can never match would be held for nothing. */
  #checkGuard(matches: readonly Match[], reports: Reports): void {
    const guard = this.options.get('guard');
    const other = guard === undefined ? null : firstOf(matches, withoutTcp);
    if (guard === undefined || other === null) return;
    const message = `'guard' is for TCP, which '${fieldText(other)}' rules out here`;
    reports.error('bad-option', guard, message, { hint: "leave 'guard' out" });
  }
}

function firstOf<T, U>(list: readonly T[], find: (one: T) => U | null): U | null {
  for (const one of list) {
    const found = find(one);
    if (found !== null) return found;
  }
  return null;
}

const NO_TCP: readonly string[] = ['udp', 'udplite', 'sctp', 'dccp', 'icmp', 'icmpv6', 'igmp', 'arp'];
const IPPROTO_TCP = 6n;

/** @returns a field of the match that no TCP packet has, or not with these values; null if TCP may match */
function withoutTcp(match: Match): FieldName | null {
  if (match.kind === 'concat' || match.kind === 'set') return match.fields.find(isNoTcp) ?? null;
  if (match.kind !== 'field') return null;
  const { field, mask, negated, intervals } = match;
  if (isNoTcp(field)) return field;
  if ((field !== 'ip.protocol' && field !== 'meta.l4proto') || mask !== null) return null;
  const isNamed = intervals.some(({ low, high }) => low <= IPPROTO_TCP && IPPROTO_TCP <= high);
  return isNamed === negated ? field : null;
}

function isNoTcp(field: FieldName): boolean {
  return NO_TCP.includes(field.split('.')[0]!);
}

/**
 * One rule: matches, then a class or a verdict, options, and perhaps a comment. Leaves the cursor at the statement's end.
 * @returns null if an error kept it from being read to its end; a rule with only a wrong value in it is returned, for the sake of
 *   the errors that can still be found
 */
export function parseRule(cursor: Cursor): ParsedRule | null {
  const startIndex = cursor.index;
  const first = cursor.peek();
  const isDefault = cursor.isWord('default');
  const rule = new ParsedRule(first, isDefault);
  if (isDefault) cursor.next();
  const matches: (Match | SetReference)[] = [];
  const complete = parseParts(cursor, rule, matches);
  rule.matches = matches;
  if (complete) rule.text = cursor.textSince(startIndex);
  else cursor.skipStatement(startIndex);
  return complete ? rule : null;
}

/** @returns false after an error that makes the rest of the statement unreadable */
function parseParts(cursor: Cursor, rule: ParsedRule, matches: (Match | SetReference)[]): boolean {
  const matchesBefore = cursor.index;
  for (;;) {
    if (cursor.atStatementEnd() || cursor.isWord('comment') || OPTIONS.some((option) => cursor.isWord(option))) {
      const order = cursor.isWord('comment')
        ? 'the comment stands last, behind the class or verdict'
        : "a rule is matches, then 'class NAME' or a verdict";
      const hint = rule.isDefault ? {} : { hint: order };
      const expected = "'class NAME', pass, hold or drop";
      const message =
        cursor.atStatementEnd() || cursor.isWord('comment')
          ? 'this rule names no class and no verdict'
          : `the class or verdict stands before '${cursor.peek().text}'`;
      const at = cursor.index > matchesBefore || rule.isDefault ? cursor.previous() : cursor.peek();
      cursor.reports.error('missing-verdict', at, message, { expected, ...hint });
      return false;
    }
    if (cursor.isWord('class') || VERDICT_WORDS.some((verdict) => cursor.isWord(verdict))) break;
    if (rule.isDefault) {
      cursor.unexpected("'class NAME', pass, hold or drop after 'default'", "'default' takes no matches");
      return false;
    }
    if (!parseMatch(cursor, matches)) return false;
  }
  if (!rule.isDefault && cursor.index === matchesBefore) {
    const message = 'a rule without a match would be tried on every frame';
    cursor.reports.error('missing-match', cursor.peek(), message, {
      hint: "write 'default' before it, at the end of the block",
    });
  }
  return parseOutcome(cursor, rule) && parseTail(cursor, rule);
}

/**
 * One match, which is added to the others; wrong ones are reported.
 * @returns false where the rest of the statement cannot be read
 */
export function parseMatch(cursor: Cursor, matches: (Match | SetReference)[]): boolean {
  const token = cursor.peek();
  const parse = matchParser(cursor);
  if (parse !== null) {
    const match = parse(cursor);
    if (match !== null) matches.push(match);
    // After a wrong value the rule reads on; after a wrong structure the next token could be anything.
    return match !== null || startsPart(cursor);
  }
  if (token.kind !== 'word') {
    cursor.unexpected('a match, a class or a verdict');
    return false;
  }
  if (refuse(cursor, token, token.text, token.text, REFUSED_IN_RULE)) return false;
  if (token.text === 'default') {
    cursor.unexpected('a match, a class or a verdict', "'default' stands alone, on the last line of the block");
    return false;
  }
  if (/^[0-9]/.test(token.text)) {
    cursor.unexpected(
      'a match, a class or a verdict',
      `a value stands behind its field: ${quote(`udp dport ${token.text}`)}`,
    );
    return false;
  }
  const details = { expected: 'a match, a class or a verdict', ...didYouMean(token.text, RULE_WORDS) };
  cursor.reports.error('unknown-keyword', token, `unknown word ${quote(token.text)}`, details);
  return false;
}

function matchParser(cursor: Cursor): ((cursor: Cursor) => Match | SetReference | null) | null {
  const token = cursor.peek();
  if (cursor.is('@')) return parseRawMatch;
  if (token.kind !== 'word') return null;
  if (token.text === 'app') return parseAppMatch;
  if (token.text === 'declared') return parseDeclared;
  return PROTOCOL_WORDS.includes(token.text) ? parseFieldMatch : null;
}

/** `declared` stands alone; whoever knows nft may write a value behind it. */
function parseDeclared(cursor: Cursor): Match | null {
  cursor.next();
  if (!cursor.is('==') && !cursor.is('!=') && !cursor.is('{')) return { kind: 'declared' };
  cursor.unexpected(
    'another match, a class or a verdict',
    "'declared' takes no value: it is the class of its rule that counts",
  );
  return null;
}

function startsPart(cursor: Cursor): boolean {
  const token = cursor.peek();
  return token.kind === 'word' && RULE_WORDS.includes(token.text);
}

/** `class NAME` or a verdict. */
function parseOutcome(cursor: Cursor, rule: ParsedRule): boolean {
  const word = cursor.next();
  if (word.text !== 'class') {
    rule.verdict = word;
    return true;
  }
  rule.className = cursor.takeWord();
  if (rule.className === null) {
    const isQuoted = cursor.peek().kind === 'string';
    cursor.unexpected('the name of a class', isQuoted ? 'leave the quotes out' : undefined);
  }
  return rule.className !== null;
}

/** Options, the comment, and nothing after it. */
function parseTail(cursor: Cursor, rule: ParsedRule): boolean {
  for (;;) {
    const option = OPTIONS.find((word) => cursor.isWord(word));
    if (option === undefined) break;
    const token = cursor.next();
    if (rule.options.has(option)) cursor.reports.error('bad-option', token, `'${option}' stands here twice`);
    rule.options.set(option, token);
  }
  if (cursor.isWord('comment')) {
    cursor.next();
    const comment = cursor.peek();
    if (comment.kind !== 'string') {
      cursor.unexpected('the comment in double quotes');
      return false;
    }
    rule.comment = cursor.next().text;
  }
  if (cursor.atStatementEnd()) return true;
  const token = cursor.peek();
  const expected =
    rule.comment === null ? "'guard', 'ordered', a comment or the end of the line" : 'the end of the line';
  if (token.kind === 'word' && refuse(cursor, token, token.text, token.text, REFUSED_IN_RULE)) return false;
  if (token.kind === 'word' && OPTIONS.some((option) => option === token.text)) {
    cursor.unexpected(expected, `'${token.text}' stands before the comment`);
  } else if (cursor.is('/')) {
    cursor.unexpected(expected, "a comment for the reader begins with '#'");
  } else if (token.text === 'class' || VERDICT_WORDS.some((verdict) => verdict === token.text)) {
    cursor.unexpected(expected, 'a rule has one class or one verdict; each rule has its own line');
  } else if (matchParser(cursor) !== null) {
    cursor.unexpected(expected, 'matches stand before the class or verdict; each rule has its own line');
  } else if (token.kind === 'word') {
    const details = { expected, ...didYouMean(token.text, [...OPTIONS, 'comment']) };
    cursor.reports.error('syntax', token, `unexpected ${quote(token.text)}`, details);
  } else {
    cursor.unexpected(expected);
  }
  return false;
}

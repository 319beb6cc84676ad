import type { Cursor } from './cursor.ts';
import { didYouMean, quote, type Reports } from './errors.ts';
import type { Token } from './lex.ts';
import { PROTOCOL_WORDS, parseAppMatch, parseFieldMatch } from './matches.ts';
import { REFUSED_IN_RULE, refuse } from './refused.ts';
import type { Match, Rule, TrafficClass, VerdictName } from './rule.ts';

export const VERDICT_WORDS: readonly VerdictName[] = ['pass', 'hold', 'drop'];

/** Whatever may begin a part of a rule. */
const RULE_WORDS: readonly string[] = [...PROTOCOL_WORDS, 'app', 'class', 'default', 'comment', ...VERDICT_WORDS];

/** A rule whose class has not been looked up yet. */
export class ParsedRule {
  readonly first: Token;
  readonly isDefault: boolean;
  matches: readonly Match[] = [];
  text = '';
  comment: string | null = null;
  className: Token | null = null;
  verdict: VerdictName = 'hold';

  constructor(first: Token, isDefault: boolean) {
    this.first = first;
    this.isDefault = isDefault;
  }

  /** Reports a class that is not defined. */
  build(handle: number, classes: ReadonlyMap<string, TrafficClass>, reports: Reports): Rule {
    const { first, className, isDefault, matches, text, comment } = this;
    const named = className === null ? undefined : classes.get(className.text);
    if (className !== null && named === undefined) {
      const message = `class ${quote(className.text)} is not defined`;
      const hint = "define it: 'class NAME hold', or 'pass' or 'drop', outside the block";
      reports.error('unknown-class', className, message, { hint, ...didYouMean(className.text, classes.keys()) });
    }
    return {
      handle,
      place: { file: reports.file, line: first.line, column: first.column },
      text,
      matches,
      className: className?.text ?? null,
      verdict: named?.verdict ?? this.verdict,
      isDefault,
      comment,
    };
  }
}

/**
 * One rule: matches, then a class or a verdict, then perhaps a comment. Leaves the cursor at the statement's end.
 * @returns null if an error kept it from being read to its end; a rule with only a wrong value in it is returned, for the sake of
 *   the errors that can still be found
 */
export function parseRule(cursor: Cursor): ParsedRule | null {
  const startIndex = cursor.index;
  const first = cursor.peek();
  const isDefault = cursor.isWord('default');
  const rule = new ParsedRule(first, isDefault);
  if (isDefault) cursor.next();
  const matches: Match[] = [];
  const complete = parseParts(cursor, rule, matches);
  rule.matches = matches;
  rule.text = cursor.textSince(startIndex);
  cursor.skipStatement();
  return complete ? rule : null;
}

/** @returns false after an error that makes the rest of the statement unreadable */
function parseParts(cursor: Cursor, rule: ParsedRule, matches: Match[]): boolean {
  const matchesBefore = cursor.index;
  for (;;) {
    if (cursor.atStatementEnd() || cursor.isWord('comment')) {
      const hint = rule.isDefault ? {} : { hint: "a rule is matches, then 'class NAME' or a verdict" };
      const expected = "'class NAME', pass, hold or drop";
      cursor.reports.error('missing-verdict', cursor.previous(), 'this rule names no class and no verdict', {
        expected,
        ...hint,
      });
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

/** @returns false where the rest of the statement cannot be read */
function parseMatch(cursor: Cursor, matches: Match[]): boolean {
  const token = cursor.peek();
  if (token.kind !== 'word') {
    const raw = cursor.is('@') ? 'raw payload matches and named sets are not supported yet' : undefined;
    cursor.unexpected('a match, a class or a verdict', raw);
    return false;
  }
  const isField = PROTOCOL_WORDS.includes(token.text);
  if (isField || token.text === 'app') {
    const match = isField ? parseFieldMatch(cursor) : parseAppMatch(cursor);
    if (match !== null) matches.push(match);
    // After a wrong value the rule reads on; after a wrong structure the next token could be anything.
    return match !== null || startsPart(cursor);
  }
  if (refuse(cursor, token, token.text, token.text, REFUSED_IN_RULE)) return false;
  const details = { expected: 'a match, a class or a verdict', ...didYouMean(token.text, RULE_WORDS) };
  cursor.reports.error('unknown-keyword', token, `unknown word ${quote(token.text)}`, details);
  return false;
}

function startsPart(cursor: Cursor): boolean {
  const token = cursor.peek();
  return token.kind === 'word' && RULE_WORDS.includes(token.text);
}

/** `class NAME` or a verdict. */
function parseOutcome(cursor: Cursor, rule: ParsedRule): boolean {
  const word = cursor.next();
  if (word.text !== 'class') {
    rule.verdict = VERDICT_WORDS.find((verdict) => verdict === word.text)!;
    return true;
  }
  rule.className = cursor.takeWord();
  if (rule.className === null) cursor.unexpected('the name of a class');
  return rule.className !== null;
}

/** The comment, and nothing after it. */
function parseTail(cursor: Cursor, rule: ParsedRule): boolean {
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
  if (token.kind === 'word' && refuse(cursor, token, token.text, token.text, REFUSED_IN_RULE)) return false;
  if (token.kind === 'word' && PROTOCOL_WORDS.includes(token.text)) {
    const hint = 'matches stand before the class or verdict; each rule has its own line';
    cursor.unexpected('a comment or the end of the line', hint);
  } else {
    cursor.unexpected('a comment or the end of the line');
  }
  return false;
}

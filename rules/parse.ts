import { checkRules } from './check.ts';
import { Cursor } from './cursor.ts';
import { didYouMean, quote, Reports, type RuleError } from './errors.ts';
import { lex, MAX_TOKENS, type Token } from './lex.ts';
import { PROTOCOL_WORDS } from './matches.ts';
import { REFUSED_AT_TOP, REFUSED_IN_RULE, refuse } from './refused.ts';
import type { RuleSet, TrafficClass, VerdictName } from './rule.ts';
import { type ParsedRule, parseRule, VERDICT_WORDS } from './rule-line.ts';
import { closest } from './suggest.ts';

/** Both lists are in the order of the file. */
export interface ParseResult {
  /** null when there are errors. */
  readonly ruleSet: RuleSet | null;
  readonly errors: readonly RuleError[];
  /** Empty when there are errors: a rule that is missing would make them lie. */
  readonly warnings: readonly RuleError[];
}

/**
 * Reads a rule file. Never throws, whatever the text is; reports all errors of the file, not the first, and goes on after each
 * at the next statement. Time and memory are linear in the text's length.
 * @param file the name that places carry; nothing is read
 */
export function parseRules(text: string, file: string): ParseResult {
  const reports = new Reports(file);
  const tokens = lex(text, reports);
  // What is cut off would look like missing braces.
  if (tokens.length > MAX_TOKENS) return { ruleSet: null, errors: reports.errors, warnings: [] };
  const ruleSet = new FileParser(new Cursor(tokens, reports)).parse();
  const errors = [...reports.errors].sort((a, b) => a.line - b.line || a.column - b.column);
  if (errors.length > 0) return { ruleSet: null, errors, warnings: [] };
  return { ruleSet, errors, warnings: checkRules(ruleSet) };
}

const TOP_WORDS = ['class', 'outbound'] as const;

/** Where a block began and whether it needs closing are the only things that outlast a statement. */
class FileParser {
  readonly #cursor: Cursor;
  readonly #reports: Reports;
  readonly #classes = new Map<string, TrafficClass>();
  readonly #rules: ParsedRule[] = [];
  #outbound: Token | null = null;
  #default: ParsedRule | null = null;

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
    this.#reports = cursor.reports;
  }

  parse(): RuleSet {
    const cursor = this.#cursor;
    while (cursor.peek().kind !== 'end') this.#parseTop();
    if (this.#outbound === null) {
      const hint = "write 'outbound { … }' around the rules";
      this.#reports.error('no-outbound', cursor.peek(), "there is no 'outbound' block", { hint });
    }
    return {
      file: this.#reports.file,
      classes: [...this.#classes.values()],
      // Classes may be defined below their use, so names are looked up last.
      outbound: this.#rules.map((rule, index) => rule.build(index + 1, this.#classes, this.#reports)),
    };
  }

  #parseTop(): void {
    const cursor = this.#cursor;
    const token = cursor.peek();
    if (token.kind === 'newline' || cursor.is(';')) {
      cursor.next();
    } else if (cursor.is('}')) {
      this.#reports.error('missing-brace', token, "this '}' closes nothing");
      cursor.next();
    } else if (cursor.isWord('class')) {
      this.#parseClass();
    } else if (cursor.isWord('outbound')) {
      this.#parseOutbound();
    } else {
      this.#refuseTop(token);
    }
  }

  /** Anything else at the top: say what it is, then find where it ends. */
  #refuseTop(token: Token): void {
    const cursor = this.#cursor;
    const reports = this.#reports;
    if (token.kind !== 'word') {
      cursor.unexpected(TOP_EXPECTED);
    } else if (refuse(cursor, token, token.text, token.text, REFUSED_AT_TOP)) {
      // Said all there is to say.
    } else if (isRuleWord(token.text)) {
      const message = `${quote(token.text)} begins a rule, and this is outside any block`;
      reports.error('syntax', token, message, { hint: "rules stand inside 'outbound { … }'" });
    } else {
      const near = closest(token.text, TOP_WORDS);
      const details = { expected: TOP_EXPECTED, ...didYouMean(token.text, TOP_WORDS) };
      reports.error('unknown-keyword', token, `unknown word ${quote(token.text)}`, details);
      // Read on as what was meant, so that the errors inside are found too.
      if (near !== null) {
        if (near === 'outbound') this.#parseOutbound();
        else this.#parseClass();
        return;
      }
    }
    while (!cursor.atStatementEnd()) {
      if (cursor.is('{')) cursor.skipBlock();
      else cursor.next();
    }
  }

  /** `class NAME verdict`, on a line of its own. */
  #parseClass(): void {
    const cursor = this.#cursor;
    const reports = this.#reports;
    cursor.next();
    const name = cursor.takeWord();
    if (name === null) {
      cursor.unexpected('the name of the class');
      cursor.skipStatement();
      return;
    }
    const verdict = cursor.takeWord();
    if (verdict === null) {
      cursor.unexpected(`a verdict for class ${quote(name.text)}: pass, hold or drop`);
    } else if (!isVerdict(verdict.text)) {
      if (!refuse(cursor, verdict, verdict.text, verdict.text, REFUSED_IN_RULE)) {
        const details = { expected: 'pass, hold or drop', ...didYouMean(verdict.text, VERDICT_WORDS) };
        reports.error('unknown-keyword', verdict, `${quote(verdict.text)} is not a verdict`, details);
      }
    } else if (!cursor.atStatementEnd()) {
      cursor.unexpected('the end of the line after the verdict');
    }
    cursor.skipStatement();
    // Also when its verdict is wrong the class is known, or each rule that uses it would be an error too.
    this.#defineClass(name, verdict !== null && isVerdict(verdict.text) ? verdict.text : 'hold');
  }

  #defineClass(name: Token, verdict: VerdictName): void {
    const reports = this.#reports;
    const earlier = this.#classes.get(name.text);
    if (!/^[A-Za-z_][A-Za-z0-9_-]*$/.test(name.text) || name.length > MAX_NAME) {
      const expected = `a letter, then letters, digits, '_' and '-', at most ${MAX_NAME} in all`;
      reports.error('bad-name', name, `${quote(name.text)} cannot name a class`, { expected });
    } else if (isVerdict(name.text) || name.text === 'class' || name.text === 'default') {
      reports.error('bad-name', name, `${quote(name.text)} cannot name a class: it is a word of the language`);
    } else if (earlier !== undefined) {
      const message = `class ${quote(name.text)} is already defined in line ${earlier.place.line}`;
      reports.error('class-redefined', name, message, { related: earlier.place });
    } else {
      const place = { file: reports.file, line: name.line, column: name.column };
      this.#classes.set(name.text, { name: name.text, verdict, place });
    }
  }

  #parseOutbound(): void {
    const cursor = this.#cursor;
    const reports = this.#reports;
    const word = cursor.next();
    if (this.#outbound !== null) {
      const related = { file: reports.file, line: this.#outbound.line, column: this.#outbound.column };
      const message = `there is an 'outbound' block already, in line ${related.line}`;
      reports.error('second-outbound', word, message, { related, hint: 'put its rules into that one' });
    }
    this.#outbound ??= word;
    cursor.skipNewlines();
    const open = cursor.peek();
    if (!cursor.take('{')) {
      cursor.unexpected("'{' after 'outbound'");
      cursor.skipStatement();
      return;
    }
    while (!cursor.is('}')) {
      if (cursor.peek().kind === 'end') {
        reports.error('missing-brace', open, "this block is not closed: '}' is missing");
        return;
      }
      if (cursor.peek().kind === 'newline' || cursor.is(';')) {
        cursor.next();
      } else if (cursor.isWord('outbound')) {
        reports.error('missing-brace', cursor.peek(), "'outbound' inside 'outbound'", {
          hint: `is the '}' of the block in line ${open.line} missing?`,
        });
        return;
      } else {
        this.#addRule(parseRule(cursor));
      }
    }
    cursor.next();
    if (!cursor.atStatementEnd()) {
      cursor.unexpected("the end of the line after '}'");
      cursor.skipStatement();
    }
  }

  #addRule(rule: ParsedRule | null): void {
    if (rule === null) return;
    const reports = this.#reports;
    const earlier = this.#default;
    if (earlier !== null) {
      const related = { file: reports.file, line: earlier.first.line, column: earlier.first.column };
      if (rule.isDefault) {
        const message = `there is a 'default' already, in line ${related.line}`;
        reports.error('second-default', rule.first, message, { related });
      } else {
        const message = `this rule stands after the 'default' of line ${related.line} and would never be tried`;
        reports.error('after-default', rule.first, message, { related, hint: 'move it above' });
      }
    } else if (rule.isDefault) {
      this.#default = rule;
    }
    this.#rules.push(rule);
  }
}

const MAX_NAME = 64;
const TOP_EXPECTED = "'class NAME verdict' or 'outbound { … }'";

function isVerdict(word: string): word is VerdictName {
  return VERDICT_WORDS.some((verdict) => verdict === word);
}

function isRuleWord(word: string): boolean {
  return PROTOCOL_WORDS.includes(word) || ['app', 'default'].includes(word) || isVerdict(word);
}

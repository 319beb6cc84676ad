import { checkRules } from './check.ts';
import { type Claim, readClaims } from './claims.ts';
import { Cursor } from './cursor.ts';
import { didYouMean, quote, Reports, type RuleError, type Sources } from './errors.ts';
import { expand } from './expand.ts';
import type { ResolveInclude } from './include.ts';
import type { Token } from './lex.ts';
import { PROTOCOL_WORDS } from './matches.ts';
import { REFUSED_AT_TOP, REFUSED_IN_RULE, refuse } from './refused.ts';
import type { Rule, RuleSet, TrafficClass, VerdictName } from './rule.ts';
import { BLOCKS, type Block, MATCH_WORDS, type ParsedRule, parseRule, VERDICT_WORDS } from './rule-line.ts';
import { SetTable } from './set-table.ts';
import { parseSet } from './sets.ts';
import { closest } from './suggest.ts';

/** Both lists are in the order of the file, included files behind it. */
export interface ParseResult {
  /** null when there are errors. */
  readonly ruleSet: RuleSet | null;
  readonly errors: readonly RuleError[];
  /** Empty when there are errors: a rule that is missing would make them lie. */
  readonly warnings: readonly RuleError[];
  /** The text of each file that was read, this one included. */
  readonly sources: Sources;
}

export interface ParseOptions {
  /** Finds the files of `include`; without it there are none. */
  readonly resolve?: ResolveInclude;
}

/**
 * Reads a rule file. Never throws, whatever the text is; reports all errors of the file, not the first, and goes on after each
 * at the next statement. Time and memory are linear in the length of the text with all that it includes and defines.
 * @param file the name that places carry; nothing is read
 */
export function parseRules(text: string, file: string, { resolve = noIncludes }: ParseOptions = {}): ParseResult {
  const reports = new Reports(file);
  const { tokens, sources } = expand(text, file, resolve, reports);
  // What is cut off would look like missing braces.
  if (tokens === null) return { ruleSet: null, errors: reports.errors, warnings: [], sources };
  const { ruleSet, claims } = new FileParser(new Cursor(tokens, reports)).parse(sources);
  const { errors } = reports;
  if (errors.length > 0) return { ruleSet: null, errors, warnings: [], sources };
  return {
    ruleSet,
    errors,
    warnings: inOrder([...reports.warnings, ...checkRules(ruleSet, claims)], sources),
    sources,
  };
}

function noIncludes(): string {
  return 'there are no files to include here';
}

function inOrder(warnings: readonly RuleError[], sources: Sources): RuleError[] {
  const files = [...sources.keys()];
  const order = new Map(files.map((file, index) => [file, index]));
  return [...warnings].sort(
    (a, b) => order.get(a.file)! - order.get(b.file)! || a.line - b.line || a.column - b.column,
  );
}

const TOP_WORDS = ['class', 'set', ...BLOCKS] as const;

interface RuleBlock {
  /** The word that begins it; null if the file has no such block. */
  word: Token | null;
  default: ParsedRule | null;
  readonly rules: ParsedRule[];
}

/** Which blocks there are and what is named are the only things that outlast a statement. */
class FileParser {
  readonly #cursor: Cursor;
  readonly #reports: Reports;
  readonly #classes = new Map<string, TrafficClass>();
  readonly #sets: SetTable;
  readonly #blocks: Readonly<Record<Block, RuleBlock>> = {
    outbound: { word: null, default: null, rules: [] },
    inbound: { word: null, default: null, rules: [] },
  };

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
    this.#reports = cursor.reports;
    this.#sets = new SetTable(cursor.reports);
  }

  parse(sources: Sources): { readonly ruleSet: RuleSet; readonly claims: readonly Claim[] } {
    const cursor = this.#cursor;
    while (cursor.peek().kind !== 'end') this.#parseTop();
    const { outbound, inbound } = this.#blocks;
    if (outbound.word === null) {
      const hint = "write 'outbound { … }' around the rules";
      this.#reports.error('no-outbound', cursor.peek(), "there is no 'outbound' block", { hint });
    }
    // Classes and sets may be defined below their use, so names are looked up last.
    const outboundRules = this.#build('outbound', 1);
    const inboundRules = this.#build('inbound', 1 + outboundRules.length);
    const claims = readClaims(sources, this.#sets, this.#reports);
    const ruleSet = {
      file: this.#reports.file,
      classes: [...this.#classes.values()],
      sets: this.#sets.sets,
      unusedSets: this.#sets.unused,
      outbound: outboundRules,
      inbound: inbound.word === null ? null : inboundRules,
    };
    return { ruleSet, claims };
  }

  #build(block: Block, firstHandle: number): Rule[] {
    const names = { classes: this.#classes, sets: this.#sets };
    return this.#blocks[block].rules.map((rule, index) => rule.build(firstHandle + index, block, names, this.#reports));
  }

  #parseTop(): void {
    const cursor = this.#cursor;
    const token = cursor.peek();
    if (token.kind === 'newline' || cursor.is(';')) {
      cursor.next();
    } else if (cursor.is('}')) {
      this.#reports.error('missing-brace', token, "this '}' closes nothing");
      cursor.next();
    } else if (token.kind !== 'word' || !this.#parseNamed(token.text)) {
      this.#refuseTop(token);
    }
  }

  /** @returns false if the word begins nothing */
  #parseNamed(word: string): boolean {
    const block = BLOCKS.find((one) => one === word);
    if (block !== undefined) this.#parseBlock(block);
    else if (word === 'class') this.#parseClass();
    else if (word === 'set') this.#parseSet();
    else return false;
    return true;
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
      const details = { expected: TOP_EXPECTED, ...didYouMean(token.text, [...TOP_WORDS, 'define', 'include']) };
      reports.error('unknown-keyword', token, `unknown word ${quote(token.text)}`, details);
      // Read on as what was meant, so that the errors inside are found too.
      if (near !== null) {
        this.#parseNamed(near);
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
      const hint = cursor.is('=') ? `write ${quote(`class ${name.text} hold`)}, or pass, or drop` : undefined;
      cursor.unexpected(`a verdict for class ${quote(name.text)}: pass, hold or drop`, hint);
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
    if (!this.#isName(name, 'a class')) {
      // Reported; a rule that uses it has its own error.
    } else if (isVerdict(name.text) || name.text === 'class' || name.text === 'default') {
      reports.error('bad-name', name, `${quote(name.text)} cannot name a class: it is a word of the language`);
    } else if (earlier !== undefined) {
      const { place } = earlier;
      const file = reports.place(name).file;
      const where = `line ${place.line}${place.file === file ? '' : ` of ${quote(place.file)}`}`;
      const message = `class ${quote(name.text)} is already defined in ${where}`;
      reports.error('class-redefined', name, message, { related: place });
    } else {
      this.#classes.set(name.text, { name: name.text, verdict, place: reports.place(name) });
    }
  }

  #isName(name: Token, what: string): boolean {
    if (/^[A-Za-z_][A-Za-z0-9_-]*$/.test(name.text) && name.text.length <= MAX_NAME) return true;
    const expected = `a letter, then letters, digits, '_' and '-', at most ${MAX_NAME} in all`;
    this.#reports.error('bad-name', name, `${quote(name.text)} cannot name ${what}`, { expected });
    return false;
  }

  #parseSet(): void {
    const written = parseSet(this.#cursor, beginsBlock);
    if (written === null) return;
    // Also a set whose name is wrong is known, or each rule that uses it would be an error too.
    this.#isName(written.name, 'a set');
    const earlier = this.#sets.add(written);
    if (earlier === null) return;
    const reports = this.#reports;
    const where = reports.lineText(earlier, written.name);
    const message = `set ${quote(written.name.text)} is already defined in ${where}`;
    reports.error('set-redefined', written.name, message, { related: reports.place(earlier) });
  }

  #parseBlock(name: Block): void {
    const cursor = this.#cursor;
    const reports = this.#reports;
    const block = this.#blocks[name];
    const word = cursor.next();
    if (block.word !== null) {
      const where = reports.lineText(block.word, word);
      const message = `there is an '${name}' block already, in ${where}`;
      const related = reports.place(block.word);
      reports.error(`second-${name}`, word, message, { related, hint: 'put its rules into that one' });
    }
    block.word ??= word;
    cursor.skipNewlines();
    const open = cursor.peek();
    if (!cursor.take('{')) {
      cursor.unexpected(`'{' after '${name}'`);
      cursor.skipStatement();
      return;
    }
    while (!cursor.is('}')) {
      const token = cursor.peek();
      if (token.kind === 'end') {
        reports.error('missing-brace', open, "this block is not closed: '}' is missing");
        return;
      }
      if (token.kind === 'newline' || cursor.is(';')) {
        cursor.next();
      } else if (beginsBlock(cursor)) {
        const where = reports.lineText(token, open);
        const hint = `'${token.text}' begins in ${where}, and stands outside of blocks`;
        const related = reports.place(token);
        reports.error('missing-brace', open, "this block is not closed: '}' is missing", { hint, related });
        return;
      } else {
        this.#addRule(block, parseRule(cursor));
      }
    }
    cursor.next();
    if (!cursor.atStatementEnd()) {
      cursor.unexpected("the end of the line after '}'");
      cursor.skipStatement();
    }
  }

  #addRule(block: RuleBlock, rule: ParsedRule | null): void {
    if (rule === null) return;
    const reports = this.#reports;
    const earlier = block.default;
    if (earlier !== null) {
      const related = reports.place(earlier.first);
      const where = reports.lineText(earlier.first, rule.first);
      if (rule.isDefault) {
        reports.error('second-default', rule.first, `there is a 'default' already, in ${where}`, { related });
      } else {
        const message = `this rule stands after the 'default' of ${where} and would never be tried`;
        reports.error('after-default', rule.first, message, { related, hint: 'move it above' });
      }
    } else if (rule.isDefault) {
      block.default = rule;
    }
    block.rules.push(rule);
  }
}

const MAX_NAME = 64;
const TOP_EXPECTED = "'class NAME verdict', 'set NAME { … }', 'outbound { … }' or 'inbound { … }'";

/** Whether something begins here that only stands outside of blocks. No rule begins like that. */
function beginsBlock(cursor: Cursor): boolean {
  const token = cursor.peek();
  if (token.kind !== 'word') return false;
  if (BLOCKS.some((block) => block === token.text)) return true;
  if (token.text === 'set') return cursor.peek(1).kind === 'word';
  return token.text === 'class' && cursor.peek(1).kind === 'word' && isVerdict(cursor.peek(2).text);
}

function isVerdict(word: string): word is VerdictName {
  return VERDICT_WORDS.some((verdict) => verdict === word);
}

function isRuleWord(word: string): boolean {
  return PROTOCOL_WORDS.includes(word) || MATCH_WORDS.includes(word) || word === 'default' || isVerdict(word);
}

import { Cursor } from './cursor.ts';
import { Definitions, isOne, substitute } from './define.ts';
import { quote, type Reports } from './errors.ts';
import { MAX_INCLUDE_DEPTH, MAX_INCLUDED_FILES, type ResolveInclude } from './include.ts';
import { lex, MAX_TOKENS, type Token } from './lex.ts';

/** All tokens of a rule file, with `include` and `$NAME` replaced by what they stand for. */
export interface Expanded {
  /** As `lex` makes them; null if there were too many, which is reported. */
  readonly tokens: readonly Token[] | null;
  /** The text of each file that was read. */
  readonly sources: ReadonlyMap<string, string>;
}

/**
 * Carries out `include`, `define`, `redefine` and `undefine`, so that the parser sees one file without them. Errors in them are
 * reported; what an unknown name stood for becomes a `bad` token.
 * @param file the name of the first file
 */
export function expand(text: string, file: string, resolve: ResolveInclude, reports: Reports): Expanded {
  const expander = new Expander(resolve, reports);
  expander.read(file, text);
  return expander.finish();
}

/** Tokens that have been made, with the last three that are no line ends: searching for them could take quadratic time. */
class Output {
  readonly tokens: Token[] = [];
  last: Token | null = null;
  /** Before the last one: what a '{' opens. */
  opener: Token | null = null;
  beforeOpener: Token | null = null;

  get isLineStart(): boolean {
    return this.tokens.length === 0 || this.tokens.at(-1)!.kind === 'newline';
  }

  push(token: Token): void {
    this.tokens.push(token);
    if (token.kind === 'newline') return;
    this.beforeOpener = this.opener;
    this.opener = this.last;
    this.last = token;
  }
}

const DIRECTIVES: readonly string[] = ['define', 'redefine', 'undefine', 'include'];

class Expander {
  readonly #resolve: ResolveInclude;
  readonly #reports: Reports;
  readonly #definitions: Definitions;
  readonly #out = new Output();
  readonly #sources = new Map<string, string>();
  /** The files that are being read, each included by the one before it. */
  readonly #open: string[] = [];
  #files = 0;
  #lines = 0;
  /** Tokens read or made, also those of definitions. */
  #made = 0;
  #isFull = false;

  constructor(resolve: ResolveInclude, reports: Reports) {
    this.#resolve = resolve;
    this.#reports = reports;
    this.#definitions = new Definitions(reports);
  }

  /** Appends a file's tokens but for the last, which is of kind `end`. */
  read(file: string, text: string): Token {
    const firstLine = this.#lines + 1;
    if (this.#files++ > 0) this.#reports.addFile(file, firstLine);
    this.#sources.set(file, text);
    this.#open.push(file);
    const tokens = lex(text, this.#reports, firstLine);
    const end = tokens.at(-1)!;
    this.#lines = end.line;
    // The lexer has said so already.
    if (tokens.length > MAX_TOKENS) this.#isFull = true;
    const cursor = new Cursor(tokens, this.#reports);
    while (cursor.peek().kind !== 'end' && !this.#isFull) {
      if (this.#isDirective(cursor.peek())) this.#directive(cursor);
      else this.#copy(cursor, this.#out, true);
    }
    this.#open.pop();
    if (this.#open.length === 0) this.#out.push(end);
    return end;
  }

  finish(): Expanded {
    this.#definitions.finish();
    return { tokens: this.#isFull ? null : this.#out.tokens, sources: this.#sources };
  }

  /** Where a statement begins. In a set such a word would be one of the values. */
  #isDirective(token: Token): boolean {
    if (token.kind !== 'word' || !DIRECTIVES.includes(token.text)) return false;
    const { last, opener, beforeOpener, isLineStart } = this.#out;
    if (last === null || isOne(last, ';', '}')) return true;
    if (!isOne(last, '{')) return isLineStart && !isOne(last, ',', '=');
    return ['outbound', 'inbound'].includes(opener?.text ?? '') || beforeOpener?.text === 'set';
  }

  #directive(cursor: Cursor): void {
    const word = cursor.next();
    if (word.text === 'include') {
      this.#include(cursor);
    } else if (word.text === 'undefine') {
      const name = takeName(cursor);
      if (name !== null) {
        this.#definitions.remove(name);
        this.#endDirective(cursor, `the end of the line after ${quote(`undefine ${name.text}`)}`);
      }
    } else {
      this.#define(cursor, word.text === 'redefine');
    }
    while (!atLineEnd(cursor)) cursor.next();
  }

  /** Behind the word: a name, '=', and tokens up to the line's end; in braces they may span lines. */
  #define(cursor: Cursor, mayReplace: boolean): void {
    const name = takeName(cursor);
    if (name === null) return;
    let tokens: Token[] = [];
    if (!cursor.take('=')) {
      cursor.unexpected(`'=' after ${quote(name.text)}`);
    } else if (cursor.atStatementEnd()) {
      cursor.unexpected(`what ${quote(`$${name.text}`)} stands for`);
    } else {
      this.#definitions.current = name.text;
      tokens = this.#value(cursor);
      this.#definitions.current = null;
    }
    // Uses of a definition that is wrong are no errors themselves.
    if (tokens.length === 0) tokens = [{ ...name, kind: 'bad' }];
    this.#definitions.add(name, tokens, mayReplace);
  }

  #value(cursor: Cursor): Token[] {
    const out = new Output();
    const { tokens } = out;
    const opened: Token[] = [];
    while (!this.#isFull && cursor.peek().kind !== 'end') {
      const token = cursor.peek();
      if (opened.length === 0 && (cursor.atStatementEnd() || cursor.is('}'))) return tokens;
      if (token.kind === 'newline') {
        if (!goesOn(cursor, out.last!)) break;
        cursor.skipNewlines();
        continue;
      }
      if (cursor.is('{')) opened.push(token);
      if (cursor.is('}')) opened.pop();
      this.#copy(cursor, out, false);
    }
    if (opened.length === 0 || this.#isFull) return tokens;
    this.#reports.error('missing-brace', opened[0]!, "this list is not closed: '}' is missing");
    return [];
  }

  /** One token, or what a name stands for. */
  #copy(cursor: Cursor, out: Output, isText: boolean): void {
    if (cursor.is('$')) {
      this.#use(cursor, out);
      return;
    }
    if (isText && cursor.is('{')) this.#definitions.openBlock();
    if (isText && cursor.is('}')) this.#definitions.closeBlock();
    this.#count(cursor.peek());
    out.push(cursor.next());
  }

  #use(cursor: Cursor, out: Output): void {
    const dollar = cursor.next();
    const name = takeName(cursor);
    if (name === null) {
      out.push({ ...dollar, kind: 'bad' });
      return;
    }
    const at = { line: dollar.line, column: dollar.column, length: name.end - dollar.start };
    const definition = this.#definitions.find(name.text);
    if (definition === undefined) {
      this.#definitions.addUnknown(name, at);
      out.push({ ...dollar, kind: 'bad' });
      return;
    }
    definition.isUsed = true;
    let ahead = 0;
    while (cursor.peek(ahead).kind === 'newline') ahead++;
    const tokens = substitute(definition, dollar, name, out.last, cursor.peek(ahead));
    this.#reports.addUse(at, name.text, definition.at);
    for (const token of tokens) {
      this.#count(token);
      if (this.#isFull) return;
      out.push(token);
    }
    // An empty list inside another one leaves nothing, and no comma.
    if (tokens.length === 0) {
      cursor.skipNewlines();
      cursor.take(',');
    }
  }

  #count(token: Token): void {
    if (this.#isFull || ++this.#made <= MAX_TOKENS) return;
    this.#isFull = true;
    const message = `more than ${MAX_TOKENS} words with all that is included and defined: the rest is not read`;
    this.#reports.error('too-large', token, message);
  }

  #include(cursor: Cursor): void {
    const path = cursor.peek();
    if (path.kind !== 'string') {
      cursor.unexpected('the name of a file in double quotes');
      return;
    }
    cursor.next();
    if (!this.#endDirective(cursor, 'the end of the line after the name')) return;
    const from = this.#open.at(-1)!;
    if (this.#open.length > MAX_INCLUDE_DEPTH) {
      const hint = 'include the last ones from the first';
      this.#reports.error('include-depth', path, `includes are nested more than ${MAX_INCLUDE_DEPTH} deep`, { hint });
      return;
    }
    const found = path.text === '' ? 'it has no name' : this.#resolve(path.text, from);
    if (typeof found === 'string') {
      this.#reports.error('include-failed', path, `cannot include ${quote(path.text)}: ${found}`);
      return;
    }
    for (const { file, text } of found) {
      if (this.#open.includes(file)) {
        const chain = [...this.#open.slice(this.#open.indexOf(file)), file].map((name) => quote(name)).join(' → ');
        this.#reports.error('include-cycle', path, `a file cannot include itself: ${chain}`);
      } else if (this.#files > MAX_INCLUDED_FILES) {
        this.#reports.error('too-large', path, `more than ${MAX_INCLUDED_FILES} files are included`);
        this.#isFull = true;
      } else if (!this.#isFull) {
        const end = this.read(file, text);
        // The last line of a file need not have an end, the next file is another statement all the same.
        this.#out.push({ ...end, kind: 'newline' });
      }
    }
  }

  /** @returns false after reporting that something stands behind the directive */
  #endDirective(cursor: Cursor, expected: string): boolean {
    if (cursor.atStatementEnd()) return true;
    cursor.unexpected(expected);
    return false;
  }
}

function takeName(cursor: Cursor): Token | null {
  const token = cursor.peek();
  if (token.kind === 'word' && /^[A-Za-z_]/.test(token.text)) return cursor.next();
  cursor.unexpected("the name of a definition: a letter, then letters, digits, '_', '-' and '.'");
  return null;
}

function atLineEnd(cursor: Cursor): boolean {
  const { kind } = cursor.peek();
  return kind === 'newline' || kind === 'end' || cursor.is(';') || cursor.is('}');
}

/** Whether a list in braces goes on in the next line: this one ends with a comma, or that one begins with one or the '}'. */
function goesOn(cursor: Cursor, last: Token): boolean {
  if (isOne(last, '{', ',')) return true;
  let ahead = 0;
  while (cursor.peek(ahead).kind === 'newline') ahead++;
  return isOne(cursor.peek(ahead), ',', '}');
}

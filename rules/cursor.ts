import { quote, type Reports } from './errors.ts';
import type { Token } from './lex.ts';

/** How far the end of wrong braces is looked for: at every brace again, so it must not be far. */
const MAX_BRACED = 100;

/** Walks tokens and knows where a statement ends. */
export class Cursor {
  readonly reports: Reports;
  readonly #tokens: readonly Token[];
  #index = 0;

  /** @param tokens as `lex` makes them: the last is of kind `end` */
  constructor(tokens: readonly Token[], reports: Reports) {
    this.#tokens = tokens;
    this.reports = reports;
  }

  /** @returns the next token, or the one `ahead` further; at the end always the `end` token */
  peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#index + ahead, this.#tokens.length - 1)]!;
  }

  next(): Token {
    const token = this.peek();
    if (token.kind !== 'end') this.#index++;
    return token;
  }

  /** @returns the last token taken, or the first one before any was */
  previous(): Token {
    return this.#tokens[Math.max(0, this.#index - 1)]!;
  }

  /** How many tokens have been taken. */
  get index(): number {
    return this.#index;
  }

  /** The source from token `index` up to here: comments gone, every stretch of blanks and line ends one blank. */
  textSince(index: number): string {
    let text = '';
    let end = -1;
    for (const token of this.#tokens.slice(index, this.#index)) {
      if (token.kind === 'newline') continue;
      if (end >= 0 && token.start > end) text += ' ';
      text += token.written ?? (token.kind === 'string' ? `"${token.text}"` : token.text);
      end = token.end;
    }
    return text;
  }

  is(punctuation: string): boolean {
    const token = this.peek();
    return token.kind === 'punctuation' && token.text === punctuation;
  }

  isWord(word: string): boolean {
    const token = this.peek();
    return token.kind === 'word' && token.text === word;
  }

  /** Takes the next token if it is this punctuation. */
  take(punctuation: string): boolean {
    if (!this.is(punctuation)) return false;
    this.next();
    return true;
  }

  takeWord(): Token | null {
    return this.peek().kind === 'word' ? this.next() : null;
  }

  skipNewlines(): void {
    while (this.peek().kind === 'newline') this.next();
  }

  /** A statement ends at a line end, ';', '}' or the end of the file. */
  atStatementEnd(): boolean {
    const { kind } = this.peek();
    return kind === 'newline' || kind === 'end' || this.is(';') || this.is('}');
  }

  /**
   * Goes to the end of a statement in which something was wrong. A set in it may span lines; one that is never closed ends
   * with its line, so that it does not swallow the rules below.
   * @param from index of a token from which on the statement is looked at again, because the error may lie inside a set
   */
  skipStatement(from = this.#index): void {
    const reached = this.#index;
    this.#index = from;
    this.#skipToEnd();
    if (this.#index >= reached) return;
    this.#index = reached;
    this.#skipToEnd();
  }

  #skipToEnd(): void {
    while (!this.atStatementEnd())
      this.#index += this.is('{') ? Math.max(1, this.#setLength() || this.#bracesOnLine()) : 1;
  }

  /** Goes past the block that opens here, with all the blocks in it. An unclosed block reaches to the end of the file. */
  skipBlock(): void {
    let depth = 0;
    do {
      if (this.is('{')) depth++;
      else if (this.is('}')) depth--;
      else if (this.peek().kind === 'end') return;
      this.next();
    } while (depth > 0);
  }

  /**
   * Goes past the list that opens at token `from`, whatever is in it.
   * @param isEnd whether something begins here that no list has in it: then it is not closed
   * @returns false if it is not closed; the cursor stays
   */
  skipList(from: number, isEnd: (cursor: Cursor) => boolean): boolean {
    const reached = this.#index;
    this.#index = from + 1;
    for (let isLineStart = false; this.peek().kind !== 'end' && !this.is('{'); this.#index++) {
      if (isLineStart && isEnd(this)) break;
      if (this.is('}')) {
        this.#index++;
        return true;
      }
      isLineStart = this.peek().kind === 'newline';
    }
    this.#index = reached;
    return false;
  }

  /** How many tokens the set has that opens here; 0 if what follows is no set. */
  #setLength(): number {
    let valueWanted = true;
    for (let ahead = 1; ; ahead++) {
      const token = this.peek(ahead);
      if (token.kind === 'newline') continue;
      if (token.kind === 'punctuation') {
        if (token.text === '}') return ahead + 1;
        if (!',-/|.'.includes(token.text)) break;
        valueWanted = true;
      } else if (token.kind !== 'end' && valueWanted) {
        valueWanted = false;
      } else {
        break;
      }
    }
    return this.#braceLength();
  }

  /** The same for what is wrong inside, if it closes in this line and the statement goes on. Sets do not nest. */
  #braceLength(): number {
    for (let ahead = 1; ; ahead++) {
      const { kind, text } = this.peek(ahead);
      if (kind === 'newline' || kind === 'end' || (kind === 'punctuation' && text === '{')) return 0;
      if (kind !== 'punctuation' || text !== '}') continue;
      const next = this.peek(ahead + 1);
      const goesOn = next.kind === 'word' || next.kind === 'string' || next.kind === 'bad';
      return goesOn ? ahead + 1 : 0;
    }
  }

  /** How many tokens the braces have that open here, if they close on the same line and soon; otherwise 0. */
  #bracesOnLine(): number {
    let depth = 0;
    for (let ahead = 0; ahead < MAX_BRACED; ahead++) {
      const { kind, text } = this.peek(ahead);
      if (kind === 'newline' || kind === 'end') return 0;
      if (kind !== 'punctuation') continue;
      if (text === '{') depth++;
      else if (text === '}' && --depth === 0) return ahead + 1;
    }
    return 0;
  }

  /** Reports the next token as not what was expected. */
  unexpected(expected: string, hint?: string): void {
    const token = this.peek();
    if (token.kind === 'bad') return;
    this.reports.error(
      'syntax',
      token,
      `unexpected ${shown(token)}`,
      hint === undefined ? { expected } : { expected, hint },
    );
  }
}

function shown({ kind, text }: Token): string {
  return kind === 'newline' ? 'end of line' : kind === 'end' ? 'end of file' : quote(text);
}

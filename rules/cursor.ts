import { quote, type Reports } from './errors.ts';
import type { Token } from './lex.ts';

/** Walks the tokens of one file and knows where a statement ends. */
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
      text += token.kind === 'string' ? `"${token.text}"` : token.text;
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
   */
  skipStatement(): void {
    while (!this.atStatementEnd()) {
      if (!this.is('{')) {
        this.next();
        continue;
      }
      const length = this.#setLength();
      for (let taken = 0; taken < Math.max(1, length); taken++) this.next();
    }
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

  /** How many tokens the set has that opens here; 0 if what follows is no set. */
  #setLength(): number {
    let valueWanted = true;
    for (let ahead = 1; ; ahead++) {
      const token = this.peek(ahead);
      if (token.kind === 'newline') continue;
      if (token.kind === 'punctuation') {
        if (token.text === '}') return ahead + 1;
        if (!',-/|'.includes(token.text)) return 0;
        valueWanted = true;
      } else if ((token.kind === 'word' || token.kind === 'string') && valueWanted) {
        valueWanted = false;
      } else {
        return 0;
      }
    }
  }

  /** Reports the next token as not what was expected. */
  unexpected(expected: string, hint?: string): void {
    const token = this.peek();
    if (token.kind === 'bad') return;
    const found = token.kind === 'newline' ? 'end of line' : token.kind === 'end' ? 'end of file' : quote(token.text);
    this.reports.error('syntax', token, `unexpected ${found}`, hint === undefined ? { expected } : { expected, hint });
  }
}

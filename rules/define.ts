import { didYouMean, quote, type Reports, type Span } from './errors.ts';
import type { Token } from './lex.ts';

/** `define NAME = …`: what `$NAME` is replaced by. */
export interface Definition {
  readonly name: string;
  readonly at: Span;
  /** Without line ends; names in it are replaced already. */
  readonly tokens: readonly Token[];
  isUsed: boolean;
}

/** The definitions that hold at a point of the text. Each block has its own; those around it hold inside it too. */
export class Definitions {
  readonly #reports: Reports;
  readonly #scopes: (Map<string, Definition> | null)[] = [new Map()];
  /** Of the whole text, for errors and warnings: where each name was first defined. */
  readonly #everywhere = new Map<string, Definition>();
  readonly #all: Definition[] = [];
  readonly #unknown: { readonly name: Token; readonly at: Span }[] = [];
  /** The name whose definition is being read. */
  current: string | null = null;

  constructor(reports: Reports) {
    this.#reports = reports;
  }

  openBlock(): void {
    this.#scopes.push(null);
  }

  /** A '}' too many ends nothing. */
  closeBlock(): void {
    if (this.#scopes.length > 1) this.#scopes.pop();
  }

  find(name: string): Definition | undefined {
    for (let at = this.#scopes.length - 1; at >= 0; at--) {
      const found = this.#scopes[at]?.get(name);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** @param mayReplace `redefine`: takes the place of one of the same name */
  add(name: Token, tokens: readonly Token[], mayReplace: boolean): void {
    const earlier = this.find(name.text);
    if (earlier !== undefined && !mayReplace) {
      const where = this.#reports.lineText(earlier.at, name);
      this.#reports.error('redefined', name, `${quote(`$${name.text}`)} is already defined in ${where}`, {
        related: this.#reports.place(earlier.at),
        hint: "to change it from here on write 'redefine'",
      });
      return;
    }
    const definition: Definition = { name: name.text, at: name, tokens, isUsed: false };
    this.#scopeOf(earlier).set(name.text, definition);
    this.#all.push(definition);
    if (!this.#everywhere.has(name.text)) this.#everywhere.set(name.text, definition);
  }

  #scopeOf(definition: Definition | undefined): Map<string, Definition> {
    const around = this.#scopes.find((scope) => definition !== undefined && scope?.get(definition.name) === definition);
    if (around) return around;
    const own = this.#scopes.at(-1) ?? new Map<string, Definition>();
    this.#scopes[this.#scopes.length - 1] = own;
    return own;
  }

  remove(name: Token): void {
    const definition = this.find(name.text);
    if (definition === undefined) this.addUnknown(name, name);
    else this.#scopeOf(definition).delete(name.text);
  }

  /** A name that is not defined where it stands; it is reported when the whole text is known. */
  addUnknown(name: Token, at: Span): void {
    if (name.text === this.current) {
      this.#reports.error('unknown-define', at, `${quote(`$${name.text}`)} cannot stand in its own definition`);
      return;
    }
    this.#unknown.push({ name, at });
  }

  /** Reports names that were not defined where they are used, and definitions of the first file that nothing uses. */
  finish(): void {
    const reports = this.#reports;
    for (const { name, at } of this.#unknown) {
      const elsewhere = this.#everywhere.get(name.text);
      const message = `${quote(`$${name.text}`)} is not defined`;
      if (elsewhere === undefined) {
        const hint = `define it above: ${quote(`define ${name.text} = …`)}`;
        reports.error('unknown-define', at, message, { hint, ...this.#advice(name.text) });
      } else {
        const isBelow =
          elsewhere.at.line > at.line || (elsewhere.at.line === at.line && elsewhere.at.column > at.column);
        const where = reports.lineText(elsewhere.at, at);
        const hint = isBelow
          ? `its definition in ${where} must stand above`
          : `its definition in ${where} holds only in its block, or was taken back`;
        reports.error('unknown-define', at, `${message} here`, { related: reports.place(elsewhere.at), hint });
      }
    }
    for (const { name, at, isUsed } of this.#all) {
      // Files that several rule files include may define more than each of them needs.
      if (isUsed || reports.place(at).file !== reports.file) continue;
      reports.warning('unused-define', at, `nothing uses ${quote(`$${name}`)}`);
    }
  }

  /** As in nft '-' and '.' are part of a name: `$low-99` is one. */
  #advice(name: string): ReturnType<typeof didYouMean> {
    const [, first, sign, rest] = /^(\w+)([-.])(.+)$/.exec(name) ?? [];
    if (first === undefined || !this.#everywhere.has(first)) return didYouMean(name, this.#everywhere.keys());
    return { hint: `blanks stand around the '${sign}' behind a name: ${quote(`$${first} ${sign} ${rest}`)}` };
  }
}

/**
 * What `$NAME` becomes: the tokens, each at the place of the use. Where a list stands inside another one it loses its own
 * braces, and alternatives behind '&' get parentheses, so that they mean what the definition says.
 * @param dollar the '$' @param name the NAME behind it
 * @param before the last token before the use, but for line ends; null at the start
 * @param after the first one behind it, but for line ends
 */
export function substitute(
  definition: Definition,
  dollar: Token,
  name: Token,
  before: Token | null,
  after: Token,
): Token[] {
  let { tokens } = definition;
  if (isOne(before, '{', ',') && isOne(after, '}', ',') && isWhole(tokens, '{', '}')) tokens = tokens.slice(1, -1);
  else if (isOne(before, '|', '(') && isWhole(tokens, '(', ')')) tokens = tokens.slice(1, -1);
  else if (isOne(before, '&') && tokens.length > 1 && !isWhole(tokens, '(', ')')) {
    const [open, close] = ['(', ')'].map((text): Token => ({ ...dollar, text }));
    tokens = [open!, ...tokens, close!];
  }
  const { line, column, start } = dollar;
  const place = { line, column, length: name.end - start, start, end: name.end };
  return tokens.map(({ kind, text }, index) => ({
    kind,
    text,
    ...place,
    written: index === 0 ? `$${name.text}` : '',
  }));
}

export function isOne(token: Token | null, ...texts: readonly string[]): boolean {
  return token !== null && token.kind === 'punctuation' && texts.includes(token.text);
}

/** The first token opens what the last one closes. */
function isWhole(tokens: readonly Token[], open: string, close: string): boolean {
  if (tokens.length < 2 || !isOne(tokens[0]!, open)) return false;
  let depth = 0;
  for (const [index, token] of tokens.entries()) {
    if (isOne(token, open)) depth++;
    if (isOne(token, close)) depth--;
    if (depth === 0) return index === tokens.length - 1;
  }
  return false;
}

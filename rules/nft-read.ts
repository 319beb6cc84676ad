import { Reports } from './errors.ts';
import { lex, type Token } from './lex.ts';

/** One statement: a rule, a set with its braces, a command. */
export interface NftStatement {
  /** In the nft text, from 1. */
  readonly line: number;
  /** Without line ends; at least one. Where the text ends within the statement, the last one is bad and empty. */
  readonly tokens: readonly Token[];
}

export interface NftChain {
  readonly table: NftTable;
  readonly name: string;
  readonly line: number;
  /** null for a chain that is only jumped to. */
  type: { readonly type: string; readonly hook: string } | null;
  policy: 'accept' | 'drop';
  /** In their order, with the commands that add one of them. */
  readonly rules: NftStatement[];
}

export interface NftTable {
  readonly family: string;
  readonly name: string;
  /** `flags dormant`: nothing of it is in force. */
  isDormant: boolean;
  readonly chains: Map<string, NftChain>;
  readonly sets: Map<string, NftStatement>;
  readonly maps: Map<string, NftStatement>;
}

export interface NftRuleset {
  readonly tables: readonly NftTable[];
  readonly defines: readonly NftStatement[];
  /** What stands outside of tables, is no definition, and adds no rule to a chain above it. */
  readonly commands: readonly NftStatement[];
}

const FAMILIES: readonly string[] = ['ip', 'ip6', 'inet', 'arp', 'bridge', 'netdev'];

/** Reads the text that `nft list ruleset` prints into tables, chains and statements. Never throws. */
export function readNft(text: string): NftRuleset {
  return new NftReader(text).read();
}

/** The tokens on one line, with a blank where there were blanks. */
export function sourceOf(tokens: readonly Token[]): string {
  let source = '';
  let end = -1;
  for (const token of tokens) {
    if (end >= 0 && token.start > end) source += ' ';
    source += token.kind === 'string' ? `"${token.text}"` : token.text;
    end = token.end;
  }
  return source;
}

export function isWord(token: Token | undefined, ...words: readonly string[]): boolean {
  return token?.kind === 'word' && words.includes(token.text);
}

export function isMark(token: Token | undefined, mark: string): boolean {
  return token?.kind === 'punctuation' && token.text === mark;
}

/** @returns why nobody can tell what the statement says, null if it can be told */
export function unreadable(tokens: readonly Token[]): string | null {
  const bad = tokens.find(({ kind }) => kind === 'bad');
  if (bad === undefined) return null;
  return bad.length === 0 ? 'the text ends in it' : 'it cannot be read';
}

/** Whether this is `add rule …` or `insert rule …`. */
export function addsRule([first, second]: readonly Token[]): boolean {
  return isWord(first, 'add', 'insert') && isWord(second, 'rule');
}

/** Whether a command may change rules of the table, nobody knows which. */
export function mayChange({ tokens }: NftStatement, { name }: NftTable): boolean {
  const [first, second] = tokens;
  if (isWord(first, 'redefine', 'undefine')) return false;
  return isWord(first, 'include') || isWord(second, 'ruleset') || tokens.some(({ text }) => text === name);
}

class NftReader {
  readonly #tokens: readonly Token[];
  #at = 0;
  readonly #tables = new Map<string, NftTable>();
  readonly #defines: NftStatement[] = [];
  readonly #commands: NftStatement[] = [];

  constructor(text: string) {
    this.#tokens = lex(text, new Reports(''));
  }

  read(): NftRuleset {
    while (this.#peek().kind !== 'end') {
      if (this.#skipEmpty()) continue;
      if (isMark(this.#peek(), '}')) this.#at++;
      else if (isWord(this.#peek(), 'table')) this.#table();
      else this.#command(this.#statement());
    }
    return { tables: [...this.#tables.values()], defines: this.#defines, commands: this.#commands };
  }

  #peek(): Token {
    return this.#tokens[Math.min(this.#at, this.#tokens.length - 1)]!;
  }

  /** @returns whether a line end or ';' stood here */
  #skipEmpty(): boolean {
    const isEmpty = this.#peek().kind === 'newline' || isMark(this.#peek(), ';');
    if (isEmpty) this.#at++;
    return isEmpty;
  }

  #command(statement: NftStatement): void {
    const [first] = statement.tokens;
    if (isWord(first, 'define')) this.#defines.push(statement);
    else if (addsRule(statement.tokens) && this.#add(statement)) return;
    // What a file begins with so that it can be loaded again and again.
    else if (this.#tables.size > 0 || !isWord(first, 'flush', 'delete', 'destroy')) this.#commands.push(statement);
  }

  /** @returns false if there is no such chain */
  #add(statement: NftStatement): boolean {
    const [command, , ...rest] = statement.tokens;
    const words = rest.map(({ text }) => text);
    const [family, table, chain] = FAMILIES.includes(words[0]!) ? words : ['ip', ...words];
    const rules = this.#tables.get(`${family} ${table}`)?.chains.get(chain ?? '')?.rules;
    if (isWord(command, 'insert')) rules?.unshift(statement);
    else rules?.push(statement);
    return rules !== undefined;
  }

  #table(): void {
    this.#at++;
    const words = this.#wordsBeforeBrace();
    if (words === null) return;
    const family = FAMILIES.includes(words[0]!) && words.length > 1 ? words[0]! : 'ip';
    const name = words.at(-1) ?? '';
    const key = `${family} ${name}`;
    const fresh = { family, name, isDormant: false, chains: new Map(), sets: new Map(), maps: new Map() };
    const table: NftTable = this.#tables.get(key) ?? fresh;
    this.#tables.set(key, table);
    this.#inBraces(() => {
      if (isWord(this.#peek(), 'chain')) {
        this.#chain(table);
        return;
      }
      const statement = this.#innerStatement();
      const [first, second] = statement.tokens;
      if (isWord(first, 'set')) table.sets.set(second?.text ?? '', statement);
      else if (isWord(first, 'map')) table.maps.set(second?.text ?? '', statement);
      else if (isWord(first, 'flags')) table.isDormant = statement.tokens.some((token) => isWord(token, 'dormant'));
    });
  }

  #chain(table: NftTable): void {
    const { line } = this.#peek();
    const start = this.#at++;
    const words = this.#wordsBeforeBrace();
    if (words === null) return;
    const head = this.#tokens.slice(start, this.#at - 1);
    const name = words.join(' ');
    const chain: NftChain = table.chains.get(name) ?? { table, name, line, type: null, policy: 'accept', rules: [] };
    table.chains.set(name, chain);
    const isClosed = this.#inBraces(() => {
      const statement = this.#innerStatement();
      const words = statement.tokens.map(({ text }) => text);
      if (words[0] === 'type') chain.type = { type: words[1] ?? '', hook: words[words.indexOf('hook') + 1] ?? '' };
      else if (words[0] === 'policy') chain.policy = words[1] === 'drop' ? 'drop' : 'accept';
      else if (words[0] !== 'comment' && words[0] !== 'flags' && words[0] !== 'devices') chain.rules.push(statement);
    });
    // What else it says is not known, also where it ends with a line.
    const last = chain.rules.at(-1);
    const isTold = last !== undefined && unreadable(last.tokens) !== null;
    if (!isClosed && !isTold) chain.rules.push({ line, tokens: [...head, this.#cut(head)] });
  }

  /** Also takes the '{'. @returns null if the statement ends without one: it only names something */
  #wordsBeforeBrace(): string[] | null {
    const words: string[] = [];
    for (; !isMark(this.#peek(), '{'); this.#at++) {
      const { kind, text } = this.#peek();
      if (kind === 'newline' || kind === 'end' || text === ';') return null;
      words.push(text);
    }
    this.#at++;
    return words;
  }

  /** @returns false if the text ends before they do */
  #inBraces(take: () => void): boolean {
    while (!isMark(this.#peek(), '}') && this.#peek().kind !== 'end') {
      if (!this.#skipEmpty()) take();
    }
    this.#at++;
    return isMark(this.#tokens[this.#at - 1], '}');
  }

  /** What a statement that the text ends in has behind these tokens. */
  #cut(tokens: readonly Token[]): Token {
    const { line, column, end } = tokens.at(-1)!;
    return { kind: 'bad', text: '…', line, column, length: 0, start: end, end };
  }

  /** One in braces. */
  #innerStatement(): NftStatement {
    const statement = this.#statement();
    const isCut = this.#peek().kind === 'end';
    return isCut ? { ...statement, tokens: [...statement.tokens, this.#cut(statement.tokens)] } : statement;
  }

  /** Up to the line's end, a ';' or the block's '}'; braces in it may span lines. */
  #statement(): NftStatement {
    const tokens: Token[] = [];
    for (let depth = 0; ; this.#at++) {
      const token = this.#peek();
      const isEnd = token.kind === 'newline' || isMark(token, ';') || isMark(token, '}');
      if (token.kind === 'end' || (depth === 0 && isEnd && tokens.length > 0)) break;
      if (isMark(token, '{')) depth++;
      if (isMark(token, '}')) depth--;
      if (token.kind !== 'newline') tokens.push(token);
    }
    return { line: tokens[0]?.line ?? 1, tokens };
  }
}

import type { Token } from './lex.ts';
import { isMark, isWord, type NftStatement, type NftTable, sourceOf, unreadable } from './nft-read.ts';
import { parseRules } from './parse.ts';

/** A set of the nft ruleset in our words. */
export interface ImportedSet {
  readonly text: string;
  /** The same without elements: enough to see whether a rule is right. */
  readonly head: string;
  /** Rules or the host add elements while it is in force. */
  readonly isDynamic: boolean;
}

export interface NotTakenSet {
  readonly statement: NftStatement;
  readonly reason: string;
}

/** What a set needs not have here: it collects no garbage at intervals, has one policy and does not count. */
const IGNORED: readonly string[] = ['gc-interval', 'policy', 'counter'];

/** @param prelude definitions that the sets may use */
export function importSets(
  table: NftTable,
  prelude: string,
): { readonly sets: ReadonlyMap<string, ImportedSet>; readonly notTaken: readonly NotTakenSet[] } {
  const sets = new Map<string, ImportedSet>();
  const notTaken: NotTakenSet[] = [];
  for (const [name, statement] of table.sets) {
    const problem = unreadable(statement.tokens);
    if (problem !== null) {
      notTaken.push({ statement, reason: problem });
      continue;
    }
    const lines = linesOf(statement.tokens);
    const render = (kept: readonly string[]) => `set ${name} {\n${kept.map((line) => `  ${line}\n`).join('')}}\n`;
    const text = render(lines);
    const { errors } = parseRules(`${prelude}${text}outbound {\ndefault hold\n}\n`, 'imported');
    if (errors.length > 0) {
      notTaken.push({ statement, reason: errors[0]!.message });
      continue;
    }
    const isDynamic = lines.some((line) => /^(timeout|flags .*(timeout|dynamic))/.test(line));
    sets.set(name, { text, head: render(lines.filter((line) => !line.startsWith('elements'))), isDynamic });
  }
  return { sets, notTaken };
}

/** The statements between a set's braces, without those that change nothing; nft lists each on a line of its own. */
function linesOf(tokens: readonly Token[]): string[] {
  const body = tokens.slice(tokens.findIndex((token) => isMark(token, '{')) + 1, -1);
  const lines: Token[][] = [];
  let depth = 0;
  let last = -1;
  for (const token of body) {
    if (depth === 0 && (token.line !== last || isMark(token, ';'))) lines.push([]);
    if (isMark(token, '{')) depth++;
    if (isMark(token, '}')) depth--;
    last = token.line;
    if (depth > 0 || !isMark(token, ';')) lines.at(-1)!.push(token);
  }
  return lines
    .filter((line) => line.length > 0 && !isWord(line[0], ...IGNORED))
    .map((line) => (isWord(line[0], 'elements') ? elementsText(line) : sourceOf(line)));
}

/** `timeout 1h expires 59m13s` becomes `timeout 59m13s`, and `counter packets 5 bytes 300` goes. */
function elementsText(tokens: readonly Token[]): string {
  const kept: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]!;
    const next = tokens[at + 1];
    if (isWord(token, 'timeout') && isWord(tokens[at + 2], 'expires')) at++;
    else if (isWord(token, 'expires') && next !== undefined) kept.push({ ...token, text: 'timeout' });
    else if (isWord(token, 'counter')) while (isWord(tokens[at + 1], 'packets', 'bytes')) at += 2;
    else kept.push(token);
  }
  return sourceOf(kept);
}

import { Cursor } from './cursor.ts';
import type { Reports, Sources, Span } from './errors.ts';
import { lex } from './lex.ts';
import type { Match, Place } from './rule.ts';
import { parseMatch } from './rule-line.ts';
import type { SetReference } from './set-reference.ts';
import type { SetTable } from './set-table.ts';

/** `# @holds tcp flags syn`: what the author of a rule file says is never passed. */
export interface Claim {
  /** Of the word `@holds`. */
  readonly place: Place;
  /** From the word `@holds` on, blanks folded to one. */
  readonly text: string;
  /** At least one. */
  readonly matches: readonly Match[];
}

export const CLAIM_WORD = '@holds';

/**
 * A line that begins with '#' is a comment whatever stands above it, for nothing in the language goes on behind a line end: not
 * even a string, and an escaped line end stands between words. So claims are found without reading the rest.
 */
const CLAIM_LINE = /^([ \t]*#+[ \t]*)@holds(?![\w-])/;

/** What ends a rule and has no place in a claim. */
const OUTCOME_WORDS: readonly string[] = ['class', 'pass', 'hold', 'drop', 'comment', 'guard', 'ordered', 'default'];

/**
 * Finds and reads the claims in the comments of all files. Reports those that cannot be read.
 * @param sets for names of sets in claims
 */
export function readClaims(sources: Sources, sets: SetTable, reports: Reports): Claim[] {
  const claims: Claim[] = [];
  for (const [file, text] of sources) {
    // Most files have none, and splitting takes memory.
    if (!text.includes(CLAIM_WORD)) continue;
    const firstLine = reports.firstLineOf(file);
    text.split('\n').forEach((line, index) => {
      const found = CLAIM_LINE.exec(line);
      if (found === null) return;
      const claim = readClaim(line, found[1]!.length, firstLine + index, sets, reports);
      if (claim !== null) claims.push(claim);
    });
  }
  return claims;
}

/** @param start where in the line the word `@holds` stands @param number the line's */
function readClaim(line: string, start: number, number: number, sets: SetTable, reports: Reports): Claim | null {
  const expression = start + CLAIM_WORD.length;
  const at: Span = { line: number, column: start + 1, length: CLAIM_WORD.length };
  // Blanks before it keep every word in its column.
  const tokens = lex(`${' '.repeat(expression)}${line.slice(expression)}\n`, reports, number);
  // A set that is not closed reaches to the end: that is still this line.
  const { column } = tokens.at(-2)!;
  tokens[tokens.length - 1] = { ...tokens.at(-1)!, line: number, column };
  const cursor = new Cursor(tokens, reports);
  const references: (Match | SetReference)[] = [];
  while (!cursor.atStatementEnd()) {
    const outcome = OUTCOME_WORDS.find((word) => cursor.isWord(word));
    if (outcome !== undefined) {
      cursor.unexpected('matches only', "a claim is '@holds' and matches: what it names is held");
      return null;
    }
    if (!parseMatch(cursor, references)) return null;
  }
  if (cursor.peek().kind !== 'newline') {
    cursor.unexpected('a match or the end of the line');
    return null;
  }
  if (references.length === 0) {
    reports.error('missing-match', at, "this claim names no frames: matches are missing behind '@holds'");
    return null;
  }
  const matches = references
    .map((match) => (match.kind === 'set-reference' ? sets.resolve(match) : match))
    .filter((match) => match !== null);
  if (matches.length < references.length) return null;
  return { place: reports.place(at), text: `${CLAIM_WORD} ${cursor.textSince(0)}`, matches };
}

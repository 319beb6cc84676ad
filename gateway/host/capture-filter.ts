import { compileMatcher } from '../../classifier/compile.ts';
import { LiveState } from '../../classifier/live-state.ts';
import type { Matcher } from '../../classifier/matcher.ts';
import { parse } from '../../classifier/parse.ts';
import { Parsed } from '../../classifier/parsed.ts';
import { Cursor } from '../../rules/cursor.ts';
import { Reports } from '../../rules/errors.ts';
import { lex } from '../../rules/lex.ts';
import type { Match } from '../../rules/rule.ts';
import { parseMatch } from '../../rules/rule-line.ts';
import type { SetReference } from '../../rules/set-reference.ts';
import type { FrameBatch } from '../frame-batch.ts';
import { invalidParams } from './protocol.ts';

const ETHERNET = 1;

/** Frames that the matches of a rule select. Later fragments are none that a match on ports selects. */
export class CaptureFilter {
  readonly #parsed = new Parsed();
  readonly #matcher: Matcher;

  /**
   * @param text as in a rule, without class and verdict: `ip daddr 192.0.2.0/24 tcp dport 80`
   * @throws RequestError that names what is wrong and where
   */
  constructor(text: string) {
    const place = { file: 'match', line: 1, column: 1 };
    const rule = { handle: 1, place, text, matches: matchesOf(text), className: null, verdict: 'pass' } as const;
    const rules = [{ ...rule, isDefault: false, guard: false, ordered: false, comment: null }];
    this.#matcher = compileMatcher(rules, new LiveState([]));
  }

  selects(batch: FrameBatch, i: number): boolean {
    if (batch.linkType[i] !== ETHERNET) return false;
    const { view } = batch.slab;
    parse(this.#parsed, view, batch.offset[i]!, batch.length[i]!, batch.wireLength[i]!);
    return this.#parsed.problem === 0 && this.#matcher.classify(this.#parsed, view) === 0;
  }
}

function matchesOf(text: string): Match[] {
  const reports = new Reports('match');
  const cursor = new Cursor(lex(text, reports), reports);
  const parts: (Match | SetReference)[] = [];
  while (reports.errors.length === 0 && cursor.peek().kind !== 'end') if (!parseMatch(cursor, parts)) break;
  const problems = reports.errors.map(({ message, column, expected, hint }) => {
    const more = hint ?? (expected === undefined ? null : `expected ${expected}`);
    return `${message} (column ${column})${more === null ? '' : `: ${more}`}`;
  });
  if (problems.length === 0 && parts.length === 0)
    problems.push('expected the matches of a rule, such as udp dport 53');
  const matches: Match[] = [];
  for (const part of parts) {
    if (part.kind === 'set-reference') {
      problems.push("sets are the rules' own: write the values instead");
    } else if (part.kind === 'declared') {
      problems.push("'declared' is for rules: a capture knows no declared flows");
    } else {
      matches.push(part);
    }
  }
  if (problems.length > 0) throw invalidParams(problems.map((message) => ({ field: 'match', message })));
  return matches;
}

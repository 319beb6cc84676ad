import { needsNetwork } from '../../classifier/field.ts';
import type { RuleError } from '../../rules/errors.ts';
import type { LoadedRules } from '../../rules/load.ts';
import type { Match, Rule } from '../../rules/rule.ts';
import { FIELDS } from '../../rules/rule.ts';
import { type Overlap, overlapsOf } from './check-overlaps.ts';
import { findRule } from './check-rule.ts';
import { impliedWords, matchWords } from './check-words.ts';
import { EXIT } from './failure.ts';
import { Output, styles } from './output.ts';
import { loadRulesOrFail } from './rules-option.ts';
import { printable } from './table.ts';

/** So many rules that overlap are listed. */
const LISTED = 12;

type Direction = 'outbound' | 'inbound';

interface Explained {
  readonly rule: Rule;
  readonly direction: Direction;
  readonly matches: readonly { readonly words: string; readonly implies: readonly string[] }[];
  readonly outcome: string;
  readonly options: readonly string[];
  /** Warnings about this rule. */
  readonly warnings: readonly RuleError[];
  readonly overlaps: readonly Overlap[];
  readonly others: readonly string[];
}

/** `holdfast check --explain RULE`: what a rule selects, in words. @returns the exit code */
export async function checkExplain(path: string, wanted: string, json: boolean): Promise<number> {
  const loaded = await loadRulesOrFail(path, EXIT.no);
  const explained = explainRule(loaded, findRule(loaded, wanted));
  const output = new Output();
  if (json) output.line(JSON.stringify(explainedJson(explained)));
  else output.line(explainedText(explained, loaded.file));
  output.flush();
  return EXIT.ok;
}

function explainRule({ ruleSet, warnings }: LoadedRules, rule: Rule): Explained {
  const direction = ruleSet.outbound.includes(rule) ? 'outbound' : 'inbound';
  const rules = direction === 'outbound' ? ruleSet.outbound : ruleSet.inbound!;
  const earlier = rules.slice(0, rules.indexOf(rule));
  const { file, line, column } = rule.place;
  return {
    rule,
    direction,
    matches: rule.matches.map((match) => ({ words: matchWords(match), implies: impliedWords(match) })),
    outcome: outcomeWords(rule),
    options: optionWords(rule),
    warnings: warnings.filter((one) => one.file === file && one.line === line && one.column === column),
    overlaps: rule.isDefault ? [] : overlapsOf(rule, earlier),
    others: otherFrames(rule, direction, rules[rules.indexOf(rule) + 1] ?? null),
  };
}

const OUTCOMES = {
  pass: 'passes: it leaves at once',
  hold: 'is held until its checkpoint commits',
  drop: 'is dropped',
} as const;

function outcomeWords(rule: Rule): string {
  const by = rule.className === null ? '' : `class '${rule.className}': `;
  return `${by}such a frame ${OUTCOMES[rule.verdict]}`;
}

function optionWords(rule: Rule): string[] {
  const words: string[] = [];
  if (rule.guard)
    words.push('guard: passes TCP only under the TCP guard, which is not there yet, so it is held (reason guard)');
  if (rule.ordered) words.push('ordered: frames of a UDP flow do not overtake each other, either');
  return words;
}

function otherFrames(rule: Rule, direction: Direction, next: Rule | null): string[] {
  if (rule.isDefault) {
    return ['frames that cannot be classified never come here: they have reasons of their own'];
  }
  const refused = direction === 'outbound' ? 'is held' : 'is dropped';
  const goesOn =
    next === null
      ? `comes to the end of the block: ${direction === 'outbound' ? 'held (no-default)' : 'passes (inbound)'}`
      : `goes on to line ${next.place.line}`;
  const words: string[] = [];
  const implied = [...new Set(rule.matches.flatMap(impliedWords))];
  if (implied.length > 0)
    words.push(
      `a frame that is not ${implied.join(' and ')} does not match, also where a match says '!=': it ${goesOn}`,
    );
  else words.push(`any other frame ${goesOn}`);
  if (rule.matches.some(needsNetwork)) {
    words.push(
      `a frame whose EtherType is not parsed ${refused} (unknown-ethertype), unless a match on Ethernet above it is false or an earlier rule decides`,
    );
  }
  if (rule.matches.some(isAboveNetwork)) words.push('a later fragment gets the verdict of its first fragment');
  if (rule.matches.some(({ kind }) => kind === 'app')) {
    words.push(`a frame whose payload is cut off before it can be recognised ${refused} (undecided)`);
  }
  return words;
}

function isAboveNetwork(match: Match): boolean {
  if (match.kind === 'app' || match.kind === 'declared') return true;
  if (match.kind === 'raw') return match.base === 'th';
  const fields = match.kind === 'field' ? [match.field] : match.fields;
  return fields.some((field) => FIELDS[field].layer === 'l4');
}

function explainedJson({ rule, direction, matches, options, warnings, overlaps, others }: Explained) {
  const { handle, place, text, className, verdict, comment, isDefault } = rule;
  return {
    handle,
    file: place.file,
    line: place.line,
    text,
    direction,
    class: className,
    verdict,
    default: isDefault,
    options: [...(rule.guard ? ['guard'] : []), ...(rule.ordered ? ['ordered'] : [])],
    comment,
    matches,
    notes: options,
    warnings,
    overlaps: overlaps.map(({ rule: other, isCertain, takesAll, example }) => {
      const { handle: otherHandle, place: otherPlace, text: otherText, verdict: otherVerdict } = other;
      return {
        handle: otherHandle,
        file: otherPlace.file,
        line: otherPlace.line,
        text: otherText,
        verdict: otherVerdict,
        certain: isCertain,
        all: takesAll,
        example,
      };
    }),
    others,
  };
}

function explainedText(explained: Explained, file: string): string {
  const { rule, direction, matches, outcome, options, warnings, overlaps, others } = explained;
  const style = styles(process.stdout.isTTY === true);
  const where = `${rule.place.file === file ? '' : `${rule.place.file} `}line ${rule.place.line}`;
  const lines = [`rule ${rule.handle}, ${where}, ${direction}: ${style('bold', printable(rule.text))}`, ''];
  if (rule.isDefault) lines.push('takes every frame that no rule above decides');
  else {
    lines.push(
      matches.length === 1 ? 'selects frames of which this is true' : 'selects frames of which all of this is true',
    );
    for (const { words, implies } of matches) {
      lines.push(`  ${words}${implies.length === 0 ? '' : style('dim', `  (${implies.join(', ')})`)}`);
    }
  }
  lines.push('', outcome, ...options.map((option) => `  ${option}`));
  if (rule.comment !== null) lines.push(`  comment: ${printable(rule.comment)}`);
  for (const { message } of warnings) lines.push('', style('yellow', `warning: ${message}`));
  if (!rule.isDefault) lines.push('', ...overlapLines(overlaps));
  lines.push('', 'other frames', ...others.map((words) => `  ${words}`));
  return lines.join('\n');
}

function overlapLines(overlaps: readonly Overlap[]): string[] {
  if (overlaps.length === 0) return ['no rule above takes any of these frames'];
  const lines = ['rules above that take some of these frames first'];
  for (const { rule, isCertain, takesAll, example } of overlaps.slice(0, LISTED)) {
    const how = takesAll ? 'all of them' : !isCertain ? 'perhaps' : example === '' ? 'some' : `for example ${example}`;
    lines.push(`  line ${rule.place.line}: ${printable(rule.text)}`, `    ${how}`);
  }
  if (overlaps.length > LISTED) lines.push(`  and ${overlaps.length - LISTED} more`);
  return lines;
}

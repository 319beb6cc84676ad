import type { LoadedRules } from '../../rules/load.ts';
import type { Rule } from '../../rules/rule.ts';
import { statementAt } from '../../rules/statement.ts';
import { closest } from '../../rules/suggest.ts';
import { Failure } from './failure.ts';

/**
 * The rule that a person means: `7` its handle, `:12` the line on which it stands in the main file, `names.rules:12` in an included one.
 * @throws Failure that says which rules there are
 */
export function findRule(loaded: LoadedRules, wanted: string): Rule {
  const { outbound, inbound } = loaded.ruleSet;
  const rules = [...outbound, ...(inbound ?? [])];
  if (rules.length === 0) throw new Failure(`${loaded.file} has no rules`);
  if (/^\d+$/.test(wanted)) {
    const rule = rules.find(({ handle }) => handle === Number(wanted));
    if (rule !== undefined) return rule;
    const onLine = rules.some(({ place }) => place.file === loaded.file && place.line === Number(wanted));
    const hint = onLine ? `: did you mean ':${wanted}', the rule on line ${wanted}?` : '';
    throw new Failure(`there is no rule ${wanted}: handles are 1 to ${rules.length}${hint}`);
  }
  const [, file, line] = /^(.*):(\d+)$/.exec(wanted) ?? [];
  if (line === undefined)
    throw new Failure(`'${wanted}' names no rule: expected a handle such as 7, or :LINE, or FILE:LINE`);
  return ruleOnLine(loaded, rules, file === '' ? loaded.file : file!, Number(line));
}

function ruleOnLine({ sources }: LoadedRules, rules: readonly Rule[], file: string, line: number): Rule {
  const known = rules.some(({ place }) => place.file === file) ? file : fileByEnd(sources.keys(), file);
  const there = rules.filter(({ place }) => place.file === known);
  if (there.length === 0) {
    const near = closest(file, sources.keys());
    throw new Failure(`no rule stands in '${file}'${near === null ? '' : `: did you mean '${near}'?`}`);
  }
  const named = there.filter(({ place }) => place.line === line);
  if (named.length === 1) return named[0]!;
  if (named.length > 1) {
    throw new Failure(
      `${named.length} rules stand on line ${line}: name one by its handle, ${named.map(({ handle }) => handle).join(' or ')}`,
    );
  }
  const above = there.filter(({ place }) => place.line < line).sort((a, b) => b.place.line - a.place.line)[0];
  if (above !== undefined && lastLine(sources.get(known)!, above) >= line) return above;
  const nearest = there.reduce((best, one) => {
    return Math.abs(one.place.line - line) < Math.abs(best.place.line - line) ? one : best;
  });
  throw new Failure(
    `no rule stands on line ${line}: the nearest is rule ${nearest.handle} on line ${nearest.place.line}`,
  );
}

/** A file that was included is known by a path; its last part is enough if it is the only one. */
function fileByEnd(files: Iterable<string>, wanted: string): string {
  const found = [...files].filter((file) => file.endsWith(`/${wanted}`));
  return found.length === 1 ? found[0]! : wanted;
}

/** A set in a rule may span lines. */
function lastLine(text: string, { place: { line, column } }: Rule): number {
  const span = statementAt(text, line, column);
  return span === null ? line : line + text.slice(span.start, span.end).split('\n').length - 1;
}

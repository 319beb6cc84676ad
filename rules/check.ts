import { CoverIndex } from './cover-index.ts';
import { quote, type RuleError, type RuleErrorCode } from './errors.ts';
import { Region } from './region.ts';
import type { Place, Rule, RuleSet } from './rule.ts';

/**
 * What is surely not meant in rules that are valid: a rule that no frame can match, one that an earlier rule hides, a class that
 * no rule names. Sound rather than complete: a rule that only several earlier ones together hide is not found.
 * @returns warnings in the order of the file
 */
export function checkRules(ruleSet: RuleSet): RuleError[] {
  const warnings: RuleError[] = [];
  const regions = ruleSet.outbound.filter((rule) => !rule.isDefault).map((rule) => new Region(rule));
  const index = new CoverIndex(regions);
  for (const region of regions) {
    const { rule } = region;
    if (region.contradiction !== null) {
      warnings.push(aboutRule(rule, 'never-matches', `this rule never matches: ${region.contradiction}`));
      continue;
    }
    const hider = index.find(region);
    if (hider === null) index.add(region);
    else warnings.push(aboutHidden(region, hider));
  }
  const used = new Set(ruleSet.outbound.map((rule) => rule.className));
  for (const { name, place } of ruleSet.classes) {
    if (!used.has(name))
      warnings.push(warning(place, name.length, 'unused-class', `no rule names class ${quote(name)}`));
  }
  return warnings.sort((a, b) => a.line - b.line || a.column - b.column);
}

function aboutHidden(region: Region, hider: Region): RuleError {
  const { rule } = hider;
  const shown = `line ${rule.place.line}, ${quote(rule.text)}`;
  return region.covers(hider)
    ? aboutRule(
        region.rule,
        'duplicate-rule',
        `this rule is never reached: it matches the same frames as ${shown}`,
        rule.place,
      )
    : aboutRule(region.rule, 'shadowed-rule', `this rule is never reached: all its frames match ${shown}`, rule.place);
}

function aboutRule(rule: Rule, code: RuleErrorCode, message: string, related?: Place): RuleError {
  const firstWord = rule.text.split(' ', 1)[0]!;
  return warning(rule.place, firstWord.length, code, message, related);
}

function warning(place: Place, length: number, code: RuleErrorCode, message: string, related?: Place): RuleError {
  const { file, line, column } = place;
  const base = { severity: 'warning', code, file, line, column, length, message } as const;
  return related === undefined ? base : { ...base, related };
}

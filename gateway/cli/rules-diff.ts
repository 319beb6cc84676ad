import { areEqual, diffRules, type RuleDifference, type RuleSetDifference } from '../../rules/diff.ts';
import type { Rule } from '../../rules/rule.ts';
import { EXIT } from './failure.ts';
import { Output, styles } from './output.ts';
import { loadRulesOrFail } from './rules-option.ts';
import { printable } from './table.ts';

/** `holdfast rules diff` without captures. @returns the exit code: 1 where the rules differ */
export async function rulesDiff(oldPath: string, newPath: string, json: boolean): Promise<number> {
  const before = await loadRulesOrFail(oldPath);
  const after = await loadRulesOrFail(newPath);
  const difference = diffRules(before.ruleSet, after.ruleSet);
  const isEqual = areEqual(difference);
  const output = new Output();
  if (json) output.line(JSON.stringify(differenceJson(difference, isEqual)));
  else if (!isEqual) for (const line of report(difference, before.file, after.file)) output.line(line);
  output.flush();
  return isEqual ? EXIT.ok : EXIT.no;
}

function differenceJson({ classes, sets, rules, inboundBlock }: RuleSetDifference, isEqual: boolean) {
  return {
    equal: isEqual,
    classes,
    sets,
    inboundBlock,
    rules: rules.map(({ kind, block, before, after, changes, hasMoved }) => {
      return { kind, block, changes, moved: hasMoved, before: ruleJson(before), after: ruleJson(after) };
    }),
  };
}

function ruleJson(rule: Rule | null) {
  if (rule === null) return null;
  const { handle, place, text, className, verdict } = rule;
  return { handle, file: place.file, line: place.line, text, class: className, verdict };
}

/** As `diff` prints: what was there begins with '-', what is there with '+'. */
function report({ classes, sets, rules, inboundBlock }: RuleSetDifference, oldFile: string, newFile: string): string[] {
  const style = styles(process.stdout.isTTY === true);
  const lines = [style('bold', `--- ${oldFile}`), style('bold', `+++ ${newFile}`)];
  const removed = (text: string) => lines.push(style('red', `- ${text}`));
  const added = (text: string) => lines.push(style('green', `+ ${text}`));
  for (const { name, before, after } of classes) {
    if (before !== null) removed(`class ${name} ${before}`);
    if (after !== null) added(`class ${name} ${after}`);
  }
  for (const { name, kind } of sets) {
    if (kind === 'added') added(`set ${name}`);
    else if (kind === 'removed') removed(`set ${name}`);
    else lines.push(style('yellow', `! set ${name}: changed`));
  }
  if (inboundBlock === 'removed') removed('inbound { … }');
  if (inboundBlock === 'added') added('inbound { … }');
  let block = '';
  for (const one of rules) {
    if (one.block !== block) lines.push(style('bold', `@@ ${one.block} @@`));
    block = one.block;
    const { before, after } = one;
    if (one.kind === 'moved') {
      lines.push(style('yellow', `! ${place(before!)} -> ${place(after!)}: moved: ${printable(after!.text)}`));
      continue;
    }
    if (before !== null && after !== null) lines.push(style('yellow', `! ${headingOf(one)}`));
    if (before !== null) removed(`${place(before)}: ${shown(before)}`);
    if (after !== null) added(`${place(after)}: ${shown(after)}`);
  }
  return lines;
}

function headingOf({ changes, hasMoved }: RuleDifference): string {
  return [...changes, ...(hasMoved ? ['place'] : [])].join(', ');
}

function place({ place: { line } }: Rule): string {
  return String(line);
}

/** A class's verdict does not stand in the rule. */
function shown({ text, className, verdict }: Rule): string {
  return className === null ? printable(text) : `${printable(text)}  (${verdict})`;
}

import { type Difference, differenceOf, type ShownRule } from '../live-rules/difference.ts';
import { EXIT } from './failure.ts';
import { Output, styles } from './output.ts';
import { loadRulesOrFail } from './rules-option.ts';
import { printable } from './table.ts';

/** `holdfast rules diff` without captures. @returns the exit code: 1 where the rules differ */
export async function rulesDiff(oldPath: string, newPath: string, json: boolean): Promise<number> {
  const before = await loadRulesOrFail(oldPath);
  const after = await loadRulesOrFail(newPath);
  return tellDifference(differenceOf(before.ruleSet, after.ruleSet), before.file, after.file, json);
}

/** @returns the exit code */
export function tellDifference(difference: Difference, oldName: string, newName: string, json: boolean): number {
  const output = new Output();
  if (json) output.line(JSON.stringify(difference));
  else if (!difference.equal) for (const line of report(difference, oldName, newName)) output.line(line);
  output.flush();
  return difference.equal ? EXIT.ok : EXIT.no;
}

/** As `diff` prints: what was there begins with '-', what is there with '+'. */
function report({ classes, sets, rules, inboundBlock }: Difference, oldFile: string, newFile: string): string[] {
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

function headingOf({ changes, moved }: Difference['rules'][number]): string {
  return [...changes, ...(moved ? ['place'] : [])].join(', ');
}

function place({ line }: ShownRule): string {
  return String(line);
}

/** A class's verdict does not stand in the rule. */
function shown({ text, class: className, verdict }: ShownRule): string {
  return className === null ? printable(text) : `${printable(text)}  (${verdict})`;
}

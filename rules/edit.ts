import { DatabaseError } from './database-error.ts';
import { Reports } from './errors.ts';
import { lex } from './lex.ts';
import type { Place, Rule, RuleSet } from './rule.ts';
import type { RuleSources } from './sources.ts';
import { statementAt, type TextSpan, withoutStatement, withStatement } from './statement.ts';

export type RuleBlock = 'outbound' | 'inbound';

/** A change of one rule. `rule` is one statement in the language, without a line end. */
export type RuleEdit =
  /** Below the rule with this handle; without one at the block's end, above its `default`. */
  | { readonly kind: 'add'; readonly rule: string; readonly block?: RuleBlock; readonly after?: number }
  /** Above the rule with this handle; without one at the block's start. */
  | { readonly kind: 'insert'; readonly rule: string; readonly block?: RuleBlock; readonly before?: number }
  | { readonly kind: 'replace'; readonly handle: number; readonly rule: string }
  | { readonly kind: 'delete'; readonly handle: number };

/** Where in the text a change goes. Plain data: it can be made in another thread than where the rules are. */
export type PlacedEdit =
  | { readonly kind: 'replace'; readonly place: Place; readonly rule: string }
  | { readonly kind: 'delete'; readonly place: Place }
  | { readonly kind: 'beside'; readonly place: Place; readonly side: 'above' | 'below'; readonly rule: string }
  /** Into a block without rules. */
  | { readonly kind: 'first'; readonly block: RuleBlock; readonly rule: string };

/**
 * Changes the text around one rule and nothing else: comments and layout stay. The result is not parsed here.
 * @throws DatabaseError `unknown-handle`; `no-statement` where the new rule is more or less than one statement
 */
export function editRules(
  { ruleSet, sources }: { readonly ruleSet: RuleSet; readonly sources: RuleSources },
  edit: RuleEdit,
): RuleSources {
  if (edit.kind !== 'delete') requireOneStatement(edit.rule);
  return applyEdit(sources, placeEdit(ruleSet, edit));
}

/** @throws DatabaseError `unknown-handle` */
export function placeEdit(ruleSet: RuleSet, edit: RuleEdit): PlacedEdit {
  if (edit.kind === 'delete') return { kind: 'delete', place: ruleOf(ruleSet, edit.handle).place };
  const { rule } = edit;
  if (edit.kind === 'replace') return { kind: 'replace', place: ruleOf(ruleSet, edit.handle).place, rule };
  const neighbour = neighbourOf(ruleSet, edit);
  if (neighbour === null) return { kind: 'first', block: edit.block ?? 'outbound', rule };
  return { kind: 'beside', place: neighbour.rule.place, side: neighbour.side, rule };
}

/**
 * @param sources those whose rules the edit was placed among
 * @throws DatabaseError `no-statement`
 */
export function applyEdit(sources: RuleSources, edit: PlacedEdit): RuleSources {
  if (edit.kind !== 'delete') requireOneStatement(edit.rule);
  if (edit.kind === 'first') return intoEmptyBlock(sources, edit.block, edit.rule);
  return change(sources, edit.place, (text, span) => {
    if (edit.kind === 'delete') return withoutStatement(text, span);
    if (edit.kind === 'replace') return text.slice(0, span.start) + edit.rule + text.slice(span.end);
    return withStatement(text, span, edit.side, edit.rule);
  });
}

/** Beside which rule the new one goes, and on which side of it; null: its block has none. */
function neighbourOf(
  ruleSet: RuleSet,
  edit: Extract<RuleEdit, { kind: 'add' | 'insert' }>,
): { readonly rule: Rule; readonly side: 'above' | 'below' } | null {
  if (edit.kind === 'add' && edit.after !== undefined) return { rule: ruleOf(ruleSet, edit.after), side: 'below' };
  if (edit.kind === 'insert' && edit.before !== undefined) return { rule: ruleOf(ruleSet, edit.before), side: 'above' };
  const rules = (edit.block === 'inbound' ? ruleSet.inbound : ruleSet.outbound) ?? [];
  if (edit.kind === 'insert') return rules.length === 0 ? null : { rule: rules[0]!, side: 'above' };
  const last = rules.at(-1);
  return last === undefined ? null : { rule: last, side: last.isDefault ? 'above' : 'below' };
}

function ruleOf(ruleSet: RuleSet, handle: number): Rule {
  const rule = [...ruleSet.outbound, ...(ruleSet.inbound ?? [])].find((one) => one.handle === handle);
  if (rule === undefined) throw new DatabaseError('unknown-handle', `there is no rule with handle ${handle}`);
  return rule;
}

/** More than one statement would slip rules in that nobody named; less would leave a hole. */
export function requireOneStatement(rule: string): void {
  const tokens = lex(rule, new Reports(''));
  const first = tokens[0]!;
  const span = statementAt(rule, first.line, first.column);
  const last = tokens.filter((token) => token.kind !== 'end').at(-1);
  if (span === null || last === undefined || last.end !== span.end || /[#\n]/.test(rule.slice(span.end))) {
    throw new DatabaseError(
      'no-statement',
      `'${rule}' is not one rule: expected one statement, without a line end or comment`,
    );
  }
}

function change(
  sources: RuleSources,
  { file, line, column }: Place,
  edit: (text: string, span: TextSpan) => string,
): RuleSources {
  const text = sources.texts.get(file)!;
  return withText(sources, file, edit(text, statementAt(text, line, column)!));
}

function withText({ file: main, texts }: RuleSources, file: string, text: string): RuleSources {
  return { file: main, texts: new Map(texts).set(file, text) };
}

/** Right behind the '{' that opens the block; a block that is not there is made at the end of the file. */
function intoEmptyBlock(sources: RuleSources, block: RuleBlock, rule: string): RuleSources {
  for (const [file, text] of sources.texts) {
    const open = openingBrace(text, block);
    if (open !== null) return withText(sources, file, `${text.slice(0, open)}\n  ${rule}\n${text.slice(open)}`);
  }
  const text = sources.texts.get(sources.file)!;
  const gap = text.endsWith('\n') || text === '' ? '' : '\n';
  return withText(sources, sources.file, `${text}${gap}\n${block} {\n  ${rule}\n}\n`);
}

/** @returns the offset just behind the block's '{', null without one */
function openingBrace(text: string, block: RuleBlock): number | null {
  const tokens = lex(text, new Reports(''));
  let depth = 0;
  for (const [at, token] of tokens.entries()) {
    if (token.kind === 'word' && token.text === block && depth === 0) {
      const open = tokens.slice(at + 1).find((next) => next.kind !== 'newline');
      if (open?.kind === 'punctuation' && open.text === '{') return open.end;
    }
    if (token.kind === 'punctuation' && token.text === '{') depth++;
    if (token.kind === 'punctuation' && token.text === '}') depth--;
  }
  return null;
}

import { compileGeneration } from '../../classifier/classifier.ts';
import { REASON_NAMES, VERDICT_NAMES, type Verdict } from '../../classifier/verdict.ts';
import type { Rule, RuleSet } from '../../rules/rule.ts';
import { timeText } from './explain-json.ts';
import { frameSummary } from './explain-text.ts';
import { EXIT } from './failure.ts';
import { decidingRule, type Judged } from './judge.ts';
import { type JudgedFrame, type JudgeOptions, judgeCaptures } from './judge-captures.ts';
import { Output, styles } from './output.ts';
import { loadRulesOrFail } from './rules-option.ts';
import { grouped, printable, table } from './table.ts';

interface DiffOptions extends JudgeOptions {
  /** So many frames are listed. */
  readonly limit: number;
  readonly json: boolean;
}

/** What one generation says of a frame, as far as it is compared. */
interface Decision {
  readonly verdict: string;
  readonly class: string | null;
  readonly ordered: boolean;
  readonly reason: string;
  readonly rule: Rule | null;
}

/** Frames that went from one decision to another. */
interface Change {
  readonly before: Decision;
  readonly after: Decision;
  frames: number;
  /** The first of them. */
  readonly first: { readonly file: string; readonly pkt: number };
}

/** `holdfast rules diff --replay`: frames that the rules judge differently. @returns the exit code: 1 where there are any */
export async function rulesDiffReplay(
  oldPath: string,
  newPath: string,
  captures: readonly string[],
  options: DiffOptions,
): Promise<number> {
  const before = await loadRulesOrFail(oldPath);
  const after = await loadRulesOrFail(newPath);
  const { changed, damage } = await replayUnderBoth(before.ruleSet, after.ruleSet, captures, options);
  return changed > 0 ? EXIT.no : damage;
}

/** Lists the frames that the rules judge differently. @returns how many there are, and the exit code for damaged captures */
export async function replayUnderBoth(
  before: RuleSet,
  after: RuleSet,
  captures: readonly string[],
  options: DiffOptions,
): Promise<{ readonly changed: number; readonly damage: number }> {
  const generations = [compileGeneration(1, before), compileGeneration(2, after)];
  const output = new Output();
  const changes = new Changes([before, after]);
  const listed: string[] = [];
  const showsFile = captures.length > 1;
  const damage = await judgeCaptures(captures, generations, options, (frame) => {
    const change = changes.add(frame);
    if (change === null || changes.changed > options.limit) return;
    if (options.json) listed.push(frameJson(frame, change));
    else output.line(frameText(frame, change, showsFile));
  });
  if (options.json) output.line(changes.json(listed));
  else for (const line of changes.report(options.limit)) output.line(line);
  output.flush();
  return { changed: changes.changed, damage };
}

class Changes {
  frames = 0;
  changed = 0;
  readonly #ruleSets: readonly RuleSet[];
  readonly #sums = new Map<string, Change>();

  constructor(ruleSets: readonly RuleSet[]) {
    this.#ruleSets = ruleSets;
  }

  /** @returns null for a frame that both judge alike */
  add({ judged, path, pkt }: JudgedFrame): Change | null {
    this.frames++;
    const [old, now] = [judged[0]!, judged[1]!];
    // Most frames end here.
    if (!differ(old, now, this.#ruleSets)) return null;
    this.changed++;
    const key = `${old.isOutbound} ${old.verdict} ${old.rule} ${old.reason} ${now.verdict} ${now.rule} ${now.reason}`;
    let change = this.#sums.get(key);
    if (change === undefined) {
      const [before, after] = [decisionOf(old, this.#ruleSets[0]!), decisionOf(now, this.#ruleSets[1]!)];
      change = { before, after, frames: 0, first: { file: path, pkt } };
      this.#sums.set(key, change);
    }
    change.frames++;
    return change;
  }

  json(listed: readonly string[]): string {
    const summary = this.#sorted().map(({ before, after, frames, first }) => {
      return { before: decisionJson(before), after: decisionJson(after), frames, first };
    });
    const { frames, changed } = this;
    const head = JSON.stringify({ equal: changed === 0, frames, changed, summary });
    return `${head.slice(0, -1)},"changes":[${listed.join(',')}]}`;
  }

  report(limit: number): string[] {
    const style = styles(process.stdout.isTTY === true);
    const { changed, frames } = this;
    if (changed === 0) return [`no difference in ${grouped(frames)} frames`];
    const lines = changed > limit && limit > 0 ? [`… and ${grouped(changed - limit)} more`] : [];
    const rows = this.#sorted().map((change): (string | number)[] => [
      change.frames,
      `${change.first.pkt}`,
      decisionText(change.before),
      decisionText(change.after),
    ]);
    if (limit > 0) lines.push('');
    lines.push(style('bold', `${grouped(changed)} of ${grouped(frames)} frames are judged differently`));
    return [...lines, ...table(['frames', 'first', 'old', 'new'], rows)];
  }

  /** The largest first. */
  #sorted(): Change[] {
    return [...this.#sums.values()].sort((a, b) => b.frames - a.frames);
  }
}

function differ(old: Judged, now: Judged, [before, after]: readonly RuleSet[]): boolean {
  if (old.verdict !== now.verdict) return true;
  const [rule, other] = [decidingRule(old, before!), decidingRule(now, after!)];
  return (
    (rule?.className ?? null) !== (other?.className ?? null) || (rule?.ordered === true) !== (other?.ordered === true)
  );
}

function decisionOf(judged: Judged, ruleSet: RuleSet): Decision {
  const rule = decidingRule(judged, ruleSet);
  return {
    verdict: VERDICT_NAMES[judged.verdict as Verdict],
    class: rule?.className ?? null,
    ordered: rule?.ordered === true,
    reason: REASON_NAMES[judged.reason]!,
    rule,
  };
}

/** `hold control [12: udp dport 5060 …]`. */
function decisionText({ verdict, class: name, ordered, reason, rule }: Decision): string {
  const words = [verdict, ...(name === null ? [] : [name]), ...(ordered ? ['ordered'] : [])];
  const by = rule === null || reason === 'guard' ? ` ${reason}` : '';
  return `${words.join(' ')}${by}${rule === null ? '' : ` [${rule.place.line}: ${printable(rule.text)}]`}`;
}

function decisionJson({ rule, ...decision }: Decision) {
  const { handle, place, text } = rule ?? { handle: 0, place: null, text: '' };
  return { ...decision, rule: place === null ? null : { handle, file: place.file, line: place.line, text } };
}

function frameText({ path, pkt, record, judged }: JudgedFrame, { before, after }: Change, showsFile: boolean): string {
  const time = record.hasTime ? timeText(record.seconds, record.nanoseconds) : '-';
  const where = showsFile ? `${path}:${pkt}` : `${pkt}`;
  const way = judged[0]!.isOutbound ? 'out' : 'in ';
  return `${where} ${time} ${way} ${frameSummary(judged[0]!, record)}: ${decisionText(before)} -> ${decisionText(after)}`;
}

function frameJson({ path, pkt, record, judged }: JudgedFrame, { before, after }: Change): string {
  return JSON.stringify({
    file: path,
    pkt,
    time: record.hasTime ? timeText(record.seconds, record.nanoseconds) : null,
    direction: judged[0]!.isOutbound ? 'outbound' : 'inbound',
    summary: frameSummary(judged[0]!, record),
    before: decisionJson(before),
    after: decisionJson(after),
  });
}

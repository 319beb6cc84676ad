import { compileGeneration, type Direction } from '../../classifier/classifier.ts';
import { REASON_NAMES, REASON_TEXTS } from '../../classifier/verdict.ts';
import { inputName } from '../../rules/load.ts';
import type { Rule, RuleSet } from '../../rules/rule.ts';
import { frameWireLength } from './captures.ts';
import { EXIT } from './failure.ts';
import { type JudgedFrame, type JudgeOptions, judgeCaptures } from './judge-captures.ts';
import { Output, styles } from './output.ts';
import { loadRulesOrFail } from './rules-option.ts';
import { grouped, printable, table } from './table.ts';

interface AgainstOptions extends JudgeOptions {
  readonly json: boolean;
}

/** The first frame that a rule decided. */
interface First {
  readonly file: string;
  readonly pkt: number;
}

/** What fell to a rule, or to none. */
interface Hits {
  frames: number;
  bytes: number;
  first: First | null;
}

/** `holdfast check --against`: what each rule decides in captures. @returns the exit code */
export async function checkAgainst(
  path: string,
  captures: readonly string[],
  options: AgainstOptions,
): Promise<number> {
  const { file, ruleSet } = await loadRulesOrFail(path, EXIT.no);
  const counts = new RuleHits(ruleSet);
  const generation = compileGeneration(1, ruleSet);
  const exitCode = await judgeCaptures(captures, [generation], options, (frame) => counts.add(frame));
  const output = new Output();
  if (options.json) output.line(JSON.stringify(counts.result(file)));
  else output.line(counts.report(file, captures));
  output.flush();
  return exitCode;
}

class RuleHits {
  readonly #frames: Record<Direction, number> = { outbound: 0, inbound: 0 };
  #bytes = 0;
  /** There is an inbound block. */
  readonly #asksInbound: boolean;
  readonly #rules: Record<Direction, readonly Rule[]>;
  /** By rule index, and behind them what no rule decided. */
  readonly #hits: Record<Direction, Hits[]>;
  readonly #reasons = new Float64Array(REASON_NAMES.length);

  constructor({ outbound, inbound }: RuleSet) {
    this.#asksInbound = inbound !== null;
    this.#rules = { outbound, inbound: inbound ?? [] };
    const none = (): Hits => ({ frames: 0, bytes: 0, first: null });
    this.#hits = {
      outbound: [...outbound.map(none), none()],
      inbound: [...(inbound ?? []).map(none), none()],
    };
  }

  add({ path, pkt, record, judged: [judged] }: JudgedFrame): void {
    const { isOutbound, rule, reason } = judged!;
    const direction = isOutbound ? 'outbound' : 'inbound';
    const bytes = frameWireLength(record);
    this.#frames[direction]++;
    this.#bytes += bytes;
    this.#reasons[reason]!++;
    const hits = this.#hits[direction];
    const hit = hits[rule < 0 ? hits.length - 1 : rule]!;
    hit.frames++;
    hit.bytes += bytes;
    hit.first ??= { file: inputName(path), pkt };
  }

  result(file: string) {
    const { outbound, inbound } = this.#frames;
    const [toOutboundDefault, toInboundDefault] = [this.#defaultFrames('outbound'), this.#defaultFrames('inbound')];
    return {
      file,
      frames: outbound + inbound,
      outbound,
      inbound,
      bytes: this.#bytes,
      default: toOutboundDefault + toInboundDefault,
      noRule: this.#unruled('outbound').frames + (this.#asksInbound ? this.#unruled('inbound').frames : 0),
      neverHit: this.#rows().filter(({ hits }) => hits.frames === 0).length,
      rules: this.#rows().map(({ rule, direction, hits }) => ({
        direction,
        handle: rule.handle,
        file: rule.place.file,
        line: rule.place.line,
        text: rule.text,
        class: rule.className,
        verdict: rule.verdict,
        ...hits,
      })),
      reasons: Object.fromEntries(this.#usedReasons().map(([name, frames]) => [name, frames])),
    };
  }

  report(file: string, captures: readonly string[]): string {
    const style = styles(process.stdout.isTTY === true);
    const { frames, default: toDefault, noRule, neverHit, rules } = this.result(file);
    const hasInbound = this.#asksInbound;
    const shown = (first: First | null) => {
      if (first === null) return '-';
      return captures.length > 1 ? `${first.file}:${first.pkt}` : `${first.pkt}`;
    };
    const rows = rules.map((rule): (string | number)[] => [
      ...(hasInbound ? [rule.direction === 'outbound' ? 'out' : 'in'] : []),
      rule.handle,
      rule.file === file ? `${rule.line}` : `${rule.file}:${rule.line}`,
      rule.frames,
      rule.bytes,
      rule.frames === 0 ? 'never' : shown(rule.first),
      printable(rule.text),
    ]);
    for (const direction of ['outbound', 'inbound'] as const) {
      const left = this.#unruled(direction);
      if (left.frames === 0) continue;
      const way = hasInbound ? [direction === 'outbound' ? 'out' : 'in'] : [];
      rows.push([
        ...way,
        '-',
        '-',
        left.frames,
        left.bytes,
        shown(left.first),
        direction === 'inbound' && !hasInbound ? '(inbound, not asked about)' : '(no rule: see reasons)',
      ]);
    }
    const header = [...(hasInbound ? ['way'] : []), 'rule', 'line', 'frames', 'bytes', 'first', 'text'];
    return [
      style('bold', `${grouped(frames)} frames against ${file}`),
      `  ${grouped(toDefault)} fell to default, ${grouped(noRule)} to no rule; ${neverHit} of ${rules.length} rules never decided`,
      '',
      style('bold', 'rules'),
      ...table(header, rows).map((line, at) => (rules[at - 1]?.frames === 0 ? style('yellow', line) : line)),
      '',
      style('bold', 'reasons'),
      ...table(['reason', 'frames', ''], this.#usedReasons()),
    ].join('\n');
  }

  #rows(): { rule: Rule; direction: Direction; hits: Hits }[] {
    return (['outbound', 'inbound'] as const).flatMap((direction) =>
      this.#rules[direction].map((rule, index) => ({ rule, direction, hits: this.#hits[direction][index]! })),
    );
  }

  #unruled(direction: Direction): Hits {
    return this.#hits[direction].at(-1)!;
  }

  #defaultFrames(direction: Direction): number {
    const last = this.#rules[direction].length - 1;
    return this.#rules[direction][last]?.isDefault === true ? this.#hits[direction][last]!.frames : 0;
  }

  #usedReasons(): [name: string, frames: number, text: string][] {
    return REASON_NAMES.flatMap((name, code): [string, number, string][] => {
      const frames = this.#reasons[code]!;
      return frames === 0 ? [] : [[name, frames, REASON_TEXTS[code]!]];
    });
  }
}

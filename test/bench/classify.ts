import { Classifier, compileGeneration } from '../../classifier/classifier.ts';
import { compileMatcher } from '../../classifier/compile.ts';
import { LinearMatcher } from '../../classifier/linear.ts';
import { LiveState } from '../../classifier/live-state.ts';
import { parse } from '../../classifier/parse.ts';
import { Parsed } from '../../classifier/parsed.ts';
import { SHIPPED_SETS, shippedRules } from '../../rules/load.ts';
import type { RuleSet } from '../../rules/rule.ts';
import { FrameMaker } from '../support/frame-maker.ts';
import { LARGE_SHAPES, largeRuleSet } from '../support/large-rules.ts';
import { Random } from '../support/random.ts';
import type { Reporter } from './figures.ts';
import { traceFrames } from './frames.ts';
import { FRAMES, frameFor, measure, smallRuleSet } from './matcher.ts';
import { interleaved } from './rounds.ts';

const ROUNDS = 9;
const PASSES = 100;

/** Parse and classify with each rule set that ships, beside the rules tried one by one. */
export async function classifyBench(report: Reporter): Promise<void> {
  const frames = await traceFrames();
  for (const name of SHIPPED_SETS) {
    const { ruleSet } = await shippedRules(name);
    const compiled = compileGeneration(1, ruleSet);
    const outbound = { ...compiled.outbound, matcher: new LinearMatcher(ruleSet.outbound, compiled.live) };
    const tasks = [compiled, { ...compiled, outbound }].map((generation) => {
      const classifier = new Classifier(generation, true);
      const parsed = new Parsed();
      let nowNs = 0;
      return {
        perRun: PASSES * frames.count,
        run() {
          for (let pass = 0; pass < PASSES; pass++) {
            // Fragments are forgotten before the same ones come again.
            nowNs += 60e9;
            for (let i = 0; i < frames.count; i++) {
              parse(parsed, frames.slab.view, frames.offset[i]!, frames.length[i]!, frames.wireLength[i]!);
              classifier.classify(parsed, frames.slab.view, nowNs);
            }
          }
        },
      };
    });
    const [ns, linearNs] = interleaved(ROUNDS, tasks);
    report.figure({
      metric: `parse and classify, rules '${name}', checksums verified`,
      value: ns!,
      unit: 'ns/frame',
      baseline: { name: 'its rules tried one by one', value: linearNs! },
    });
  }
}

/** The matcher alone, by number of rules: no two frames in a row are of one flow. */
export async function matcherBench(report: Reporter): Promise<void> {
  matcherFigures(report, '10 rules', smallRuleSet(10), false);
  for (const count of [1000, 10_000]) {
    for (const shape of LARGE_SHAPES) {
      matcherFigures(
        report,
        `${count.toLocaleString('en')} rules '${shape}'`,
        largeRuleSet(shape, count, 5),
        count === 10_000,
      );
    }
  }
}

function matcherFigures(report: Reporter, name: string, ruleSet: RuleSet, isJudged: boolean): void {
  const { slab } = new FrameMaker(ruleSet);
  const random = new Random(99);
  const matcher = compileMatcher(ruleSet.outbound, new LiveState(ruleSet.sets));
  const rules = ruleSet.outbound;
  const kinds = { 'any rule': () => random.pick(rules), 'the first': () => rules[0]!, 'the last': () => rules.at(-1)! };
  for (const [which, rule] of Object.entries(kinds)) {
    const frames = Array.from({ length: FRAMES }, () => frameFor(rule(), random));
    report.figure({
      metric: `${name}, ${which} matches`,
      value: measure(matcher, frames, slab),
      unit: 'ns/frame',
      ...(isJudged ? { target: { of: 'value', atMost: 100 } as const } : {}),
    });
  }
}

import { Classifier, compileGeneration, type Generation } from '../../classifier/classifier.ts';
import { parse } from '../../classifier/parse.ts';
import { Parsed } from '../../classifier/parsed.ts';
import { REASON_NAMES, type ReasonName, VERDICT_NAMES } from '../../classifier/verdict.ts';
import { readCapture } from '../../pcaps/cursor.ts';
import { LINKTYPE_ETHERNET } from '../../pcaps/record.ts';
import { parseRules } from '../../rules/parse.ts';
import type { VerdictName } from '../../rules/rule.ts';

export interface Judged {
  /** In the capture, from 1. */
  readonly packet: number;
  readonly verdict: VerdictName;
  readonly reason: ReasonName;
  readonly className: string | null;
}

/** @throws with the first message if the rules are wrong */
export function generationOf(text: string): Generation {
  const { ruleSet, errors } = parseRules(text, 'test.rules');
  if (ruleSet === null) throw new Error(errors[0]!.message);
  return compileGeneration(1, ruleSet);
}

/** @returns what becomes of each Ethernet frame of a capture under each of the rules, if the VM had sent all of them */
export async function judgeCapture(path: string, generations: readonly Generation[]): Promise<Judged[][]> {
  const p = new Parsed();
  const classifiers = generations.map((generation) => new Classifier(generation, false));
  const judged: Judged[][] = generations.map(() => []);
  let packet = 0;
  let start: number | null = null;
  await readCapture(path, (record) => {
    packet += 1;
    if (record.linkType !== LINKTYPE_ETHERNET) return;
    start ??= record.seconds;
    const nowNs = (record.seconds - start) * 1e9 + record.nanoseconds;
    parse(p, record.view, record.offset, record.frameLength, record.wireLength - record.fcsLength);
    classifiers.forEach((classifier, index) => {
      classifier.classify(p, record.view, nowNs);
      const { verdict, reason, rule } = classifier;
      const className = generations[index]!.outbound.rules[rule]?.className ?? null;
      judged[index]!.push({
        packet,
        verdict: VERDICT_NAMES[verdict],
        reason: REASON_NAMES[reason]!,
        className,
      });
    });
  });
  return judged;
}

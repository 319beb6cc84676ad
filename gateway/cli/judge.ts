import { Classifier, type Direction, type Generation } from '../../classifier/classifier.ts';
import { parse } from '../../classifier/parse.ts';
import { Parsed } from '../../classifier/parsed.ts';
import { REASON, VERDICT } from '../../classifier/verdict.ts';
import { type CaptureRecord, LINKTYPE_ETHERNET } from '../../pcaps/record.ts';
import type { Rule, RuleSet } from '../../rules/rule.ts';
import type { VmAddresses } from '../vm-addresses.ts';
import { frameWireLength } from './captures.ts';

/** One frame's judgement, filled again for each frame. */
export class Judged {
  readonly parsed = new Parsed();
  isEthernet = true;
  isOutbound = true;
  verdict = 0;
  reason = 0;
  /** Index of the deciding rule in the direction's block, or -1. */
  rule = -1;
  /** Time since the first record that has one; it never steps back, as in a replay. */
  nowNs = 0;
  originSeconds = Number.NaN;
  originNanoseconds = 0;
}

export type Classifiers = Readonly<Record<Direction, Classifier>>;

/** For one capture: verdicts do not depend on what was read before it, so fragments, sets and time begin anew. */
export function beginCapture(generation: Generation, verifyChecksums: boolean): Classifiers {
  generation.live.begin(0);
  return {
    outbound: new Classifier(generation, verifyChecksums, 'outbound'),
    inbound: new Classifier(generation, verifyChecksums, 'inbound'),
  };
}

/** Judges the frame in `record`. */
export function judge(judged: Judged, record: CaptureRecord, classifiers: Classifiers, vm: VmAddresses): void {
  if (record.hasTime) moveTime(judged, record);
  judged.isEthernet = record.linkType === LINKTYPE_ETHERNET;
  judged.rule = -1;
  if (!judged.isEthernet) {
    judged.isOutbound = true;
    judged.verdict = VERDICT.drop;
    judged.reason = REASON.notEthernet;
    return;
  }
  parse(judged.parsed, record.view, record.offset, record.frameLength, frameWireLength(record));
  judged.isOutbound = vm.isOutbound(judged.parsed);
  const classifier = judged.isOutbound ? classifiers.outbound : classifiers.inbound;
  classifier.classify(judged.parsed, record.view, judged.nowNs);
  judged.verdict = classifier.verdict;
  judged.reason = classifier.reason;
  judged.rule = classifier.rule;
}

function moveTime(judged: Judged, { seconds, nanoseconds }: CaptureRecord): void {
  if (Number.isNaN(judged.originSeconds)) {
    judged.originSeconds = seconds;
    judged.originNanoseconds = nanoseconds;
  }
  const ns = (seconds - judged.originSeconds) * 1e9 + (nanoseconds - judged.originNanoseconds);
  if (ns > judged.nowNs) judged.nowNs = ns;
}

/** @returns the rule that decided, or null */
export function decidingRule({ isOutbound, rule }: Judged, { outbound, inbound }: RuleSet): Rule | null {
  return rule < 0 ? null : (isOutbound ? outbound : inbound!)[rule]!;
}

import type { Generation } from '../../classifier/classifier.ts';
import { type Derivation, derive } from '../../classifier/explain.ts';
import { REASON_NAMES, VERDICT_NAMES, type Verdict } from '../../classifier/verdict.ts';
import type { CaptureRecord } from '../../pcaps/record.ts';
import type { RuleSet } from '../../rules/rule.ts';
import type { VmAddresses } from '../vm-addresses.ts';
import { advance, checkNames, openCapture, reportDamage } from './captures.ts';
import { ruleShown } from './explain-json.ts';
import { ExplainLines } from './explain-lines.ts';
import { derivationText, frameLine } from './explain-text.ts';
import { EXIT, Failure } from './failure.ts';
import { beginCapture, type Classifiers, decidingRule, Judged, judge } from './judge.ts';
import { Output } from './output.ts';
import { Progress } from './progress.ts';

export interface ExplainOptions {
  readonly generation: Generation;
  readonly vm: VmAddresses;
  readonly verifyChecksums: boolean;
  readonly json: boolean;
  /** Show the whole derivation of this frame only; counts from 1 through all captures. */
  readonly frame: number | null;
}

/** `holdfast explain`: the verdict of every frame, and why. @returns the exit code */
export async function explain(paths: readonly string[], options: ExplainOptions): Promise<number> {
  const output = new Output();
  const progress = new Progress();
  checkNames(paths);
  let exitCode: number = EXIT.ok;
  let ordinal = 0;
  for (const path of paths) {
    const capture = await openCapture(path);
    const classifiers = beginCapture(options.generation, options.verifyChecksums);
    const judged = new Judged();
    const line = lineWriter(output, options, paths.length > 1 ? path : null);
    const { record } = capture.cursor;
    for (let pkt = 1; ; pkt++) {
      const moved = advance(capture);
      if (!(typeof moved === 'boolean' ? moved : await moved)) break;
      ordinal++;
      judge(judged, record, classifiers, options.vm);
      if (options.frame === null) {
        line(judged, record, pkt);
      } else if (options.frame === ordinal) {
        const derivation = derivationOf(judged, record, classifiers);
        const { ruleSet } = options.generation;
        if (options.json) output.line(derivationJson(judged, pkt, derivation, ruleSet));
        else output.write(derivationText(judged, record, pkt, paths.length > 1 ? path : null, derivation, ruleSet));
        output.flush();
        await capture.cursor.close();
        return EXIT.ok;
      }
      if ((pkt & 0xfff) === 0) progress.show(capture.cursor.bytesRead, capture.cursor.totalBytes, pkt);
    }
    progress.end();
    output.flush();
    exitCode = Math.max(exitCode, reportDamage(capture));
    await capture.cursor.close();
  }
  // A damaged capture has been reported: what was asked for may lie behind the damage.
  if (options.frame !== null && exitCode === EXIT.ok) {
    throw new Failure(`there is no frame ${options.frame}: the captures hold ${ordinal}`);
  }
  return exitCode;
}

function derivationOf(judged: Judged, record: CaptureRecord, classifiers: Classifiers) {
  const classifier = judged.isOutbound ? classifiers.outbound : classifiers.inbound;
  if (!judged.isEthernet || classifier.block === null) return null;
  return derive(classifier, judged.parsed, record.view);
}

/** @returns one line of JSON: the rule that decided, a later fragment's of its first one; and every rule that was tried */
function derivationJson(judged: Judged, pkt: number, derivation: Derivation | null, ruleSet: RuleSet): string {
  const trials = derivation?.trials ?? [];
  const rule = decidingRule(judged, ruleSet);
  return JSON.stringify({
    pkt,
    direction: judged.isOutbound ? 'outbound' : 'inbound',
    verdict: VERDICT_NAMES[judged.verdict as Verdict],
    reason: REASON_NAMES[judged.reason],
    rule: rule === null ? null : ruleShown(rule),
    tried: trials.map(({ rule, matches, answer }) => ({ ...ruleShown(rule), answer, matches })),
  });
}

type LineWriter = (judged: Judged, record: CaptureRecord, pkt: number) => void;

function lineWriter(output: Output, options: ExplainOptions, file: string | null): LineWriter {
  const { ruleSet } = options.generation;
  if (!options.json) {
    return (judged, record, pkt) => output.write(frameLine(judged, record, pkt, file, ruleSet));
  }
  const lines = new ExplainLines(output, ruleSet, file);
  return (judged, record, pkt) => lines.write(judged, record, pkt);
}

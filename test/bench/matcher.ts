/** Nanoseconds per classified frame; run with `npx tsx test/bench/matcher.ts`. Prints a table. */
import { fileURLToPath } from 'node:url';
import { compileMatcher } from '../../classifier/compile.ts';
import { LinearMatcher } from '../../classifier/linear.ts';
import { LiveState } from '../../classifier/live-state.ts';
import type { Matcher } from '../../classifier/matcher.ts';
import { L3, L4, Parsed } from '../../classifier/parsed.ts';
import type { FieldMatch, Match, Rule, RuleSet } from '../../rules/rule.ts';
import { match, ruleSetOf } from '../support/arbitrary-rules.ts';
import { PARSED_FIELDS, setField } from '../support/frame-fields.ts';
import { FrameMaker } from '../support/frame-maker.ts';
import { LARGE_SHAPES, largeRuleSet } from '../support/large-rules.ts';
import { Random } from '../support/random.ts';

/** So many that no branch predictor learns their order. */
export const FRAMES = 1 << 14;
/** The gateway has one `Parsed`, always in the CPU's cache; here, those of a window are brought there before it is timed. */
const WINDOW = 32;
const ROUNDS = 9;

/** A frame on which this rule is true. */
export function frameFor(rule: Rule, random: Random): Parsed {
  const p = new Parsed();
  const fields = rule.matches.filter((one): one is FieldMatch => one.kind === 'field');
  const isIp6 = fields.some((one) => one.field.startsWith('ip6'));
  const isTcp = fields.some((one) => one.field.startsWith('tcp'));
  p.l3 = isIp6 ? L3.ip6 : L3.ip4;
  p.l4 = isTcp ? L4.tcp : L4.udp;
  for (const field of PARSED_FIELDS) setField(p, field, random.bits(field.endsWith('port') ? 16 : 8));
  p.src0 = Number(BigInt.asIntN(32, random.bits(32)));
  p.dst0 = Number(BigInt.asIntN(32, random.bits(32)));
  p.etherType = isIp6 ? 0x86dd : 0x0800;
  p.proto = isTcp ? 6 : 17;
  for (const one of fields) setField(p, one.field, random.pick(one.intervals).low);
  return p;
}

/** @returns ns per frame: for each window the median of several rounds, which no interruption spoils; their mean */
export function measure(matcher: Matcher, frames: readonly Parsed[], slab: DataView): number {
  const times: number[][] = Array.from({ length: frames.length / WINDOW }, () => []);
  let sum = 0;
  for (let round = 0; round < ROUNDS; round++) {
    times.forEach((ofWindow, window) => {
      const from = window * WINDOW;
      for (let i = from; i < from + WINDOW; i++) sum += touch(frames[i]!);
      const start = performance.now();
      for (let i = from; i < from + WINDOW; i++) sum += matcher.classify(frames[i]!, slab);
      ofWindow.push(performance.now() - start);
    });
  }
  if (Number.isNaN(sum)) throw new Error('a matcher answered no number');
  const medianMs = times.map((ofWindow) => ofWindow.sort((a, b) => a - b)[ROUNDS >> 1]!);
  return (medianMs.reduce((all, ms) => all + ms, 0) * 1e6) / frames.length;
}

/** Reads a frame's fields at either end and in the middle of the object. */
function touch(p: Parsed): number {
  return p.offset + p.vlanTci[0]! + p.src0 + p.dst3 + p.fragId + p.dstPort + p.icmpCode + p.payloadCaptured;
}

/** Rules as a small telephony set has them. */
export function smallRuleSet(count: number): RuleSet {
  const port = (field: 'udp.dport' | 'tcp.dport', at: number): Match => match(field, [at, at]);
  const fixed: Match[][] = [
    [match('ether.type', [0x0806, 0x0806])],
    [match('tcp.flags', [1, 0xff])],
    [port('udp.dport', 5060)],
    [port('tcp.dport', 5060)],
    [match('icmp.type', [0, 255])],
    [match('udp.dport', [16384, 32767]), match('udp.sport', [16384, 32767])],
    [match('ip.protocol', [89, 89], [103, 103], [112, 112])],
  ];
  while (fixed.length < count - 1)
    fixed.push([port(fixed.length % 2 === 0 ? 'udp.dport' : 'tcp.dport', fixed.length * 97)]);
  return ruleSetOf([...fixed, []]);
}

function run(name: string, ruleSet: RuleSet, withLinear: boolean): void {
  const slab = new FrameMaker(ruleSet).slab;
  const live = new LiveState(ruleSet.sets);
  const random = new Random(99);
  const start = performance.now();
  const matcher = compileMatcher(ruleSet.outbound, live);
  const buildMs = performance.now() - start;
  const rules = ruleSet.outbound;
  const any = Array.from({ length: FRAMES }, () => frameFor(random.pick(rules), random));
  const last = Array.from({ length: FRAMES }, () => frameFor(rules.at(-1)!, random));
  const first = Array.from({ length: FRAMES }, () => frameFor(rules[0]!, random));
  const none = Array.from({ length: FRAMES }, () => frameFor(ruleSetOf([[]]).outbound[0]!, random));
  const linear = withLinear
    ? measure(new LinearMatcher(ruleSet.outbound, live), any.slice(0, 8 * WINDOW), slab).toFixed(0)
    : '-';
  const cells = [any, first, last, none].map((frames) => measure(matcher, frames, slab).toFixed(1).padStart(7));
  const size = `${(matcher.sizeBytes / 1024).toFixed(0)} KiB`;
  console.log(
    `${name.padEnd(14)} ${cells.join(' ')} ${linear.padStart(7)} ${buildMs.toFixed(0).padStart(6)} ms ${size.padStart(9)}`,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log('ns per frame    any rule   first    last    none  linear     build      size');
  for (const count of [10, 50]) run(`small ${count}`, smallRuleSet(count), true);
  for (const shape of LARGE_SHAPES) {
    for (const count of [1000, 10_000]) run(`${shape} ${count}`, largeRuleSet(shape, count, 5), count === 1000);
  }
}

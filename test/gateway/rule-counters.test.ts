import { describe, expect, test } from 'vitest';
import { RuleCounters } from '../../gateway/rule-counters.ts';
import type { RuleSet } from '../../rules/rule.ts';
import { generationOfText } from '../support/replay-frames.ts';

function rules(outbound: string, inbound?: string): RuleSet {
  const block = inbound === undefined ? '' : `inbound {\n${inbound}\n}\n`;
  return generationOfText(`outbound {\n${outbound}\n}\n${block}`).ruleSet;
}

const shown = (counters: RuleCounters) =>
  counters.list().map(({ direction, text, frames, bytes }) => `${direction} ${text}: ${frames}, ${bytes} B`);

describe('rule counters', () => {
  test('count both blocks, outbound rules first, and give each rule its handle', () => {
    const counters = new RuleCounters(rules('udp dport 1 pass\ndefault hold', 'udp dport 1 drop\ndefault pass'));
    expect(counters.count(1, 60, Float64Array.of(0, 5), 1)).toBe(2);
    expect(counters.countInbound(0, 70, Float64Array.of(0, 6), 1)).toBe(3);
    expect(counters.countInbound(0, 80, Float64Array.of(0, 7), 1)).toBe(3);
    expect(counters.list().map(({ handle, line, lastHitNs }) => [handle, line, lastHitNs])).toEqual([
      [1, 2, null],
      [2, 3, 5],
      [3, 6, 7],
      [4, 7, null],
    ]);
    expect(shown(counters)).toEqual([
      'outbound udp dport 1 pass: 0, 0 B',
      'outbound default hold: 1, 60 B',
      'inbound udp dport 1 drop: 2, 150 B',
      'inbound default pass: 0, 0 B',
    ]);
  });

  test('live on for rules of the same text and direction, wherever they stand', () => {
    const counters = new RuleCounters(rules('udp dport 1 pass\nudp dport 2 pass', 'udp dport 1 pass\ndefault drop'));
    counters.count(0, 1, Float64Array.of(0, 1), 1);
    counters.count(1, 2, Float64Array.of(0, 2), 1);
    counters.countInbound(0, 4, Float64Array.of(0, 3), 1);
    counters.countInbound(1, 8, Float64Array.of(0, 4), 1);
    counters.swap(rules('udp dport 2 pass\ntcp dport 9 hold\nudp dport 1 pass', 'udp dport 2 drop\ndefault drop'));
    expect(shown(counters)).toEqual([
      'outbound udp dport 2 pass: 1, 2 B',
      'outbound tcp dport 9 hold: 0, 0 B',
      'outbound udp dport 1 pass: 1, 1 B',
      'inbound udp dport 2 drop: 0, 0 B',
      'inbound default drop: 1, 8 B',
    ]);
    expect(counters.countInbound(1, 8, Float64Array.of(0, 9), 1)).toBe(5);
    expect(counters.list().at(-1)).toMatchObject({ frames: 2, lastHitNs: 9 });
    counters.swap(rules('udp dport 1 pass'));
    expect(shown(counters)).toEqual(['outbound udp dport 1 pass: 1, 1 B']);
  });

  test('by class are sums that never fall, whatever becomes of rules and classes', () => {
    const classes = (verdict: string) => `class data pass\nclass control ${verdict}\n`;
    const set = (text: string) => generationOfText(text).ruleSet;
    const first = set(
      `${classes('hold')}outbound {\nudp dport 1 class data\nudp dport 2 class data\ndefault class control\n}`,
    );
    const counters = new RuleCounters(first);
    const hit = (index: number, bytes: number) => counters.count(index, bytes, Float64Array.of(0), 0);
    const shownClasses = () =>
      counters.byClass().map((one) => `${one.direction} ${one.class} ${one.verdict}: ${one.frames}, ${one.bytes} B`);
    hit(0, 10);
    hit(1, 20);
    hit(2, 40);
    expect(shownClasses()).toEqual(['outbound data pass: 2, 30 B', 'outbound control hold: 1, 40 B']);
    // A rule goes, and a class changes its verdict: what it decided before was decided so.
    counters.swap(set(`${classes('drop')}outbound {\nudp dport 1 class data\ndefault class control\n}`));
    expect(shownClasses()).toEqual([
      'outbound data pass: 2, 30 B',
      'outbound control drop: 0, 0 B',
      'outbound control hold: 1, 40 B',
    ]);
    hit(0, 1);
    hit(1, 2);
    expect(shownClasses()).toEqual([
      'outbound data pass: 3, 31 B',
      'outbound control drop: 1, 2 B',
      'outbound control hold: 1, 40 B',
    ]);
    counters.swap(set('outbound {\nudp dport 9 drop\n}\ninbound {\nudp dport 1 drop\n}'));
    counters.countInbound(0, 5, Float64Array.of(0), 0);
    expect(shownClasses()).toEqual([
      'outbound null drop: 0, 0 B',
      'inbound null drop: 1, 5 B',
      'outbound data pass: 3, 31 B',
      'outbound control drop: 1, 2 B',
      'outbound control hold: 1, 40 B',
    ]);
    counters.swap(first);
    hit(0, 9);
    expect(shownClasses()).toContain('outbound data pass: 4, 40 B');
  });
});

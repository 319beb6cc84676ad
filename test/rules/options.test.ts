import { describe, expect, it } from 'vitest';
import { fileOf, rulesOf, shownErrors } from './rules.ts';

describe('guard and ordered', () => {
  it.each([
    ['tcp dport 5 class data', false, false],
    ['tcp dport 5 class data guard', true, false],
    ['udp dport 5 class data ordered', false, true],
    ['tcp dport 5 pass guard ordered comment "x"', true, true],
    ['tcp dport 5 class data ordered guard', true, true],
    ['default class data guard', true, false],
  ])('%s', (text, guard, ordered) => {
    expect(rulesOf(text)[0]).toMatchObject({ text, guard, ordered });
  });

  it.each([
    'th dport 5',
    'ip protocol tcp',
    'meta l4proto { tcp, udp }',
    'meta l4proto != udp',
    'ip saddr 192.0.2.1',
    'ip protocol & 1 == 0',
  ])('guard may stand on %s, which TCP can match', (match) => {
    expect(rulesOf(`${match} pass guard`)[0]!.guard).toBe(true);
  });

  it.each([
    ['udp dport 5', 'udp dport'],
    ['icmp type 8', 'icmp type'],
    ['arp operation 1', 'arp operation'],
    ['ip protocol != tcp', 'ip protocol'],
    ['meta l4proto { udp, sctp }', 'meta l4proto'],
    ['ip saddr . udp dport { 192.0.2.1 . 5 }', 'udp dport'],
  ])('guard may not stand on %s, which no TCP matches', (match, field) => {
    const lines = shownErrors(fileOf(`${match} pass guard`));
    expect(lines[0]).toBe(`r:4:${match.length + 7}: error: 'guard' is for TCP, which '${field}' rules out here`);
    expect(lines.at(-1)).toBe("  leave 'guard' out");
  });
});

describe('declared', () => {
  it('stands alone as a match', () => {
    expect(rulesOf('declared class data')[0]!.matches).toEqual([{ kind: 'declared' }]);
  });

  it('may have other matches beside it', () => {
    expect(rulesOf('udp dport 5 declared ip ttl 4 class data')[0]!.matches.map(({ kind }) => kind)).toEqual([
      'field',
      'declared',
      'field',
    ]);
  });
});

describe('an error says where, what and what else', () => {
  it.each([
    [
      'tcp dport 5 guard class data',
      [
        "r:4:11: error: the class or verdict stands before 'guard'",
        "expected 'class NAME', pass, hold or drop",
        "a rule is matches, then 'class NAME' or a verdict",
      ],
    ],
    ['tcp dport 5 pass guard guard', ["r:4:24: error: 'guard' stands here twice"]],
    [
      'tcp dport 5 pass gaurd',
      [
        "r:4:18: error: unexpected 'gaurd'",
        "expected 'guard', 'ordered', a comment or the end of the line",
        "did you mean 'guard'?",
      ],
    ],
    [
      'tcp dport 5 pass comment "x" ordered',
      ["r:4:30: error: unexpected 'ordered'", 'expected the end of the line', "'ordered' stands before the comment"],
    ],
    [
      'declared == data pass',
      [
        "r:4:10: error: unexpected '=='",
        'expected another match, a class or a verdict',
        "'declared' takes no value: it is the class of its rule that counts",
      ],
    ],
    [
      'declard pass',
      ["r:4:1: error: unknown word 'declard'", 'expected a match, a class or a verdict', "did you mean 'declared'?"],
    ],
  ])('%s', (rule, expected) => {
    const lines = shownErrors(fileOf(rule));
    expect(lines.filter((_, index) => index !== 1 && index !== 2).map((text) => text.trimStart())).toEqual(expected);
  });
});

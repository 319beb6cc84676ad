import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RECOGNISERS } from '../../classifier/apps/index.ts';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { fieldValue } from '../../classifier/frame-value.ts';
import { LinearMatcher } from '../../classifier/linear.ts';
import { LiveState } from '../../classifier/live-state.ts';
import { frame } from '../../pcaps/build.ts';
import { type BrokenClaim, brokenClaims } from '../../rules/broken-claims.ts';
import { readClaims } from '../../rules/claims.ts';
import { fieldKey } from '../../rules/coordinates.ts';
import { Reports } from '../../rules/errors.ts';
import { parseRules } from '../../rules/parse.ts';
import { FIELDS, type FieldName, type Match, type Rule, type RuleSet } from '../../rules/rule.ts';
import { SetTable } from '../../rules/set-table.ts';
import { Work } from '../../rules/work.ts';
import { arbitraryRuleSet, ruleOf, ruleSetOf } from '../support/arbitrary-rules.ts';
import { bytesOf } from '../support/imagined-frame.ts';
import { FRAME_OFFSET, parsedOf, place } from '../support/parse-frame.ts';
import { runs, SEED } from '../support/runs.ts';
import { fileOf } from './rules.ts';

/** Warnings about claims in these lines, each as `line: message`. */
function claimsOf(...lines: readonly string[]): string[] {
  const { errors, warnings } = parseRules(fileOf(...lines), 'r');
  expect(errors).toEqual([]);
  return warnings
    .filter(({ code }) => code.startsWith('claim'))
    .map(({ line, message }) => `${line}: ${message.replace('this rule passes frames that ', '')}`);
}

function errorsOf(...lines: readonly string[]) {
  return parseRules(fileOf(...lines), 'r').errors.map(({ line, column, length, code, message }) => ({
    at: `${line}:${column}+${length}`,
    code,
    message,
  }));
}

describe('a rule that passes what a claim says is held', () => {
  it.each([
    ['tcp flags syn', 'tcp dport 22 pass', 'tcp flags 0x2, tcp dport 22'],
    ['tcp flags syn', 'default pass', 'tcp flags 0x2'],
    ['ip saddr 10.0.0.0/8', 'udp dport 53 pass', 'ip saddr 10.0.0.0, udp dport 53'],
    ['udp dport 5', 'ip6 saddr fe80::/10 pass', 'udp dport 5, ip6 saddr fe80::'],
    ['udp dport != 53', 'udp dport 50-60 pass', 'udp dport 50'],
    ['ether saddr 02:00:00:00:00:09', 'ether type 0x88cc pass', 'ether saddr 02:00:00:00:00:09, ether type 0x88cc'],
    ['vlan id 5', 'ip protocol ospf pass', 'vlan id 5, ip protocol 89'],
    ['ip protocol gre', 'ip ttl 7 pass', 'ip protocol 47, ip ttl 7'],
    ['frame length 65553', 'vlan id 7 pass', 'frame length 65553, vlan id 7'],
    ['arp operation reply', 'vlan pcp 6 pass', 'arp operation 2, vlan pcp 6'],
    ['udp length > 100', 'frame length < 200 pass', 'udp length 101, frame length 135'],
    ['meta length 50', 'udp length >= 20 pass', 'meta length 50, udp length 20'],
    ['ip6 length 30', 'tcp dport 1 pass', 'ip6 length 30, tcp dport 1'],
    ['ip frag-off & 0x4000 != 0', 'ip ttl < 5 pass', 'ip frag-off 0x4000, ip ttl 0'],
    ['ip dscp 46', 'icmp type echo-reply pass', 'ip dscp 46, icmp type 0'],
    ['icmpv6 code 3', 'ip6 hoplimit 255 pass', 'icmpv6 code 3, ip6 hoplimit 255'],
    ['igmp type 0x16', 'ip daddr 224.0.0.0/4 pass', 'igmp type 22, ip daddr 224.0.0.0'],
    ['sctp chunk init', 'sctp dport 9 pass', 'sctp chunk 1, sctp dport 9'],
    ['udplite sport 4', 'th dport 9 pass', 'udplite sport 4, th dport 9'],
    ['dccp sport 4', 'meta l4proto dccp pass', 'dccp sport 4, meta l4proto 33'],
    ['ip saddr . udp dport { 10.0.0.1 . 5, 10.0.0.2 . 6 }', 'udp dport 6 pass', 'ip saddr 10.0.0.2, udp dport 6'],
    ['udp dport 6', 'ip saddr . udp dport { 10.0.0.1 . 5, 10.0.0.2 . 6 } pass', 'udp dport 6, ip saddr 10.0.0.2'],
    ['ip daddr & 255.0.255.0 == 10.0.3.0', 'ip saddr 10.0.0.1 pass', 'ip daddr 10.51.3.1, ip saddr 10.0.0.1'],
  ])('%s against %s', (claim, rule, example) => {
    expect(claimsOf(`# @holds ${claim}`, rule)).toEqual([
      `5: line 4 says are held, '@holds ${claim}': for example ${example}`,
    ]);
  });

  it.each([
    ['app sip', 'udp dport 5070 pass', 'udp dport 5070'],
    ['app http type response', 'tcp dport 1 pass', 'tcp dport 1'],
    ['app != rtp', 'udp length 30 pass', 'udp length 30'],
  ])('%s against %s, where the payload is what the claim says', (claim, rule, example) => {
    expect(claimsOf(`# @holds ${claim}`, rule)).toEqual([
      `5: line 4 says are held, '@holds ${claim}': for example ${example}`,
    ]);
  });

  it('is found behind rules that hold other frames of an unknown network header', () => {
    const lines = [
      '# @holds ether saddr 02:00:00:00:00:09',
      'ether type 0x88b5 ip ttl 5 hold',
      'vlan id 5 ip ttl 5 hold',
    ];
    expect(claimsOf(...lines, 'ether type != { ip, ip6, arp } pass')).toEqual([
      "7: line 4 says are held, '@holds ether saddr 02:00:00:00:00:09': for example ether saddr 02:00:00:00:00:09, ether type 0x600",
    ]);
  });

  it('is found behind up to 63 rules that hold its frames', () => {
    const lines = (count: number) => Array.from({ length: count }, (_, i) => `udp dport ${i + 1} hold`);
    expect(claimsOf('# @holds udp dport 1-64', ...lines(63), 'default pass')[0]).toMatch(/for example udp dport 64$/);
    expect(claimsOf('# @holds udp dport 1-65', ...lines(64), 'default pass')).toEqual([]);
  });

  it('is found for each of up to 64 tuples', () => {
    const tuples = (count: number) => Array.from({ length: count }, (_, i) => `${i + 1} . ${i + 1}`).join(', ');
    const matches = (count: number) => `udp sport . udp dport { ${tuples(count)} }`;
    const claim = (count: number) => `# @holds ${matches(count)}`;
    expect(claimsOf(claim(64), 'udp dport 64 pass')[0]).toMatch(/for example udp sport 64, udp dport 64$/);
    // Of more only the first values are tried.
    expect(claimsOf(claim(65), 'udp dport 65 pass')).toEqual([]);
    expect(claimsOf(claim(65), 'udp dport 1 pass')).toHaveLength(1);
    expect(claimsOf('# @holds udp dport 65', `${matches(65)} pass`)).toEqual([]);
  });

  it('may have no field to tell by example', () => {
    expect(claimsOf('# @holds app sip', 'default pass')).toEqual(["5: line 4 says are held, '@holds app sip'"]);
  });

  it('is told once for each claim and rule', () => {
    const lines = ['# @holds udp dport 5', '# @holds udp sport 6', 'udp dport 5 pass', 'udp sport 6 pass'];
    expect(claimsOf(...lines).map((text) => text.slice(0, 10))).toEqual(['6: line 4 ', '6: line 5 ', '7: line 5 ']);
  });

  it('is at the rule, and the claim is the other place', () => {
    const { warnings } = parseRules('outbound {\n    ##  @holds   udp dport\t5 # why\n  udp dport 5 pass\n}', 'r');
    expect(warnings).toEqual([
      {
        severity: 'warning',
        code: 'claim-broken',
        file: 'r',
        line: 3,
        column: 3,
        length: 3,
        message: "this rule passes frames that line 2 says are held, '@holds udp dport 5': for example udp dport 5",
        related: { file: 'r', line: 2, column: 9 },
      },
    ]);
  });
});

describe('nothing is said where', () => {
  it.each([
    ['an earlier rule holds it', ['# @holds udp dport 5', 'udp dport 1-9 hold', 'udp dport 5-20 pass']],
    [
      'an earlier rule drops it',
      ['# @holds udp dport 5', 'ip protocol udp drop', 'ip6 nexthdr udp drop', 'default pass'],
    ],
    [
      'earlier rules together hold it',
      ['# @holds udp dport 5-6', 'udp dport 5 hold', 'udp dport 6 hold', 'default pass'],
    ],
    ['no frame is like the rule', ['# @holds udp dport 5', 'udp dport 5 tcp dport 6 pass']],
    [
      'a rule that never matches cannot be answered',
      ['# @holds ether type 0x88cc', 'ip ttl 5 ip6 hoplimit 5 hold', 'default pass'],
    ],
    ['the rule holds', ['# @holds udp dport 5', 'udp dport 5 hold']],
    ['the rule drops', ['# @holds udp dport 5', 'udp dport 5 drop']],
    ['the rule is guarded', ['# @holds tcp dport 5', 'tcp dport 5 pass guard']],
    ['nothing passes', ['# @holds udp dport 5', 'default class control']],
    ['the rule passes other frames', ['# @holds udp dport 5', 'udp dport 6 pass', 'tcp dport 5 pass']],
    ['an earlier rule may be an answer', ['# @holds udp length > 20', 'app dns hold', 'default pass']],
    ['the network header is not known', ['# @holds ether type 0x88cc', 'udp dport 5 hold', 'default pass']],
    ['the payload cannot be both', ['# @holds app sip', 'app ssh pass']],
    ['an application is over another protocol', ['# @holds app ssh', 'udp dport 5 pass']],
    ['a packet is too short for the application', ['# @holds app sip', 'udp length < 72 pass']],
    ['RTP has a low port', ['# @holds app rtp', 'udp dport 1023 pass']],
    ['the packet is longer than its frame', ['# @holds ip length 100', 'frame length < 114 pass']],
    ['the datagram is longer than its packet', ['# @holds udp length 100', 'ip length 119 pass']],
    ['a tag and a length do not go together', ['# @holds frame length 60', 'vlan id 1 meta length 43 pass']],
    ['the number is another header', ['# @holds ip6 nexthdr 44', 'ip6 saddr ::1 pass']],
    [
      'the network header is not known, and raw bits are asked for',
      ['# @holds ether type 0x88cc', '@th,0,8 5 hold', 'default pass'],
    ],
    ['a payload length of 0 is told otherwise', ['# @holds ip6 length 0', 'ip6 nexthdr ospf pass']],
    ['the frame is too long', ['# @holds frame length 65554', 'udp dport 5 pass']],
    ['the protocol is of the other IP', ['# @holds ip protocol icmpv6 ip ttl 5', 'icmpv6 type 5 pass']],
    ['an EtherType is a tag', ['# @holds ether type 0x8100', 'default pass']],
    ['the network header is not that', ['# @holds ether type 0x88cc', 'ip ttl 5 pass']],
  ])('%s', (_, lines) => {
    expect(claimsOf(...lines)).toEqual([]);
  });

  it.each([
    ['udp length < 72', 'udp length <= 72'],
    ['udp dport 1023', 'udp dport 1024 udp length 180'],
  ])('the frame is cut a little shorter: %s, but not %s', (short, long) => {
    const claim = short.includes('length') ? '# @holds app sip' : '# @holds app rtp';
    expect(claimsOf(claim, `${short} pass`)).toEqual([]);
    expect(claimsOf(claim, `${long} pass`)).toHaveLength(1);
  });

  it.each([
    ['@th,56,8', '@th,64,8'],
    ['@nh,216,8', '@nh,224,8'],
    ['@ll,328,8', '@ll,336,8'],
  ])('a rule before asks for bits that the shortest frame has: %s, but not %s', (inside, behind) => {
    const lines = (bits: string) => ['# @holds ip ttl 5 udp dport 5', `${bits} 5 hold`, 'default pass'];
    expect(claimsOf(...lines(inside))).toEqual([]);
    expect(claimsOf(...lines(behind))).toHaveLength(1);
  });

  it('but only of those tuples that a rule before holds', () => {
    const lines = [
      '# @holds ip ttl 64 udp dport { 1, 3 }',
      'ip ttl . udp dport { 64 . 7, 64 . 1 } hold',
      'default pass',
    ];
    expect(claimsOf(...lines)[0]).toMatch(/for example ip ttl 64, udp dport 3$/);
    expect(claimsOf(lines[0]!, 'ip ttl . udp dport { 64 . 3, 64 . 1 } hold', 'default pass')).toEqual([]);
  });

  it('an element of a set is thought to be there, but not to be gone', () => {
    const set = ['set s {', ' type ipv4_addr', ' flags dynamic', '}'];
    const text = (...lines: readonly string[]) => [...set, 'outbound {', ...lines, '}'].join('\n');
    const codes = (...lines: readonly string[]) => parseRules(text(...lines), 'r').warnings.map(({ code }) => code);
    expect(codes('# @holds ip saddr @s', 'udp dport 5 pass')).toEqual(['claim-broken']);
    expect(codes('# @holds ip saddr @s', 'ip saddr @s hold', 'udp dport 5 pass')).toEqual([]);
    expect(codes('# @holds udp dport 5', 'ip saddr @s pass')).toEqual(['claim-broken']);
    expect(codes('# @holds udp dport 5', 'ip saddr @s hold', 'default pass')).toEqual(['claim-broken']);
    expect(codes('# @holds ip daddr 10.0.0.1', 'ip saddr @s hold', 'default pass')).toEqual([]);
    expect(codes('# @holds ip saddr != @s', 'udp dport 5 pass')).toEqual([]);
  });
});

describe('a claim', () => {
  it('that no frame can match is a warning at its place', () => {
    const { warnings } = parseRules('# @holds udp dport 5 tcp dport 6\noutbound {\n  default pass\n}', 'r');
    expect(warnings).toEqual([
      {
        severity: 'warning',
        code: 'claim-empty',
        file: 'r',
        line: 1,
        column: 3,
        length: 6,
        message: "no frame is like that: 'udp dport' and 'tcp dport' exclude each other",
      },
    ]);
  });

  it.each([
    ['@th,64,8 5', '@th,64,8'],
    ['udp dport 5 @nh,0,8 & 0xf0 == 0x40 @ll,0,8 1', '@nh,0,8'],
    ['@ll,0,16 != { 1, 2 }', '@ll,0,16'],
  ])('that asks for raw bits is not checked, and says so: %s', (matches, name) => {
    const { warnings } = parseRules(`# @holds ${matches}\noutbound {\n  default pass\n}`, 'r');
    expect(warnings).toEqual([
      {
        severity: 'warning',
        code: 'claim-unchecked',
        file: 'r',
        line: 1,
        column: 3,
        length: 6,
        message: `this claim is not checked: which frames '${name}' means is not worked out`,
      },
    ]);
  });

  it('that asks for raw bits of no frame is only said to be empty', () => {
    const { warnings } = parseRules('# @holds @th,0,8 5 @th,0,8 6\noutbound {\n  default pass\n}', 'r');
    expect(warnings.map(({ code }) => code)).toEqual(['claim-empty']);
  });

  it('about later fragments is about no frame that rules are asked about', () => {
    const { warnings } = parseRules('# @holds ip frag-off & 0x1fff != 0\noutbound {\n  ip ttl 5 pass\n}', 'r');
    expect(warnings).toMatchObject([
      { code: 'claim-empty', message: expect.stringContaining('later fragments follow') },
    ]);
  });

  it.each([
    ['# @holds', '4:3+6', 'missing-match', "this claim names no frames: matches are missing behind '@holds'"],
    ['# @holds udp dport', '4:19+1', 'syntax', 'unexpected end of line'],
    ['  #@holds udp dport 70000', '4:21+5', 'out-of-range', "'70000' is to"],
    ['# @holds udp dport 5 hold', '4:22+4', 'syntax', "unexpected 'hold'"],
    ['# @holds class data', '4:10+5', 'syntax', "unexpected 'class'"],
    ['# @holds udp dport 5; tcp dport 5', '4:21+1', 'syntax', "unexpected ';'"],
    ['# @holds udp dport 5 }', '4:22+1', 'syntax', "unexpected '}'"],
    ['# @holds tpc dport 5', '4:10+3', 'unknown-keyword', "unknown word 'tpc'"],
    ['# @holds ip saddr @nothing', '4:20+7', 'unknown-set', "there is no set 'nothing'"],
    ['# @holds udp dport “5”', '4:20+1', 'unknown-character', "unexpected '“'"],
  ])('that cannot be read is an error: %s', (line, at, code, message) => {
    expect(errorsOf(line)[0]).toMatchObject({ at, code });
    expect(errorsOf(line)[0]!.message).toContain(message);
    expect(errorsOf('udp dport 5 hold', line)[0]!.at).toBe(`5${at.slice(1)}`);
  });

  it.each([
    ['# @holds udp dport 5 hold', 'matches only', "a claim is '@holds' and matches: what it names is held"],
    ['# @holds udp dport 5 }', 'a match or the end of the line', undefined],
  ])('that says too much is told what it may say: %s', (line, expected, hint) => {
    const [error] = parseRules(fileOf(line), 'r').errors;
    expect([error!.expected, error!.hint]).toEqual([expected, hint]);
  });

  it('that cannot be read is none', () => {
    const reports = new Reports('r');
    const text = '# @holds udp dport 5 ip saddr @nothing\n# @holds udp\n# @holds udp dport 6';
    const claims = readClaims(new Map([['r', text]]), new SetTable(reports), reports);
    expect(claims.map((claim) => claim.text)).toEqual(['@holds udp dport 6']);
  });

  it.each([
    '# what @holds means',
    '# @holdsx udp dport 5',
    '# @holds-not udp dport 5',
    'udp dport 5 pass # @holds udp dport 5',
    'udp dport 5 pass comment "# @holds udp dport 5"',
    '# holds udp dport 5',
  ])('is only what begins a comment line: %s', (line) => {
    expect(claimsOf(line, 'udp dport 5 pass')).toEqual([]);
  });

  it('counts wherever it stands, and as often', () => {
    const text = '# @holds udp dport 5\r\noutbound {\n udp dport 5-6 pass\n}\n# @holds udp dport 6';
    const { warnings } = parseRules(text, 'r');
    expect(warnings.map(({ line, related }) => [line, related!.line])).toEqual([
      [3, 1],
      [3, 5],
    ]);
  });

  it('of an included file is placed in it', () => {
    const resolve = () => [{ file: 'claims', text: '\n # @holds udp dport 5\n' }];
    const { warnings } = parseRules('include "claims"\noutbound {\n udp dport 5 pass\n}', 'r', { resolve });
    expect(warnings.map(({ file, line, related }) => [file, line, related])).toEqual([
      ['r', 3, { file: 'claims', line: 2, column: 4 }],
    ]);
    expect(warnings[0]!.message).toContain("line 2 of 'claims' says are held");
  });

  it('uses named sets, which then are not unused', () => {
    const set = 'set s { type inet_service; elements = { 5 } }';
    const { warnings } = parseRules(`${set}\n# @holds udp dport @s\noutbound {\n udp dport 5 pass\n}`, 'r');
    expect(warnings.map(({ code }) => code)).toEqual(['claim-broken']);
  });
});

/** The frame as bytes is what was imagined, and the rules pass it. */
function confirm({ claim, rule, witness }: BrokenClaim, { outbound, sets }: RuleSet, payload?: string): void {
  const bytes = bytesOf(witness, payload);
  expect(bytes.length).toBe(witness.lengthBytes);
  const p = parsedOf(bytes);
  const slab = place(bytes);
  p.offset = FRAME_OFFSET;
  expect(p.problem).toBe(0);
  for (const field of Object.keys(FIELDS) as FieldName[]) {
    const value = fieldValue(p, field, slab);
    if (value !== null) expect([field, value]).toEqual([field, witness.values.get(fieldKey(field))]);
  }
  const live = new LiveState(sets);
  expect(new LinearMatcher([{ ...rule, matches: claim.matches }], live).answerRule(0, p, slab)).toBe(ANSWER.yes);
  expect(outbound[new LinearMatcher(outbound, live).classify(p, slab)]).toBe(rule);
}

describe('a frame that breaks a claim', () => {
  it('can be sent, and is passed', () => {
    let broken = 0;
    const verdicts = fc.array(fc.constantFrom('pass', 'hold', 'drop'), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(arbitraryRuleSet(6), verdicts, fc.nat(), (ruleSet, verdictsOf, dice) => {
        const rules = ruleSet.outbound.map(
          (rule, i): Rule => ({ ...rule, verdict: verdictsOf[i]! as Rule['verdict'] }),
        );
        const all = rules.flatMap((rule) => rule.matches);
        fc.pre(all.length > 0);
        const matches: Match[] = [all[dice % all.length]!, ...(dice % 3 === 0 ? [all[(dice >> 4) % all.length]!] : [])];
        const claim = { place: rules[0]!.place, text: '@holds', matches };
        for (const one of brokenClaims([claim], rules, new Work(1e6))) {
          expect(one.rule.verdict).toBe('pass');
          if (one.witness.stated.size > 0) continue;
          broken++;
          confirm(one, { ...ruleSet, outbound: rules });
        }
      }),
      { numRuns: runs(600), ...SEED },
    );
    expect(broken).toBeGreaterThan(runs(600) / 20);
  });

  it('has the payload that is stated', () => {
    const payload = `INVITE sip:bob@example.com SIP/2.0\r\nVia: ${'x'.repeat(64)}`;
    const app: Match = { kind: 'app', app: 'sip', types: null, negated: false };
    const length: Match = {
      kind: 'field',
      field: 'udp.length',
      mask: null,
      negated: false,
      intervals: [{ low: BigInt(payload.length + 8), high: BigInt(payload.length + 8) }],
    };
    const rules = [{ ...ruleOf([length], 0), verdict: 'pass' as const }];
    const [found] = brokenClaims([{ place: rules[0]!.place, text: '', matches: [app] }], rules, new Work(1e6));
    confirm(found!, { ...ruleSetOf([]), outbound: rules }, payload);
  });

  it('is not looked for when the work is used up', () => {
    const rules = [{ ...ruleOf([], 0), verdict: 'pass' as const }];
    const match: Match = {
      kind: 'field',
      field: 'udp.dport',
      mask: null,
      negated: false,
      intervals: [{ low: 5n, high: 5n }],
    };
    const claim = { place: rules[0]!.place, text: '', matches: [match] };
    const other = { ...ruleOf([{ ...match, field: 'ip.ttl' }], 0), verdict: 'hold' as const };
    const elsewhere = { ...other, matches: [{ ...match, intervals: [{ low: 6n, high: 6n }] }] };
    const all = [elsewhere, other, ...rules];
    // Once through the rules: a step for each, and one for each side, four and two. A frame; and the answer of the second rule,
    // a step and one for its match. The first one is not asked.
    const steps = 1 + 4 + 1 + 2 + 1 + 100 + 2;
    expect(brokenClaims([claim], all, new Work(steps))).toHaveLength(1);
    expect(brokenClaims([claim], all, new Work(steps - 1))).toEqual([]);
    expect(brokenClaims([claim], all, new Work(0))).toEqual([]);
  });
});

describe('no application is recognised', () => {
  it.each([
    ['in an empty segment', frame().eth().ip4().tcp(1024, 1024).build()],
    ['in an empty datagram', frame().eth().ip4().udp(4000, 67).build()],
    ['in ARP', frame().eth().arp().build()],
    ['over SCTP', frame().eth().ip4().sctp(5060, 5060).payload('SIP/2.0 200 OK\r\nINVITE sip:a SIP/2.0').build()],
    ['over ICMP', frame().eth().ip4().icmp().payload('SSH-2.0-x\r\n').build()],
  ])('%s', (_, bytes) => {
    const p = parsedOf(bytes);
    for (const [app, recognise] of Object.entries(RECOGNISERS)) {
      expect([app, recognise(p, place(bytes))]).toEqual([app, ANSWER.no]);
    }
  });
});

import { describe, expect, test } from 'vitest';
import { Classifier, compileGeneration, type Direction } from '../../classifier/classifier.ts';
import { type Derivation, derive, recognisedApp } from '../../classifier/explain.ts';
import { Parsed } from '../../classifier/parsed.ts';
import { frame } from '../../pcaps/build.ts';
import { numbers } from '../../pcaps/build-bytes.ts';
import { parseRules } from '../../rules/parse.ts';
import { parsedOf, parseInto, place } from '../support/parse-frame.ts';

interface ExplainOptions {
  readonly verifyChecksums?: boolean;
  readonly direction?: Direction;
  readonly sets?: string;
  readonly wireLength?: number;
}

/** @param rules of the direction that is asked about */
function explain(rules: string, frames: readonly Uint8Array[], options: ExplainOptions = {}): Derivation {
  const { verifyChecksums = false, direction = 'outbound', sets = '', wireLength } = options;
  const other = direction === 'inbound' ? 'outbound { default hold }' : '';
  const text = `class data pass\n${sets}\n${other}\n${direction} {\n${rules}\n}\n`;
  const { ruleSet, errors } = parseRules(text, 'test.rules');
  if (ruleSet === null) throw new Error(JSON.stringify(errors));
  const classifier = new Classifier(compileGeneration(1, ruleSet), verifyChecksums, direction);
  const p = new Parsed();
  let slab = place(new Uint8Array(0));
  for (const bytes of frames) {
    slab = parseInto(p, bytes, wireLength);
    classifier.classify(p, slab, 0);
  }
  return derive(classifier, p, slab);
}

/** Each rule that was tried as `answer: match (answer), …`. */
function trialsOf(derivation: Derivation): string[] {
  return derivation.trials.map(
    ({ answer, matches }) => `${answer}: ${matches.map((match) => `${match.text} (${match.answer})`).join(', ')}`,
  );
}

const sip = frame().eth().ip4().udp(5062, 5061).payload('INVITE sip:bob@example.com SIP/2.0\r\n').build();

describe('a derivation', () => {
  test('shows each rule that was tried with the frame’s own values, and ends with the one that decided', () => {
    const derivation = explain(
      'udp dport 5060 pass\ntcp dport 5061 pass\nudp sport 5062 udp dport 5061 app sip drop\ndefault class data',
      [sip],
    );
    expect(trialsOf(derivation)).toEqual([
      'no: udp.dport = 5061 (no)',
      'no: tcp.dport is not in the frame (no)',
      'yes: udp.sport = 5062 (yes), udp.dport = 5061 (yes), app sip (yes)',
    ]);
    expect(derivation).toMatchObject({ verdict: 'drop', reason: 'rule', reasonText: 'a rule matched' });
    expect(derivation.trials.at(-1)!.rule.verdict).toBe('drop');
  });

  test('shows addresses, types and flags in hexadecimal', () => {
    const bytes = frame().eth().ip4().tcp(1, 2, { flags: 'syn ack' }).build();
    const rules =
      'ether type 0x86dd drop\nether saddr 02:00:00:00:00:09 drop\nip saddr 10.0.0.0/8 drop\ntcp flags & rst != 0 drop';
    expect(trialsOf(explain(rules, [bytes]))).toEqual([
      'no: ether.type = 0x800 (no)',
      'no: ether.saddr = 0x20000000001 (no)',
      'no: ip.saddr = 0xc0000201 (no)',
      'no: tcp.flags = 0x12 (no)',
    ]);
  });

  test('of a default has no match, and tells the reason', () => {
    const derivation = explain('default class data', [sip]);
    expect(trialsOf(derivation)).toEqual(['yes: ']);
    expect(derivation).toMatchObject({ verdict: 'pass', reason: 'default' });
  });

  test('without a rule that matches shows all that were tried', () => {
    const derivation = explain('tcp dport 1 pass\nudp dport 1 pass', [sip]);
    expect(derivation.trials.map(({ answer }) => answer)).toEqual(['no', 'no']);
    expect(derivation).toMatchObject({ verdict: 'hold', reason: 'no-default' });
  });

  test('of an unknown EtherType ends where the rule needs more', () => {
    const alien = frame().eth({ type: 0x88cc }).payload('x').build();
    const derivation = explain('ether type 0x0806 pass\nvlan id 3 pass\nudp dport 1 pass\ndefault pass', [alien]);
    expect(trialsOf(derivation)).toEqual([
      'no: ether.type = 0x88cc (no)',
      'no: vlan.id is not in the frame (no)',
      'unknown: udp.dport cannot be read (unknown)',
    ]);
    expect(derivation).toMatchObject({ verdict: 'hold', reason: 'unknown-ethertype' });
  });

  test('is empty where rules were not asked', () => {
    const cut = explain('default class data', [sip.subarray(0, 30)]);
    expect(cut.trials).toEqual([]);
    expect(cut).toMatchObject({ verdict: 'hold', reason: 'truncated' });
    const first = frame().eth().ip4({ id: 1, moreFrags: true }).udp(1, 2, { length: 99 }).build();
    const later = frame().eth().ip4({ id: 1, fragOffset: 8, proto: 17 }).payload('x').build();
    const inherited = explain('default class data', [first, later]);
    expect(inherited.trials).toEqual([]);
    expect(inherited).toMatchObject({ verdict: 'pass', reason: 'fragment' });
    expect(trialsOf(explain('default class data', [first]))).toEqual(['yes: ']);
  });
});

describe('a derivation shows what a match found', () => {
  const bytes = frame().eth().ip4({ src: '192.0.2.1', ttl: 7 }).udp(5060, 5061).payload('12345678').build();
  const media = 'set media { type ipv4_addr . inet_service; flags timeout; elements = { 192.0.2.1 . 5061 } }';

  test('in raw payload: its bits, or that they are not there or were not captured', () => {
    const rules =
      '@th,0,16 5061 drop\n@nh,64,8 8 drop\n@ll,4,12 0 drop\n@th,128,8 0 drop\n@th,96,8 0 drop\ndefault pass';
    expect(trialsOf(explain(rules, [bytes]))).toEqual([
      'no: @th,0,16 = 0x13c4 (no)',
      'no: @nh,64,8 = 0x7 (no)',
      'no: @ll,4,12 = 0x200 (no)',
      'no: @th,128,8 is not in the frame (no)',
      'no: @th,96,8 = 0x35 (no)',
      'yes: ',
    ]);
    const cut = explain('@th,96,8 0 drop\ndefault pass', [bytes.subarray(0, 44)], { wireLength: bytes.length });
    expect(trialsOf(cut)).toEqual(['unknown: @th,96,8 cannot be read (unknown)']);
    expect(cut).toMatchObject({ verdict: 'hold', reason: 'undecided' });
  });

  test('in several fields together: each value, or the first that is missing', () => {
    const rules =
      'ip saddr . udp dport { 192.0.2.0/24 . 5060, 192.0.2.2 . 5061 } drop\nip saddr . tcp dport { 192.0.2.1 . 5061 } drop\ndefault pass';
    expect(trialsOf(explain(rules, [bytes]))).toEqual([
      'no: ip.saddr . udp.dport = 0xc0000201 . 5061 (no)',
      'no: tcp.dport is not in the frame (no)',
      'yes: ',
    ]);
  });

  test('in a dynamic set, and among declared flows', () => {
    const rules = 'declared drop\nip daddr . udp dport @media drop\nip saddr . udp dport @media class data';
    const derivation = explain(rules, [bytes], { sets: media });
    expect(trialsOf(derivation)).toEqual([
      'no: declared (no)',
      'no: ip.daddr . udp.dport = 0xc6336402 . 5061, looked up in @media (no)',
      'yes: ip.saddr . udp.dport = 0xc0000201 . 5061, looked up in @media (yes)',
    ]);
    expect(derivation).toMatchObject({ verdict: 'pass', reason: 'rule' });
  });

  test('in an application: the type of its message, where types are asked for', () => {
    const query = numbers(
      [2, 0x1234],
      [2, 0x0100],
      [2, 1],
      [2, 0],
      [2, 0],
      [2, 0],
      [1, 1],
      [1, 0x61],
      [1, 0],
      [2, 1],
      [2, 1],
    );
    const dns = frame().eth().ip4().udp(53_000, 53).payload(query).build();
    expect(trialsOf(explain('app dns type response drop\napp dns type query pass', [dns]))).toEqual([
      'no: app dns type query (no)',
      'yes: app dns type query (yes)',
    ]);
    expect(trialsOf(explain('app dns type response drop\napp dns drop', [bytes]))).toEqual([
      'no: app dns (no)',
      'no: app dns (no)',
    ]);
  });

  test('inbound, where the block’s rules are tried', () => {
    const derivation = explain('udp dport 1 pass\nudp dport 5061 drop', [bytes], { direction: 'inbound' });
    expect(trialsOf(derivation)).toEqual(['no: udp.dport = 5061 (no)', 'yes: udp.dport = 5061 (yes)']);
    expect(derivation).toMatchObject({ verdict: 'drop', reason: 'rule' });
    const none = explain('udp dport 1 pass', [bytes], { direction: 'inbound' });
    expect(trialsOf(none)).toEqual(['no: udp.dport = 5061 (no)']);
    expect(none).toMatchObject({ verdict: 'pass', reason: 'inbound', reasonText: 'travels to the VM' });
  });

  test('under the TCP guard: the rule, and why it holds', () => {
    const derivation = explain('tcp dport 5061 class data guard', [frame().eth().ip4().tcp(1, 5061).build()]);
    expect(derivation.trials.at(-1)!.answer).toBe('yes');
    expect(derivation).toMatchObject({ verdict: 'hold', reason: 'guard' });
  });
});

test('a derivation is empty where no rules are for that direction', () => {
  const { ruleSet } = parseRules('outbound { default hold }', 'test.rules');
  const classifier = new Classifier(compileGeneration(1, ruleSet!), false, 'inbound');
  const p = new Parsed();
  const slab = parseInto(p, sip);
  classifier.classify(p, slab, 0);
  expect(derive(classifier, p, slab)).toMatchObject({ trials: [], verdict: 'pass', reason: 'inbound' });
});

test('a derivation is empty for a frame whose checksum was wrong', () => {
  const bytes = frame().eth().ip4({ checksum: 1 }).udp(1, 2).build();
  const derivation = explain('default class data', [bytes], { verifyChecksums: true });
  expect(derivation).toMatchObject({ verdict: 'hold', reason: 'bad-checksum' });
  expect(derivation.trials).toEqual([]);
});

describe('the application of a frame', () => {
  const appOf = (bytes: Uint8Array, wireLength = bytes.length) =>
    recognisedApp(parsedOf(bytes, wireLength), place(bytes));
  const rtp = numbers([1, 0x80], [1, 0], [2, 7], [4, 160], [4, 0x1234], [4, 0x55555555]);

  test('is told by its payload', () => {
    expect(appOf(sip)).toBe('sip');
    expect(appOf(frame().eth().ip4().udp(20_000, 20_002).payload(rtp).build())).toBe('rtp');
    expect(appOf(frame().eth().ip4().udp(20_000, 20_002).payload('hello').build())).toBeNull();
  });

  test('is none where there is no payload, a problem, or only a later fragment', () => {
    expect(appOf(frame().eth().ip4().udp(1, 2).build())).toBeNull();
    expect(
      appOf(frame().eth().ip4().udp(1, 2, { length: 7 }).payload('INVITE sip:b@c SIP/2.0\r\n').build()),
    ).toBeNull();
    const later = frame().eth().ip4({ fragOffset: 8, proto: 17 }).payload('INVITE sip:b@c SIP/2.0\r\n').build();
    expect(appOf(later)).toBeNull();
    expect(appOf(frame().eth().arp().build())).toBeNull();
  });

  test('is none where the evidence was not captured', () => {
    expect(appOf(sip.subarray(0, 50), sip.length)).toBeNull();
    expect(appOf(sip.subarray(0, 42), sip.length)).toBeNull();
  });

  test('is told of a first fragment', () => {
    const payload = 'INVITE sip:bob@example.com SIP/2.0\r\nVia:';
    const first = frame().eth().ip4({ moreFrags: true }).udp(5060, 5060, { length: 2000 }).payload(payload).build();
    expect(appOf(first)).toBe('sip');
  });
});

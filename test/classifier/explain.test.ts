import { describe, expect, test } from 'vitest';
import { Classifier, compileGeneration } from '../../classifier/classifier.ts';
import { type Derivation, derive, recognisedApp } from '../../classifier/explain.ts';
import { Parsed } from '../../classifier/parsed.ts';
import { frame } from '../../pcaps/build.ts';
import { numbers } from '../../pcaps/build-bytes.ts';
import { parseRules } from '../../rules/parse.ts';
import { parsedOf, parseInto, place } from '../support/parse-frame.ts';

function explain(rules: string, frames: readonly Uint8Array[], verifyChecksums = false): Derivation {
  const { ruleSet, errors } = parseRules(`class data pass\noutbound {\n${rules}\n}\n`, 'test.rules');
  if (ruleSet === null) throw new Error(JSON.stringify(errors));
  const generation = compileGeneration(1, ruleSet);
  const classifier = new Classifier(generation, verifyChecksums);
  const p = new Parsed();
  let slab = place(new Uint8Array(0));
  for (const bytes of frames) {
    slab = parseInto(p, bytes);
    classifier.classify(p, slab, 0);
  }
  return derive(generation, classifier, p, slab);
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

test('a derivation is empty for a frame whose checksum was wrong', () => {
  const bytes = frame().eth().ip4({ checksum: 1 }).udp(1, 2).build();
  const derivation = explain('default class data', [bytes], true);
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

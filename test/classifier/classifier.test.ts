import { describe, expect, test } from 'vitest';
import { Classifier, compileGeneration, type Direction, type Generation } from '../../classifier/classifier.ts';
import { parse } from '../../classifier/parse.ts';
import { Parsed } from '../../classifier/parsed.ts';
import { REASON_NAMES, REASON_TEXTS, VERDICT_NAMES } from '../../classifier/verdict.ts';
import { frame } from '../../pcaps/build.ts';
import { internetChecksum } from '../../pcaps/build-bytes.ts';
import { parseRules } from '../../rules/parse.ts';
import { FRAME_OFFSET, place } from '../support/parse-frame.ts';

function generationOf(rules: string, number = 1, inbound?: string, sets = ''): Generation {
  const block = inbound === undefined ? '' : `inbound {\n${inbound}\n}\n`;
  const { ruleSet, errors } = parseRules(
    `class data pass\nclass control hold\n${sets}\noutbound {\n${rules}\n}\n${block}`,
    'test.rules',
  );
  if (ruleSet === null) throw new Error(JSON.stringify(errors));
  return compileGeneration(number, ruleSet);
}

interface Judgement {
  readonly verdict: string;
  readonly reason: string;
  readonly rule: number;
  readonly unclassified: boolean;
}

class Judge {
  readonly classifier: Classifier;
  nowNs = 5e18;

  constructor(rules: string | Generation, verifyChecksums = false, direction: Direction = 'outbound') {
    const generation = typeof rules === 'string' ? generationOf(rules) : rules;
    this.classifier = new Classifier(generation, verifyChecksums, direction);
  }

  see(bytes: Uint8Array, wireLength = bytes.length): Judgement {
    const slab = place(bytes);
    const p = new Parsed();
    parse(p, slab, FRAME_OFFSET, bytes.length, wireLength);
    this.classifier.classify(p, slab, this.nowNs);
    const { verdict, reason, rule, unclassified } = this.classifier;
    return { verdict: VERDICT_NAMES[verdict], reason: REASON_NAMES[reason], rule, unclassified };
  }
}

function heldBecause(reason: string): Judgement {
  return { verdict: 'hold', reason, rule: -1, unclassified: true };
}
function byRule(verdict: string, rule: number, reason = 'rule'): Judgement {
  return { verdict, reason, rule, unclassified: false };
}

const ip4 = () => frame().eth().ip4();
const udp = (dport: number) => ip4().udp(1000, dport).payload('12345678').build();

describe('a frame without a problem', () => {
  test('has the verdict of the first rule that matches', () => {
    const judge = new Judge(
      'udp dport 1 pass\nudp dport 2 hold\nudp dport 3 drop\nudp dport 1-9 drop\ndefault class data',
    );
    expect(judge.see(udp(1))).toEqual(byRule('pass', 0));
    expect(judge.see(udp(2))).toEqual(byRule('hold', 1));
    expect(judge.see(udp(3))).toEqual(byRule('drop', 2));
    expect(judge.see(udp(9))).toEqual(byRule('drop', 3));
    expect(judge.see(udp(10))).toEqual(byRule('pass', 4, 'default'));
  });

  test('that no rule matches is held as no-default, and is not unclassified', () => {
    const judge = new Judge('udp dport 1 pass');
    expect(judge.see(udp(2))).toEqual({ verdict: 'hold', reason: 'no-default', rule: -1, unclassified: false });
    expect(judge.see(udp(1))).toEqual(byRule('pass', 0));
    expect(judge.see(udp(2))).toMatchObject({ verdict: 'hold', reason: 'no-default', rule: -1 });
  });

  test('forgets what was said of the frame before', () => {
    const judge = new Judge('udp dport 1 pass\ndefault drop');
    expect(judge.see(ip4().truncateTo(20).build())).toEqual(heldBecause('truncated'));
    expect(judge.see(udp(1))).toEqual(byRule('pass', 0));
    expect(judge.see(ip4().truncateTo(20).build())).toEqual(heldBecause('truncated'));
    expect(judge.see(udp(2))).toEqual(byRule('drop', 1, 'default'));
    judge.classifier.swap(generationOf('udp dport 1 pass', 2));
    judge.see(ip4().truncateTo(20).build());
    expect(judge.see(udp(2))).toMatchObject({ reason: 'no-default', unclassified: false });
  });
});

test('before the first frame the answer is the safe one', () => {
  const { verdict, reason, rule, ordered, unclassified } = new Judge('default pass').classifier;
  expect({ verdict, reason, rule, ordered, unclassified }).toEqual({
    verdict: 0,
    reason: 0,
    rule: -1,
    ordered: false,
    unclassified: false,
  });
  expect(VERDICT_NAMES[0]).toBe('hold');
});

describe('a frame with a problem is held before rules are asked, whatever they say', () => {
  const tags = frame().eth();
  for (let id = 1; id < 10; id++) tags.vlan(id);
  const frames: Readonly<Record<string, readonly [string, Uint8Array]>> = {
    'cut within Ethernet': ['truncated', new Uint8Array(13)],
    'cut within a tag': ['truncated', frame().eth().vlan(1).ip4().truncateTo(16).build()],
    'cut within ARP': ['truncated', frame().eth().arp().truncateTo(30).build()],
    'cut within IPv4': ['truncated', ip4().tcp(1, 2).truncateTo(40).build()],
    'of a wrong version': ['malformed', frame().eth().ip4({ version: 5 }).udp(1, 2).build()],
    'of a wrong UDP length': ['malformed', ip4().udp(1, 2, { length: 99 }).build()],
    'of a wrong data offset': ['malformed', ip4().tcp(1, 2, { headerLength: 3 }).build()],
    'of nine tags': ['too-many-headers', tags.ip4().udp(1, 2).build()],
    'of a first fragment without its header': [
      'fragment-no-l4',
      frame().eth().ip4({ moreFrags: true, proto: 6 }).payload(new Uint8Array(16)).build(),
    ],
  };
  test.each(Object.entries(frames))('%s', (_, [reason, bytes]) => {
    for (const rules of ['default pass', 'default drop', 'ether type 0-65535 pass', 'ether type != 0 drop']) {
      expect(new Judge(rules).see(bytes)).toEqual(heldBecause(reason));
      expect(new Judge(rules, true).see(bytes)).toEqual(heldBecause(reason));
    }
  });
});

describe('a frame of an unknown EtherType', () => {
  const alien = frame().eth({ type: 0x88cc }).payload('LLDP').build();
  const spanningTree = frame().eth().llc().build();

  test('has the verdict of rules that ask for Ethernet and tags only', () => {
    const judge = new Judge('ether type 0x88cc drop\nether type 0-1500 pass\nvlan id 5 drop\ndefault hold');
    expect(judge.see(alien)).toEqual(byRule('drop', 0));
    expect(judge.see(spanningTree)).toEqual(byRule('pass', 1));
    const tagged = frame().eth().vlan(5, { type: 0x88b5 }).build();
    expect(judge.see(tagged)).toEqual(byRule('drop', 2));
    expect(judge.see(frame().eth({ type: 0x88b5 }).build())).toEqual(byRule('hold', 3, 'default'));
  });

  test('is held when the first rule that is not false needs more', () => {
    const judge = new Judge('udp dport 1 drop\nether type 0x88cc pass\ndefault pass');
    expect(judge.see(alien)).toEqual(heldBecause('unknown-ethertype'));
    expect(judge.see(udp(1))).toEqual(byRule('drop', 0));
    expect(judge.see(udp(2))).toEqual(byRule('pass', 2, 'default'));
  });

  test('is not held by a rule that its Ethernet header already makes false', () => {
    const judge = new Judge('ether type 0x0800 udp dport 1 drop\nvlan id 3 ip saddr 10.0.0.0/8 drop\ndefault pass');
    expect(judge.see(alien)).toEqual(byRule('pass', 2, 'default'));
  });
});

test('a frame whose application evidence was not captured is held as undecided', () => {
  const judge = new Judge('app sip drop\ndefault pass');
  const whole = ip4().udp(5060, 5060).payload('INVITE sip:bob@example.com SIP/2.0\r\n').build();
  expect(judge.see(whole)).toEqual(byRule('drop', 0));
  expect(judge.see(whole.subarray(0, 46), whole.length)).toEqual(heldBecause('undecided'));
});

describe('an IPv4 header checksum', () => {
  const good = frame().eth().ip4({ id: 0xffff, src: '255.255.255.255', dst: '255.255.255.254' }).udp(1, 2).build();
  const options = new Uint8Array(40).fill(0xff);
  const withOptions = frame().eth().vlan(3).ip4({ options }).udp(1, 2).build();

  test('that is right is no matter', () => {
    const headerOnly = frame().eth().ip4({ proto: 59 }).build();
    for (const bytes of [good, withOptions, headerOnly]) {
      expect(new Judge('default pass', true).see(bytes)).toEqual(byRule('pass', 0, 'default'));
    }
  });

  test('that is wrong holds the frame, if checksums are judged', () => {
    const strict = new Judge('default pass', true);
    const lax = new Judge('default pass');
    for (const bytes of [good, withOptions]) {
      const at = bytes === good ? 14 : 18;
      const size = bytes === good ? 20 : 60;
      for (let i = at + 1; i < at + size; i++) {
        // Lengths and fragment fields would make a problem of another kind.
        if ((i >= at + 2 && i < at + 4) || (i >= at + 6 && i < at + 8) || i === at + 9) continue;
        const wrong = bytes.slice();
        wrong[i]! ^= 0x10;
        expect(strict.see(wrong), `byte ${i}`).toEqual(heldBecause('bad-checksum'));
        expect(lax.see(wrong)).toEqual(byRule('pass', 0, 'default'));
      }
    }
  });

  test.each([0, 0xffff, 0x1234])('of %i is wrong where another is right', (checksum) => {
    const bytes = frame().eth().ip4({ checksum }).udp(1, 2).build();
    expect(new Judge('default drop', true).see(bytes)).toEqual(heldBecause('bad-checksum'));
  });

  test('is right exactly where the words sum to all ones (RFC 1071 §1)', () => {
    const judge = new Judge('default pass', true);
    for (let id = 0; id < 0x1_0000; id += 251) {
      const bytes = frame().eth().ip4({ id, options }).udp(1, 2).build();
      expect(judge.see(bytes)).toEqual(byRule('pass', 0, 'default'));
    }
    const right: number[] = [];
    for (let checksum = 0; checksum < 0x1_0000; checksum += 16) {
      const bytes = frame().eth().ip4({ id: 0x3a5a, checksum }).udp(1, 2).build();
      if (judge.see(bytes).reason === 'default') right.push(checksum);
    }
    const header = frame().eth().ip4({ id: 0x3a5a, checksum: 0 }).udp(1, 2).build().subarray(14, 34);
    const wanted = internetChecksum(header);
    expect(wanted % 16, 'the loop must meet it').toBe(0);
    expect(right).toEqual([wanted]);
  });

  test('of fragments is judged before they are followed', () => {
    const judge = new Judge('default pass', true);
    const first = frame().eth().ip4({ moreFrags: true, checksum: 1 }).udp(1, 2).build();
    expect(judge.see(first)).toEqual(heldBecause('bad-checksum'));
    const later = frame().eth().ip4({ fragOffset: 8 }).payload('x').build();
    expect(judge.see(later)).toEqual(heldBecause('fragment-unknown'));
  });

  test('is none of IPv6, ARP and other frames', () => {
    const judge = new Judge('default pass', true);
    for (const bytes of [frame().eth().ip6().udp(1, 2), frame().eth().arp(), frame().eth().llc()]) {
      expect(judge.see(bytes.build())).toEqual(byRule('pass', 0, 'default'));
    }
  });
});

describe('fragments', () => {
  const piece = (id: number, offset: number, more: boolean, dport = 1) => {
    const builder = frame().eth().ip4({ id, fragOffset: offset, moreFrags: more, proto: 17 });
    return offset === 0
      ? builder.udp(1000, dport, { length: 999 }).payload('12345678').build()
      : builder.payload('abcdefgh').build();
  };
  const rules = 'udp dport 1 pass\nudp dport 2 drop\nudp dport 3 hold\napp sip drop\nudp dport 5 pass';

  test.each([
    [1, 'pass', 0],
    [2, 'drop', 1],
    [3, 'hold', 2],
  ])('that are later have the verdict and rule of their first, to port %i: %s', (dport, verdict, rule) => {
    const judge = new Judge(rules);
    expect(judge.see(piece(7, 0, true, dport))).toEqual(byRule(verdict, rule));
    expect(judge.see(piece(7, 16, true))).toEqual(byRule(verdict, rule, 'fragment'));
    expect(judge.see(piece(7, 24, false))).toEqual(byRule(verdict, rule, 'fragment'));
    expect(judge.see(piece(7, 24, false))).toEqual(heldBecause('fragment-unknown'));
  });

  test.each(['', 'I', 'INVITE s', 'INVITE sip:bob@exam'])(
    'that begin with so little of a message are undecided: %s',
    (text) => {
      const judge = new Judge('app sip hold\napp != sip pass\ndefault pass');
      const first = frame().eth().ip4({ id: 9, moreFrags: true }).udp(1000, 2000, { length: 400 });
      const bytes = first.payload(text.padEnd(8 * Math.ceil(text.length / 8), 'x')).build();
      expect(judge.see(text === '' ? first.build() : bytes)).toEqual(heldBecause('undecided'));
      expect(judge.see(piece(9, 16, true))).toMatchObject({ verdict: 'hold' });
    },
  );

  test('that begin with what no message begins with are decided', () => {
    const judge = new Judge('app sip hold\ndefault pass');
    const first = frame().eth().ip4({ id: 9, moreFrags: true }).udp(1000, 2000, { length: 400 });
    expect(judge.see(first.payload(Uint8Array.of(0x80, 0x60, 3, 4, 5, 6, 7, 8)).build())).toEqual(
      byRule('pass', 1, 'default'),
    );
  });

  test('that are later are held as their first was, by no rule at all', () => {
    const judge = new Judge('udp dport 1 pass');
    expect(judge.see(piece(7, 0, true, 9))).toMatchObject({
      verdict: 'hold',
      reason: 'no-default',
      unclassified: false,
    });
    expect(judge.see(piece(7, 16, true))).toEqual({
      verdict: 'hold',
      reason: 'fragment',
      rule: -1,
      unclassified: false,
    });
  });

  test('that are later are held as their first was, without evidence', () => {
    const judge = new Judge('app sip drop\ndefault pass');
    const first = frame()
      .eth()
      .ip4({ id: 7, moreFrags: true })
      .udp(1, 2, { length: 999 })
      .payload('INVITE sip:b@c.d')
      .build();
    expect(judge.see(first.subarray(0, 48), first.length)).toEqual(heldBecause('undecided'));
    expect(judge.see(piece(7, 24, false))).toEqual(heldBecause('fragment'));
  });

  test('that overlap are held, and the rest of their packet', () => {
    const judge = new Judge('default pass');
    expect(judge.see(piece(7, 0, true))).toMatchObject({ verdict: 'pass', reason: 'default' });
    expect(judge.see(piece(7, 0, true))).toEqual(heldBecause('fragment-overlap'));
    expect(judge.see(piece(7, 16, true))).toEqual(heldBecause('fragment-overlap'));
    expect(judge.see(piece(8, 0, true))).toMatchObject({ verdict: 'pass' });
    expect(judge.see(piece(8, 8, true))).toEqual(heldBecause('fragment-overlap'));
  });

  test('whose first one was held for a problem are unknown', () => {
    const judge = new Judge('default pass');
    const first = frame().eth().ip4({ id: 7, moreFrags: true, proto: 6 }).payload(new Uint8Array(16)).build();
    expect(judge.see(first)).toEqual(heldBecause('fragment-no-l4'));
    expect(judge.see(piece(7, 16, false))).toEqual(heldBecause('fragment-unknown'));
  });

  test('that are later are held after a change of rules', () => {
    const judge = new Judge('default pass');
    judge.see(piece(7, 0, true));
    const next = generationOf('default drop', 2);
    judge.classifier.swap(next);
    expect(judge.classifier.generation).toBe(next);
    expect(judge.see(piece(7, 16, true))).toEqual(heldBecause('fragment-unknown'));
    expect(judge.see(piece(7, 0, true))).toEqual(byRule('drop', 0, 'default'));
    expect(judge.see(piece(7, 16, true))).toEqual(byRule('drop', 0, 'fragment'));
  });

  test('are forgotten by the clock that the caller tells', () => {
    const judge = new Judge('default pass');
    judge.see(piece(7, 0, true));
    judge.nowNs += 30e9 + 2000;
    expect(judge.see(piece(7, 16, true))).toEqual(heldBecause('fragment-unknown'));
  });

  test('over IPv6 have the verdict of their first though options stand behind the fragment header', () => {
    const judge = new Judge('udp dport 1 pass\ndefault drop');
    const ip6 = () => frame().eth().ip6();
    const first = ip6()
      .fragment({ id: 7, more: true })
      .dstopts()
      .udp(1000, 1, { length: 99 })
      .payload('12345678')
      .build();
    const later = ip6().fragment({ id: 7, offset: 24, next: 60 }).payload('abcdefgh').build();
    expect(judge.see(first)).toEqual(byRule('pass', 0));
    expect(judge.see(later)).toEqual(byRule('pass', 0, 'fragment'));
  });

  test('that are whole packets (RFC 6946) are judged by the rules, each anew', () => {
    const judge = new Judge('udp dport 1 pass\ndefault drop');
    const atomic = (dport: number) => frame().eth().ip6().fragment({ id: 7 }).udp(1, dport).build();
    for (const [dport, verdict] of [
      [1, 'pass'],
      [2, 'drop'],
      [1, 'pass'],
    ] as const) {
      expect(judge.see(atomic(dport))).toMatchObject({ verdict, unclassified: false });
    }
  });
});

test('a change of rules takes force at the next frame', () => {
  const judge = new Judge('default pass');
  expect(judge.see(udp(1))).toEqual(byRule('pass', 0, 'default'));
  judge.classifier.swap(generationOf('udp dport 2 hold\nudp dport 1 drop', 9));
  expect(judge.see(udp(1))).toEqual(byRule('drop', 1));
  expect(judge.classifier.generation.number).toBe(9);
});

describe('a frame is ordered', () => {
  test('by its protocol, whatever becomes of it', () => {
    const judge = new Judge('udp dport 1 pass\nmeta l4proto tcp drop');
    const orderedAfter = (bytes: Uint8Array) => {
      judge.see(bytes);
      return judge.classifier.ordered;
    };
    expect(orderedAfter(ip4().tcp(1, 2).build())).toBe(true);
    expect(orderedAfter(udp(1))).toBe(false);
    expect(orderedAfter(new Uint8Array(3))).toBe(true);
    expect(orderedAfter(udp(2))).toBe(false);
    expect(orderedAfter(ip4().tcp(1, 2).truncateTo(40).build())).toBe(true);
  });
});

describe('a rule that asks for order', () => {
  const rules = 'udp dport 1 class data ordered\nudp dport 2 class control ordered\nudp dport 3 pass\ndefault drop';
  const orderedAfter = (judge: Judge, bytes: Uint8Array) => {
    judge.see(bytes);
    return judge.classifier.ordered;
  };

  test('has it for the UDP frames that it decides about, and only for those', () => {
    const judge = new Judge(rules);
    expect([1, 2, 3, 4, 1].map((dport) => orderedAfter(judge, udp(dport)))).toEqual([true, true, false, false, true]);
    expect(orderedAfter(judge, ip4().udp(9, 1).truncateTo(40).build())).toBe(false);
    judge.classifier.swap(generationOf('default pass', 2));
    expect(orderedAfter(judge, udp(1))).toBe(false);
  });

  test('has it for the fragments of a datagram, first and later', () => {
    const judge = new Judge(rules);
    const piece = (id: number, offset: number, dport: number) => {
      const builder = frame().eth().ip4({ id, fragOffset: offset, moreFrags: true, proto: 17 });
      return offset === 0
        ? builder.udp(1000, dport, { length: 999 }).payload('12345678').build()
        : builder.payload('abcdefgh').build();
    };
    expect([0, 16, 24].map((offset) => orderedAfter(judge, piece(7, offset, 1)))).toEqual([true, true, true]);
    expect([0, 16].map((offset) => orderedAfter(judge, piece(8, offset, 3)))).toEqual([false, false]);
  });
});

describe('a rule under the TCP guard', () => {
  const tcp = (dport: number) => ip4().tcp(1000, dport).build();

  test('that would pass holds instead, with a reason of its own', () => {
    const judge = new Judge('tcp dport 1 class data guard\ntcp dport 2 pass\ndefault class data guard ordered');
    expect(judge.see(tcp(1))).toEqual(byRule('hold', 0, 'guard'));
    expect(judge.see(tcp(2))).toEqual(byRule('pass', 1));
    expect(judge.see(tcp(3))).toEqual(byRule('hold', 2, 'guard'));
    expect(judge.see(udp(1))).toEqual(byRule('hold', 2, 'guard'));
    expect(judge.classifier.ordered).toBe(true);
  });

  test('that holds anyway holds for its own reason', () => {
    const judge = new Judge('tcp dport 1 class control guard\ndefault class control guard');
    expect(judge.see(tcp(1))).toEqual(byRule('hold', 0));
    expect(judge.see(tcp(2))).toEqual(byRule('hold', 1, 'default'));
  });
});

describe('inbound', () => {
  const block = 'udp dport 1 pass\nudp dport 2 drop\ntcp dport 0-65535 class data';
  const piece = (offset: number, dport: number, more = true) => {
    const builder = frame().eth().ip4({ id: 7, fragOffset: offset, moreFrags: more, proto: 17 });
    return offset === 0
      ? builder.udp(1000, dport, { length: 999 }).payload('12345678').build()
      : builder.payload('abcdefgh').build();
  };
  const inbound = (rules: string, checksums = false) =>
    new Judge(generationOf('default drop', 1, rules), checksums, 'inbound');
  const droppedBecause = (reason: string): Judgement => ({ ...heldBecause(reason), verdict: 'drop' });

  test('without a block everything passes, whatever it is', () => {
    const judge = new Judge(generationOf('default drop'), true, 'inbound');
    expect(judge.classifier.block).toBeNull();
    for (const bytes of [udp(1), new Uint8Array(3), piece(16, 0), ip4().truncateTo(20).build()]) {
      expect(judge.see(bytes)).toEqual(byRule('pass', -1, 'inbound'));
    }
  });

  test('the block’s own rules decide, and what none of them matches passes', () => {
    const judge = inbound(block);
    expect(judge.see(udp(1))).toEqual(byRule('pass', 0));
    expect(judge.see(udp(2))).toEqual(byRule('drop', 1));
    expect(judge.see(ip4().tcp(1, 2).build())).toEqual(byRule('pass', 2));
    expect(judge.see(udp(3))).toEqual(byRule('pass', -1, 'inbound'));
    expect(inbound('udp dport 1 pass\ndefault drop').see(udp(3))).toEqual(byRule('drop', 1, 'default'));
  });

  test('what cannot be classified is dropped with its reason', () => {
    const judge = inbound(block, true);
    expect(judge.see(new Uint8Array(13))).toEqual(droppedBecause('truncated'));
    expect(judge.see(ip4().udp(1, 1, { length: 7 }).build())).toEqual(droppedBecause('malformed'));
    expect(judge.see(frame().eth({ type: 0x88cc }).build())).toEqual(droppedBecause('unknown-ethertype'));
    expect(judge.see(frame().eth().ip4({ checksum: 1 }).udp(1, 1).build())).toEqual(droppedBecause('bad-checksum'));
    expect(judge.see(piece(16, 0))).toEqual(droppedBecause('fragment-unknown'));
  });

  test('later fragments share what became of their first', () => {
    for (const [dport, expected] of [
      [1, byRule('pass', 0, 'fragment')],
      [2, byRule('drop', 1, 'fragment')],
      [3, byRule('pass', -1, 'fragment')],
    ] as const) {
      const judge = inbound(block);
      judge.see(piece(0, dport));
      expect(judge.see(piece(16, 0))).toEqual(expected);
      expect(judge.see(piece(16, 0))).toEqual(droppedBecause('fragment-overlap'));
    }
  });

  test('a block comes and goes with the rules', () => {
    const judge = inbound(block);
    judge.see(piece(0, 1));
    judge.classifier.swap(generationOf('default drop', 2));
    expect(judge.see(udp(2))).toEqual(byRule('pass', -1, 'inbound'));
    judge.classifier.swap(generationOf('default drop', 3, block));
    expect(judge.see(udp(2))).toEqual(byRule('drop', 1));
    expect(judge.see(piece(16, 0))).toEqual(droppedBecause('fragment-unknown'));
  });
});

describe('what rules look up', () => {
  const sets = 'set media { type inet_service; flags timeout; }';

  test('in a dynamic set is what it holds at the time of the frame, in both directions', () => {
    const generation = generationOf('udp dport @media pass\ndefault hold', 1, 'udp dport @media drop', sets);
    const judges = [new Judge(generation), new Judge(generation, false, 'inbound')] as const;
    const see = (nowNs: number) =>
      judges.map((judge) => {
        judge.nowNs = nowNs;
        return judge.see(udp(7)).verdict;
      });
    expect(see(5e18)).toEqual(['hold', 'pass']);
    generation.live.set('media')!.add([{ low: 7n, high: 7n }], 4096, 5e18);
    expect(see(5e18)).toEqual(['pass', 'drop']);
    expect(see(5e18 + 3072)).toEqual(['pass', 'drop']);
    expect(see(5e18 + 4096)).toEqual(['hold', 'pass']);
  });

  test('among declared flows is what the host has declared, for the class of the rule', () => {
    const generation = generationOf('udp dport 7 declared class data\ndefault hold');
    const judge = new Judge(generation);
    const flow = {
      ipVersion: 4,
      src: 0xc000_0201n,
      dst: 0xc633_6402n,
      protocol: 17,
      srcPort: 1000,
      dstPort: 7,
      vlanId: null,
    } as const;
    expect(judge.see(udp(7))).toEqual(byRule('hold', 1, 'default'));
    const { declared } = generation.live;
    const handle = declared.declare(flow, 'control', null, judge.nowNs)!;
    expect(judge.see(udp(7)).verdict).toBe('hold');
    declared.declare(flow, 'data', null, judge.nowNs);
    expect(judge.see(udp(7))).toEqual(byRule('pass', 0));
    declared.remove(handle, judge.nowNs);
    expect(judge.see(udp(7))).toEqual(byRule('pass', 0));
  });
});

test('every reason has a name and a text of its own', () => {
  expect(REASON_TEXTS).toHaveLength(REASON_NAMES.length);
  expect(new Set(REASON_NAMES).size).toBe(REASON_NAMES.length);
  for (const text of REASON_TEXTS) expect(text.length).toBeGreaterThan(5);
});

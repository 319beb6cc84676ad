import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatRuleError, MAX_ERRORS, type RuleError } from '../../rules/errors.ts';
import { includeFrom } from '../../rules/include.ts';
import { MAX_TOKENS } from '../../rules/lex.ts';
import { SHIPPED_SETS, shippedRulesPath } from '../../rules/load.ts';
import { type ParseResult, parseRules } from '../../rules/parse.ts';
import type { FieldMatch, FieldName, Rule } from '../../rules/rule.ts';
import { fileOf } from './rules.ts';

const WORDS = [
  ...[
    'class',
    'outbound',
    'default',
    'comment',
    'data',
    'control',
    'pass',
    'hold',
    'drop',
    'app',
    'sip',
    'rtp',
    'set',
    'guard',
    'ordered',
    'declared',
    'inbound',
    'define',
    'redefine',
    'undefine',
    'include',
    'typeof',
    'ipv4_addr',
    'inet_service',
    'interval',
    'timeout',
    'elements',
    'auto-merge',
    '30s',
    '$a',
    '@s',
    '@th,64,32',
    '"a"',
  ],
  ...[
    'ether',
    'vlan',
    'ip',
    'ip6',
    'meta',
    'arp',
    'tcp',
    'udp',
    'th',
    'icmp',
    'type',
    'id',
    'saddr',
    'daddr',
    'dport',
    'flags',
  ],
  ...[
    'l4proto',
    'protocol',
    'length',
    'syn',
    'ack',
    '5',
    '70000',
    '0x',
    '10.0.0.0',
    '::1',
    'fe80::',
    '8',
    '02:00:00:00:00:01',
  ],
  ...[
    '{',
    '}',
    '(',
    ')',
    ',',
    ';',
    '==',
    '!=',
    '=',
    '!',
    '<',
    '>=',
    '&',
    '|',
    '/',
    '-',
    '@',
    '$',
    '.',
    '"',
    '#',
    '\\',
    '\n',
    '\t',
    '\u0000',
  ],
];

const WHOLE = `class data pass
class junk drop   # never
define sip = { 5060, 5061 }
define low = 16384
set media { type inet_service; flags interval; auto-merge; elements = { $low - 32767, $sip } }
set rtp {
  typeof ip saddr . udp sport
  flags interval, timeout; timeout 1m30s; size 100; comment "live"
  elements = {
    192.0.2.1 . 5060 timeout 5s comment "one",
    10.0.0.0/8 . 1-5,
  }
}
outbound {
  define flags = syn|ack
  tcp flags & $flags == syn hold guard comment "starts"
  udp sport @media udp dport { $sip, 7 } class data ordered
  ip saddr . udp sport @rtp class data
  ip saddr . udp dport { 192.0.2.1 . 53, 192.0.2.0/24 . 1-9 } class data
  declared ip ttl & 1 == 0 class data
  @th,64,32 0x5349502f hold
  app != sip drop
  default hold
}
inbound {
  tcp dport 22 class junk
  default pass
}
`;

/** Holds of every answer, whatever the text. */
function judge(text: string, { ruleSet, errors, warnings, sources }: ParseResult): void {
  expect(ruleSet === null).toBe(errors.length > 0);
  expect(errors.length).toBeLessThanOrEqual(MAX_ERRORS + 1);
  expect(sources.get('x')).toBe(text);
  const linesOf = new Map([...sources].map(([file, source]) => [file, source.split('\n')]));
  for (const error of [...errors, ...warnings]) {
    const lines = linesOf.get(error.file)!;
    const line = lines[error.line - 1];
    expect(line, `line ${error.line} of ${lines.length}`).toBeDefined();
    expect(error.column).toBeGreaterThanOrEqual(1);
    expect(error.length).toBeGreaterThanOrEqual(0);
    expect(error.column - 1 + error.length).toBeLessThanOrEqual(line!.length + 1);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a rule file must not steer the terminal
    expect(formatRuleError(error, sources)).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f]/);
  }
  const files = [...sources.keys()];
  const places = errors.map(({ file, line, column }: RuleError) => files.indexOf(file) * 1e12 + line * 1e6 + column);
  expect(places).toEqual([...places].sort((a, b) => a - b));
}

describe('whatever the text, the parser answers with places inside it', () => {
  it('for any characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => judge(text, parseRules(text, 'x'))),
      { numRuns: 500 },
    );
  });

  it('for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = new TextDecoder().decode(bytes);
        judge(text, parseRules(text, 'x'));
      }),
      { numRuns: 500 },
    );
  });

  it('for any words of the language in any order', () => {
    const words = fc.array(fc.constantFrom(...WORDS), { maxLength: 60 }).map((list) => list.join(' '));
    fc.assert(
      fc.property(words, fc.boolean(), (text, inside) => {
        const whole = inside ? fileOf(text) : text;
        judge(whole, parseRules(whole, 'x'));
      }),
      { numRuns: 1000 },
    );
  });

  it('for any two files that include each other', () => {
    const piece = fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom(...WORDS) },
      fc.constantFrom('\ninclude "x"\n', '\ninclude "y"\n', '\ninclude "*"\n', '\ndefine a = { 1, $a }\n'),
    );
    const words = fc.array(piece, { maxLength: 30 }).map((list) => list.join(' '));
    fc.assert(
      fc.property(words, words, (x, y) => {
        const resolve = includeFrom(
          new Map([
            ['x', x],
            ['y', y],
          ]),
        );
        judge(x, parseRules(x, 'x', { resolve }));
      }),
      { numRuns: 500 },
    );
  });

  it('for a file of all that the language has, with any piece cut out, doubled or replaced', () => {
    const position = fc.nat(WHOLE.length);
    expect(parseRules(WHOLE, 'x').errors).toEqual([]);
    fc.assert(
      fc.property(position, position, fc.constantFrom('', ...WORDS), (from, to, put) => {
        const text = WHOLE.slice(0, from) + put + WHOLE.slice(to);
        judge(text, parseRules(text, 'x'));
      }),
      { numRuns: 1000 },
    );
  });

  it.each(SHIPPED_SETS)('for %s with any piece cut out, doubled or replaced', (name) => {
    const valid = readFileSync(shippedRulesPath(name), 'utf8');
    const position = fc.nat(valid.length);
    fc.assert(
      fc.property(position, position, fc.constantFrom('', ...WORDS), (from, to, put) => {
        const text = valid.slice(0, from) + put + valid.slice(to);
        judge(text, parseRules(text, 'x'));
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    '{',
    '(',
    '{\n',
    'outbound {',
    'udp dport {',
    'udp dport { 5,\n',
    'tcp flags (',
    'class ',
    '"',
    '\\\n',
    'a-',
    '}',
    '$',
    '$a ',
    '@',
    'set ',
    'set a {',
    'set a { type inet_service; elements = {\n',
    'elements = { 5,\n',
    'inbound {\n',
    'define a = {\n',
    'define a = 5\n',
    'define a = { 5,\n',
    '\ndefine',
    'include "a"\n',
    'undefine a\n',
    'guard ',
    'declared ',
    '5 . ',
  ])('for %j a hundred thousand times over', (piece) => {
    for (const text of [piece.repeat(100_000), fileOf(piece.repeat(100_000))]) judge(text, parseRules(text, 'x'));
  });

  it('for one word, one comment or one string of ten million characters', () => {
    for (const start of ['', '#', '"', 'udp dport ']) {
      const text = fileOf(start + 'a-'.repeat(5_000_000));
      parseRules(text, 'x');
    }
    expect(parseRules(fileOf(' '.repeat(10_000_000)), 'x').errors).toEqual([]);
  });

  it('for more words than are read', () => {
    const text = ';'.repeat(MAX_TOKENS + 10);
    expect(parseRules(text, 'x').errors).toMatchObject([{ code: 'too-large', line: 1, column: MAX_TOKENS + 1 }]);
  });

  it('a thousand errors are reported, then one more that says so', () => {
    const { errors } = parseRules(fileOf(...Array<string>(5000).fill('udp dport 70000 hold')), 'x');
    expect(errors).toHaveLength(MAX_ERRORS + 1);
    expect(errors.at(-1)).toMatchObject({
      code: 'too-many-errors',
      message: 'more than 1000 errors: the rest is not shown',
    });
  });

  it('ten thousand rules are read and checked', () => {
    const lines = Array.from(
      { length: 10_000 },
      (_, i) => `udp dport { ${i}, ${i + 3}-${i + 5} } tcp flags & (syn|ack) == syn hold`,
    );
    expect(parseRules(fileOf(...lines), 'x').warnings.filter(({ code }) => code === 'never-matches')).toHaveLength(
      10_000,
    );
  });
});

/** As much of a frame as the rules below look at; null: the frame does not have it. */
interface Frame {
  readonly etherType: number;
  readonly vlanId: number | null;
  readonly version: 4 | 6 | null;
  readonly protocol: number;
  readonly port: number;
  readonly flags: number;
}

function readField(field: FieldName, frame: Frame): number | null {
  const isIp = frame.version !== null;
  switch (field) {
    case 'ether.type':
      return frame.etherType;
    case 'vlan.id':
      return frame.vlanId;
    case 'ip.protocol':
      return frame.version === 4 ? frame.protocol : null;
    case 'meta.l4proto':
      return isIp ? frame.protocol : null;
    case 'th.dport':
      return isIp && [6, 17, 132].includes(frame.protocol) ? frame.port : null;
    case 'tcp.dport':
      return isIp && frame.protocol === 6 ? frame.port : null;
    case 'udp.dport':
      return isIp && frame.protocol === 17 ? frame.port : null;
    case 'tcp.flags':
      return isIp && frame.protocol === 6 ? frame.flags : null;
    default:
      throw new Error(`no rule here reads ${field}`);
  }
}

function isTrue(match: FieldMatch, frame: Frame): boolean {
  const value = readField(match.field, frame);
  if (value === null) return false;
  const masked = BigInt(value) & (match.mask ?? -1n);
  return match.intervals.some(({ low, high }) => masked >= low && masked <= high) !== match.negated;
}

function selects(rule: Rule, frame: Frame): boolean {
  return rule.matches.every((match) => isTrue(match as FieldMatch, frame));
}

const VALUES = ['1', '2', '3', '1-2', '{ 1, 3 }', '!= 2', '< 3', '!= { 1, 2 }'];
const MATCH = fc.oneof(
  fc
    .tuple(fc.constantFrom('tcp dport', 'udp dport', 'th dport'), fc.constantFrom('0-65535', ...VALUES))
    .map((parts) => parts.join(' ')),
  fc.constantFrom('0-4095', ...VALUES).map((id) => `vlan id ${id}`),
  fc.constantFrom('ether type ip', 'ether type != ip6', 'ether type { ip, ip6 }', 'ether type arp'),
  fc.constantFrom('ip protocol tcp', 'ip protocol != tcp', 'meta l4proto { tcp, udp }', 'meta l4proto != udp'),
  fc.constantFrom(
    'tcp flags syn',
    'tcp flags & (syn|ack) == syn',
    'tcp flags == syn',
    'tcp flags ! ack',
    'tcp flags { syn, ack }',
  ),
);
const LINES = fc.array(fc.array(MATCH, { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 8 });

/** Every frame that the matches above can tell apart. */
const FRAMES: readonly Frame[] = [null, 1, 2, 3, 4].flatMap((vlanId) =>
  ([4, 6, null] as const).flatMap((version) =>
    // An 802.3 length is what a packet below LLC/SNAP has instead of its EtherType.
    (version === 4 ? [0x0800, 100] : version === 6 ? [0x86dd, 100] : [0x0806, 0x9000]).flatMap((etherType) =>
      [6, 17, 132, 50].flatMap((protocol) =>
        [1, 2, 3, 4].flatMap((port) =>
          [0, 2, 16, 18].map((flags) => ({ etherType, vlanId, version, protocol, port, flags })),
        ),
      ),
    ),
  ),
);

describe('warnings are never wrong', () => {
  it('no frame reaches a rule that is said not to be reached, or matches one that is said to match none', () => {
    let told = 0;
    fc.assert(
      fc.property(LINES, (lines) => {
        const { ruleSet, warnings } = parseRules(fileOf(...lines.map((matches) => `${matches.join(' ')} hold`)), 'x');
        const rules = ruleSet!.outbound;
        for (const warning of warnings) {
          const rule = rules.find(({ place }) => place.line === warning.line);
          if (rule === undefined) continue;
          told++;
          for (const frame of FRAMES) {
            if (!selects(rule, frame)) continue;
            expect(warning.code, JSON.stringify(frame)).not.toBe('never-matches');
            // The rule that is named may hide only a part of it, where several do so together.
            const earlier = rules.slice(0, rules.indexOf(rule));
            expect(
              earlier.some((one) => selects(one, frame)),
              JSON.stringify(frame),
            ).toBe(true);
          }
        }
      }),
      { numRuns: 200 },
    );
    // Otherwise nothing was tested.
    expect(told).toBeGreaterThan(100);
  });
});

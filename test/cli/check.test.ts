import { chmodSync, lstatSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { matchWords } from '../../gateway/cli/check-words.ts';
import { SHIPPED_SETS } from '../../rules/load.ts';
import { parseRules } from '../../rules/parse.ts';
import { holdfast, jsonLines, TRACE_VM, TRACES, temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();
const capture = `${TRACES}dhcp.pcap`;
const call = `${TRACES}sip-rtp-call.pcapng`;
const MESSY = 'class data pass\noutbound {\n udp dport {5,6} class data # why\n default hold\n}\n';
const TIDY = 'class data pass\noutbound {\n  udp dport { 5, 6 }   class data  # why\n  default              hold\n}\n';
const BAD = folder.write('bad.rules', 'outbound {\n tcp dprt 5 hold\n}\n');

describe('check --format', () => {
  it('prints the file in its usual form and leaves it alone, exit 0', async () => {
    const path = folder.write('print.rules', MESSY);
    expect(await holdfast(['check', path, '--format'])).toMatchObject({ code: 0, stdout: TIDY, stderr: '' });
    expect(readFileSync(path, 'utf8')).toBe(MESSY);
    expect(await holdfast(['check', '-', '--format'], { stdin: MESSY })).toMatchObject({ code: 0, stdout: TIDY });
  });

  it('--write rewrites it in place, keeps its mode, follows a link, and says whether it changed', async () => {
    const path = folder.write('write.rules', MESSY);
    chmodSync(path, 0o640);
    const link = folder.path('link.rules');
    symlinkSync('write.rules', link);
    expect(await holdfast(['check', link, '--format', '--write'])).toMatchObject({
      code: 0,
      stdout: `${link}: rewritten\n`,
    });
    expect(readFileSync(path, 'utf8')).toBe(TIDY);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    const { ino } = statSync(path);
    const again = await holdfast(['check', path, '--format', '--write']);
    expect(again).toMatchObject({ code: 0, stdout: `${path}: has its usual form already\n` });
    expect(statSync(path).ino).toBe(ino);
    expect(readdirSync(dirname(path)).filter((name) => name.endsWith('.new'))).toEqual([]);
  });

  it('formats only the file that is named, not what it includes', async () => {
    const included = folder.write('inner.rules', 'class   data pass\n');
    const path = folder.write('outer.rules', 'include   "inner.rules"\noutbound { default class data }\n');
    const { code } = await holdfast(['check', path, '--format', '--write']);
    expect([code, readFileSync(included, 'utf8')]).toEqual([0, 'class   data pass\n']);
    expect(readFileSync(path, 'utf8')).toBe('include "inner.rules"\noutbound {\n  default   class data\n}\n');
  });

  it('does not touch a file with errors: they are told, exit 1', async () => {
    const text = readFileSync(BAD, 'utf8');
    for (const more of [[], ['--write']]) {
      const { code, stdout, stderr } = await holdfast(['check', BAD, '--format', ...more]);
      expect([code, stdout, readFileSync(BAD, 'utf8')]).toEqual([1, '', text]);
      expect(stderr).toContain(`${BAD}:2:6: error: `);
    }
  });

  it('does not touch a file with bytes that are not UTF-8, in a comment or a string', async () => {
    for (const [before, behind] of [
      ['# caf', '\noutbound {\n default hold }\n'],
      ['outbound {\n default hold comment "', '" }\n'],
    ] as const) {
      const bytes = Buffer.concat([Buffer.from(before), Uint8Array.of(0xe9, 0xff), Buffer.from(behind)]);
      const path = folder.write('latin1.rules', bytes);
      for (const more of [['--format', '--write'], ['--format'], ['--formatted']]) {
        const { code, stdout, stderr } = await holdfast(['check', path, ...more]);
        expect([code, stdout]).toEqual([1, '']);
        expect(stderr).toContain("error: unexpected '\ufffd'");
        expect(stderr).toContain('the file is not UTF-8 text');
        expect(readFileSync(path).equals(bytes)).toBe(true);
      }
    }
  });

  it('--json tells what became of it', async () => {
    const path = folder.write('json.rules', MESSY);
    const { stdout } = await holdfast(['check', path, '--format', '--write', '--json']);
    expect(jsonLines(stdout)).toEqual([{ file: path, changed: true, written: true, text: TIDY }]);
  });
});

describe('check --formatted', () => {
  it('asks whether the file has its usual form: exit 0 or 1', async () => {
    const tidy = folder.write('tidy.rules', TIDY);
    const messy = folder.write('messy.rules', MESSY);
    expect(await holdfast(['check', tidy, '--formatted'])).toMatchObject({ code: 0, stdout: `${tidy}: formatted\n` });
    const { code, stdout } = await holdfast(['check', messy, '--formatted']);
    expect([code, stdout]).toEqual([1, expect.stringContaining(`${messy}:3: not formatted`)]);
    const short = folder.write('short.rules', TIDY.trimEnd());
    expect(jsonLines((await holdfast(['check', short, '--formatted', '--json'])).stdout)).toEqual([
      { file: short, formatted: false, line: 6 },
    ]);
    expect(jsonLines((await holdfast(['check', tidy, '--formatted', '--json'])).stdout)).toEqual([
      { file: tidy, formatted: true, line: null },
    ]);
  });
});

const EXPLAINED = folder.write(
  'explained.rules',
  `class data pass
class control hold
set rtp { type ipv4_addr . inet_service; flags timeout; timeout 30s }
outbound {
  udp dport { 53, 5060-5061 } class control
  ip saddr 10.0.0.0/8 udp dport != 5060 udp sport {
    1-1023, 40000 } class data ordered comment "two lines"
  tcp flags & (syn|fin) != 0 hold; ip saddr . udp sport @rtp class data
  udp dport 53 class data
  @th,64,32 0x5349502f app dns type != query class data guard
  default class control
}
inbound { tcp dport 22 drop }
`,
);

describe('check --explain', () => {
  it('says in words what a rule selects, what becomes of it, and which rules come first', async () => {
    const { code, stdout, stderr } = await holdfast(['check', EXPLAINED, '--explain', '2']);
    expect([code, stderr]).toEqual([0, '']);
    expect(
      stdout,
    ).toBe(`rule 2, line 6, outbound: ip saddr 10.0.0.0/8 udp dport != 5060 udp sport { 1-1023, 40000 } class data ordered comment "two lines"

selects frames of which all of this is true
  ip saddr is 10.0.0.0/8  (IPv4)
  udp dport is there and is not 5060 (sip)  (UDP over IPv4 or IPv6)
  udp sport is 1 to 1023 or 40000  (UDP over IPv4 or IPv6)

class 'data': such a frame passes: it leaves at once
  ordered: frames of a UDP flow do not overtake each other, either
  comment: two lines

rules above that take some of these frames first
  line 5: udp dport { 53, 5060-5061 } class control
    for example ip saddr 10.0.0.0, udp dport 53, udp sport 40000

other frames
  a frame that is not IPv4 and UDP over IPv4 or IPv6 does not match, also where a match says '!=': it goes on to line 8
  a frame whose EtherType is not parsed is held (unknown-ethertype), unless a match on Ethernet above it is false or an earlier rule decides
  a later fragment gets the verdict of its first fragment
`);
  });

  it.each<[string, string, number]>([
    ['its handle', '5', 5],
    ['its line', ':9', 5],
    ['a line that it goes on to', ':7', 2],
    ['the name of its file and its line', 'explained.rules:10', 6],
    ['the path of its file and its line', `${EXPLAINED}:13`, 8],
  ])('takes %s', async (_, wanted, handle) => {
    const { code, stdout } = await holdfast(['check', EXPLAINED, '--explain', wanted, '--json']);
    expect([code, jsonLines(stdout)[0]!.handle]).toEqual([0, handle]);
  });

  it('tells of a rule that another one hides', async () => {
    const { stdout } = await holdfast(['check', EXPLAINED, '--explain', ':9']);
    expect(stdout).toContain('warning: this rule is never reached');
    expect(stdout).toContain('line 5: udp dport { 53, 5060-5061 } class control\n    all of them\n');
  });

  it.each([
    [':8', '2 rules stand on line 8: name one by its handle, 3 or 4'],
    [':1', 'no rule stands on line 1: the nearest is rule 1 on line 5'],
    ['10', "there is no rule 10: handles are 1 to 8: did you mean ':10', the rule on line 10?"],
    ['99', 'there is no rule 99: handles are 1 to 8'],
    ['explaind.rules:5', "no rule stands in 'explaind.rules'"],
    ['first', "'first' names no rule: expected a handle such as 7, or :LINE, or FILE:LINE"],
  ])('%s: says which rules there are, exit 2', async (wanted, words) => {
    const { code, stdout, stderr } = await holdfast(['check', EXPLAINED, '--explain', wanted]);
    expect([code, stdout, stderr]).toEqual([2, '', `holdfast: ${words}\n`]);
  });

  it('has words for every kind of match', () => {
    const { ruleSet, errors } = parseRules(
      `set rtp { type ipv4_addr . inet_service; flags timeout; }
set none { type inet_service; }
outbound {
  ether type 0x88cc vlan pcp > 3 hold
  ip frag-off & 0x2000 != 0 hold
  ip saddr & 255.0.0.255 == 10.0.0.1 hold
  tcp flags & (syn|ack) == syn hold
  tcp flags ! fin hold
  tcp flags { syn, syn|ack } hold
  ip saddr . udp dport { 192.0.2.1 . 53, 10.0.0.0/8 . 1-9 } hold
  ip saddr . udp dport != 192.0.2.1 . 53 hold
  ip saddr . udp sport != @rtp hold
  udp dport @none hold
  app bgp type { open, update } hold
  app sip type != request hold
  app != tls hold
  declared udp length <= 20 hold
  @ll,96,16 0x0800-0x0806 hold
  udp sport { 1, 3, 5, 7, 9, 11, 13, 15 } hold
  tcp dport 0-65535 hold
}
`,
      'kinds.rules',
    );
    expect(errors).toEqual([]);
    const words = ruleSet!.outbound.map(({ matches }) => matches.map(matchWords));
    expect(words).toEqual([
      ['ether type is 0x88cc', 'vlan pcp is 4 or more'],
      ['ip frag-off & 0x2000 is there and is not 0x0'],
      ['ip saddr & 255.0.0.255 is 10.0.0.1'],
      ['of the TCP flags syn, ack, those that are set are exactly: syn'],
      ['none of the TCP flags fin is set'],
      ['the TCP flags that are set are exactly: syn; or syn, ack'],
      ['ip saddr . udp dport is one of 192.0.2.1 . 53 (domain) or 10.0.0.0/8 . 1 to 9'],
      ['ip saddr . udp dport is none of 192.0.2.1 . 53 (domain)'],
      ["ip saddr . udp sport is not an element of the dynamic set 'rtp' when the frame comes"],
      ['udp dport is in an empty set: never true'],
      ['the payload is recognised as bgp, of type open or update'],
      ['the payload is recognised as sip, of type other than request'],
      ['the payload is not recognised as tls'],
      [
        "the host has declared the frame's flow, with this rule's class or without naming one",
        'udp length is up to 20',
      ],
      ['the number in the 16 bits from bit 96 after the start of the destination MAC address is 0x800 to 0x806'],
      ['udp sport is 1, 3, 5, 7, 9, 11 and 2 more'],
      ['tcp dport is there, with any value'],
    ]);
  });
});

describe('check --against', () => {
  it('counts what each rule decides, marks rules that never do, and what falls to default', async () => {
    const { code, stdout, stderr } = await holdfast(['check', 'telephony', '--against', call, '--vm', TRACE_VM]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^719 frames against \S+telephony.rules\n/);
    expect(stdout).toContain('2 fell to default, 0 to no rule; 7 of 11 rules never decided');
    expect(stdout).toMatch(/ 1 +\d+ +3 +1,654 +4 +th sport \$SIP/);
    expect(stdout).toMatch(/ 2 +\d+ +0 +0 +never +th dport \$SIP/);
    expect(stdout).toMatch(/inbound +360 +travels to the VM/);
  });

  it('--json agrees with explain, frame by frame', async () => {
    const captures = [call, capture];
    const args = ['--vm', TRACE_VM, '--json'];
    const [against] = jsonLines((await holdfast(['check', 'default', '--against', ...captures, ...args])).stdout) as [
      {
        frames: number;
        bytes: number;
        rules: { handle: number; frames: number; bytes: number; first: unknown }[];
        reasons: Record<string, number>;
        default: number;
        noRule: number;
      },
    ];
    const lines = jsonLines((await holdfast(['explain', ...captures, '--rules', 'default', ...args])).stdout);
    expect(against.frames).toBe(lines.length);
    const reasons: Record<string, number> = {};
    for (const { reason } of lines) reasons[reason as string] = (reasons[reason as string] ?? 0) + 1;
    expect(against.reasons).toEqual(reasons);
    expect(against.default).toBe(reasons.default ?? 0);
    for (const { handle, frames, bytes, first } of against.rules) {
      const decided = lines.filter(({ rule }) => (rule as { handle: number } | null)?.handle === handle);
      expect(frames).toBe(decided.length);
      expect(bytes).toBe(decided.reduce((sum, { len }) => sum + (len as number), 0));
      expect(first).toEqual(decided.length === 0 ? null : { file: decided[0]!.file, pkt: decided[0]!.pkt });
    }
  });

  it('names the file of a first frame among several captures, and rules of both directions', async () => {
    const path = folder.write(
      'both.rules',
      'outbound { udp dport 68 pass }\ninbound { udp dport 67 pass; arp operation 1 drop }\n',
    );
    const { stdout } = await holdfast(['check', path, '--against', call, capture, '--vm', TRACE_VM]);
    expect(stdout).toMatch(/out +1 +1 +\d+ +[\d,]+ +\S+dhcp.pcap:\d+ +udp dport 68 pass/);
    expect(stdout).toMatch(/in +2 +2 .*udp dport 67 pass/);
    expect(stdout).toMatch(/no rule: see reasons/);
  });

  it('a damaged capture: what is good counts, exit 1', async () => {
    const cut = folder.write('cut.pcap', readFileSync(capture).subarray(0, -5));
    const { code, stdout, stderr } = await holdfast(['check', 'default', '--against', cut, '--json']);
    expect([code, jsonLines(stdout)[0]!.frames]).toEqual([1, expect.any(Number)]);
    expect(stderr).toContain('damaged at byte');
  });
});

describe('standard input', () => {
  it('has one name in all that check says', async () => {
    const bad = 'outbound {\n tcp dprt 5 hold\n}\n';
    const { stdout } = await holdfast(['check', '-'], { stdin: bad });
    expect(stdout).toMatch(/^<stdin>:2:6: error: /);
    expect(stdout).toMatch(/\n<stdin>: 1 error\n$/);
    expect(jsonLines((await holdfast(['check', '-', '--json'], { stdin: bad })).stdout)[0]).toMatchObject({
      file: '<stdin>',
      errors: [{ file: '<stdin>' }],
    });
    for (const more of [['--format'], ['--formatted'], ['--explain', '1'], ['--against', capture]]) {
      const { stderr } = await holdfast(['check', '-', ...more], { stdin: bad });
      expect(stderr).toMatch(/^<stdin>:2:6: error: /);
      expect(stderr).toMatch(/\nholdfast: <stdin>: 1 error; nothing was done\n$/);
    }
    const tidy = await holdfast(['check', '-', '--formatted'], { stdin: TIDY });
    expect(tidy.stdout).toBe('<stdin>: formatted\n');
    const against = await holdfast(['check', '-', '--against', capture], { stdin: TIDY });
    expect(against.stdout).toMatch(/^[\d,]+ frames against <stdin>\n/);
  });

  it('may not include the folder that it stands in for', async () => {
    const { code, stdout } = await holdfast(['check', '-'], { stdin: 'include "."\noutbound { default hold }\n' });
    expect([code, stdout]).toEqual([1, expect.stringContaining("cannot include '.': it is a directory")]);
  });
});

describe('a wrong call of check', () => {
  it.each<[string[], string]>([
    [['default', '--write'], '--write goes with --format'],
    [['default', '--format', '--write'], "'default' is a shipped set, which is not rewritten"],
    [['-', '--format', '--write'], 'standard input cannot be rewritten'],
    [['default', '--format', '--formatted'], "cannot be used with option '--formatted'"],
    [['default', '--explain', '1', '--against', capture], 'cannot be used with option'],
    [['default', '--vm', '192.0.2.1'], '--vm and --verify-checksums go with --against'],
    [['-', '--against', '-'], 'standard input can be read only once'],
    [['default', '--against'], 'argument missing'],
    [['default', '--against', 'nothing.pcap'], 'no such file'],
    [['default', '--explian', '1'], 'Did you mean --explain?'],
    [['nothing.rules', '--formatted'], 'there is no such file'],
  ])('%s: one line on stderr, exit 2', async (args, words) => {
    const { code, stdout, stderr } = await holdfast(['check', ...args], { stdin: MESSY });
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^holdfast: [^\n]+\n$/);
    expect(stderr).toContain(words);
  });

  it('invalid rules are exit 1, whatever is asked', async () => {
    for (const more of [['--explain', '1'], ['--against', capture], ['--formatted']]) {
      const { code, stdout, stderr } = await holdfast(['check', BAD, ...more]);
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toContain(`${BAD}:2:6: error: `);
    }
  });
});

describe('help of --rules', () => {
  it('names every shipped set', async () => {
    const { stdout } = await holdfast(['explain', '--help']);
    for (const name of SHIPPED_SETS) expect(stdout.replace(/\s+/g, ' ')).toContain(name);
  });
});

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { holdfast, jsonLines, pcapOf, TRACES, temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();
const capture = `${TRACES}dhcp.pcap`;
const BAD_RULES = folder.write(
  'bad.rules',
  'class a pass\noutbound {\n  tcp dprt 5 class a\n\tudp dport 99999 class b\n}\n',
);
const WARNED_RULES = folder.write(
  'warned.rules',
  'class a pass\noutbound {\n  udp dport 1-100 class a\n  udp dport 50 class a\n  default class a\n}\n',
);

describe('help', () => {
  it.each([['explain'], ['replay'], ['check'], []])('%s --help is printed on stdout, exit 0', async (...command) => {
    const { code, stdout, stderr } = await holdfast([...command, '--help']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^Usage: holdfast/);
    if (command.length > 0) expect(stdout).toContain('--json');
  });

  it('--version prints the version', async () => {
    const { code, stdout } = await holdfast(['--version']);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)]);
  });
});

describe('a wrong call', () => {
  it('leaves the file that --out names as it was', async () => {
    const out = folder.write('before.pcapng', 'what was there');
    const { code } = await holdfast(['replay', capture, '--out', out, '--buffer-bytes', '1000']);
    expect([code, readFileSync(out, 'utf8')]).toEqual([2, 'what was there']);
  });

  it.each<[string, string[], string]>([
    ['an unknown command', ['explian'], 'Did you mean explain?'],
    ['no command', [], "see 'holdfast --help'"],
    ['an unknown option', ['explain', '--jsn', capture], 'Did you mean --json?'],
    ['no capture', ['explain'], "missing required argument 'capture'"],
    ['no rules', ['check'], "missing required argument 'rules'"],
    ['an epoch without a unit', ['replay', capture, '--epoch', '100'], 'expected a duration'],
    ['an epoch of no time', ['replay', capture, '--epoch', '0ms'], 'above 0'],
    ['a negative failure time', ['replay', capture, '--fail-at', '-1s'], 'expected a duration'],
    ['an endless commit delay', ['replay', capture, '--commit-delay', '999999999999999m'], 'at most 104 days'],
    ['an unknown pacing', ['replay', capture, '--pace', 'fast'], 'burst, paced'],
    ['frame 0', ['explain', capture, '--frame', '0'], 'from 1 on'],
    [
      'an address that is none',
      ['explain', capture, '--vm', '192.0.2.300'],
      "'192.0.2.300' is no MAC address, IP address",
    ],
    ['a prefix that is too long', ['replay', capture, '--vm', '192.0.2.0/33'], 'prefix'],
    ['stdin twice', ['explain', '-', '-'], 'standard input can be read only once'],
    ['stdin twice in a merge', ['replay', '-', capture, '-'], 'standard input can be read only once'],
    ['a missing capture', ['explain', folder.path('nothing.pcap')], 'no such file'],
    ['a folder', ['replay', TRACES], 'it is a directory'],
    ['an empty capture', ['explain', folder.write('empty.pcap', '')], 'empty.pcap: the file is empty'],
    ['an empty stdin', ['replay', '-'], 'standard input: the file is empty'],
    [
      'no capture at all',
      ['replay', folder.write('text.pcap', 'hello world')],
      'text.pcap: not a capture: it begins with 68 65 6c 6c',
    ],
    ['missing rules', ['explain', capture, '--rules', folder.path('none.rules')], 'there is no such file'],
    ['rules that are a folder', ['check', TRACES], 'it is a directory'],
    ['an --out that cannot be written', ['replay', capture, '--out', folder.path('no/such.pcapng')], 'cannot write'],
    ['a buffer below one frame', ['replay', capture, '--buffer-bytes', '1K'], 'at least one frame'],
    ['a buffer beyond 4 GiB', ['replay', capture, '--buffer-bytes', '5G'], '4 GiB'],
    [
      'backpressure without room',
      ['replay', capture, '--buffer-frames', '1', '--overflow', 'backpressure'],
      'backpressure',
    ],
  ])('%s: one line on stderr, nothing on stdout, exit 2', async (_, args, words) => {
    const { code, stdout, stderr } = await holdfast(args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^holdfast: [^\n]+\n$/);
    expect(stderr).toContain(words);
    // The path is named once.
    for (const path of args.filter((arg) => arg.startsWith('/')))
      expect(stderr.split(path).length).toBeLessThanOrEqual(2);
  });

  it('--out over a capture that is being read is refused, and the capture is as it was', async () => {
    const bytes = pcapOf([{ bytes: new Uint8Array(60) }]);
    const path = folder.write('precious.pcap', bytes);
    const { code, stderr } = await holdfast(['replay', path, '--out', path]);
    expect([code, stderr]).toEqual([2, `holdfast: --out ${path} is one of the captures\n`]);
    expect((await holdfast(['explain', '--json', path])).stdout).toContain('"pkt":1');
  });

  it('invalid --rules: every error with its place and caret, exit 2', async () => {
    for (const command of ['explain', 'replay']) {
      const { code, stdout, stderr } = await holdfast([command, capture, '--rules', BAD_RULES]);
      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toContain(`${BAD_RULES}:3:7: error: `);
      expect(stderr).toContain(`${BAD_RULES}:4:12: error: `);
      expect(stderr).toContain(`${BAD_RULES}:4:24: error: `);
      expect(stderr).toMatch(/3 errors; nothing was done\n$/);
    }
  });
});

describe('check', () => {
  it.each(['default', 'hold-all', 'telephony', 'router', 'web'])(
    'the shipped set %s is valid, without a warning',
    async (set) => {
      const { code, stdout } = await holdfast(['check', set]);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^\S+\.rules: \d+ rules?, 0 errors, 0 warnings\n$/);
    },
  );

  it('invalid rules: every error with a caret under its word, exit 1', async () => {
    const { code, stdout, stderr } = await holdfast(['check', BAD_RULES]);
    expect([code, stderr]).toEqual([1, '']);
    expect(stdout).toContain(
      `${BAD_RULES}:3:7: error: 'tcp' has no field 'dprt'\n    tcp dprt 5 class a\n        ^^^^\n`,
    );
    expect(stdout).toContain(`  \tudp dport 99999 class b\n  \t          ^^^^^\n`);
    expect(stdout.match(/^\s*\^+$/gm)).toHaveLength(3);
    expect(stdout).toMatch(/: 3 errors\n$/);
  });

  it('warnings are told, exit 0', async () => {
    const { code, stdout } = await holdfast(['check', WARNED_RULES]);
    expect(code).toBe(0);
    expect(stdout).toContain(`${WARNED_RULES}:4:3: warning: `);
    expect(stdout).toMatch(/3 rules, 0 errors, 1 warning\n$/);
  });

  it('--json is one line with file, errors, warnings', async () => {
    const good = await holdfast(['check', '--json', WARNED_RULES]);
    expect(jsonLines(good.stdout)).toEqual([
      {
        valid: true,
        file: WARNED_RULES,
        errors: [],
        warnings: [expect.objectContaining({ line: 4, column: 3 })],
        rules: 3,
      },
    ]);
    const bad = await holdfast(['check', '--json', BAD_RULES]);
    expect(bad.code).toBe(1);
    const [{ valid, errors }] = jsonLines(bad.stdout) as [{ valid: boolean; errors: Record<string, unknown>[] }];
    expect(valid).toBe(false);
    expect(errors.map(({ line, column, code }) => [line, column, code])).toEqual([
      [3, 7, 'unknown-field'],
      [4, 12, 'out-of-range'],
      [4, 24, 'unknown-class'],
    ]);
    for (const { file, message } of errors) expect([file, typeof message]).toEqual([BAD_RULES, 'string']);
  });

  it('- is standard input', async () => {
    const { code, stdout } = await holdfast(['check', '-'], { stdin: 'outbound {\n  default hold\n}\n' });
    expect([code, stdout]).toEqual([0, '<stdin>: 1 rule, 0 errors, 0 warnings\n']);
  });
});

import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { holdfast, jsonLines, TRACE_VM, TRACES, temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();
const call = `${TRACES}sip-rtp-call.pcapng`;
const OLD = folder.write(
  'old.rules',
  'class data pass\nclass control hold\noutbound {\n  udp dport 5060 class control\n  app rtp class data\n  default class control\n}\n',
);
const NEW = folder.write(
  'new.rules',
  'class data pass\nclass control hold\noutbound {\n  app rtp class data ordered\n  udp dport 5060 class control\n  arp operation 1-2 pass\n  default class control\n}\n',
);
const BAD = folder.write('bad.rules', 'outbound {\n tcp dprt 5 hold\n}\n');

describe('rules diff', () => {
  it('prints what differs between the rules, exit 1; nothing and exit 0 where nothing does', async () => {
    expect(await holdfast(['rules', 'diff', OLD, NEW])).toEqual({
      code: 1,
      signal: null,
      stderr: '',
      stdout: `--- ${OLD}
+++ ${NEW}
@@ outbound @@
! options, place
- 5: app rtp class data  (pass)
+ 4: app rtp class data ordered  (pass)
+ 6: arp operation 1-2 pass
`,
    });
    expect(await holdfast(['rules', 'diff', OLD, OLD])).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });

  it('--json has each difference', async () => {
    const { code, stdout } = await holdfast(['rules', 'diff', OLD, NEW, '--json']);
    expect([code, jsonLines(stdout)]).toEqual([
      1,
      [
        {
          equal: false,
          classes: [],
          sets: [],
          inboundBlock: null,
          rules: [
            {
              kind: 'changed',
              block: 'outbound',
              changes: ['options'],
              moved: true,
              before: { handle: 2, file: OLD, line: 5, text: 'app rtp class data', class: 'data', verdict: 'pass' },
              after: {
                handle: 1,
                file: NEW,
                line: 4,
                text: 'app rtp class data ordered',
                class: 'data',
                verdict: 'pass',
              },
            },
            {
              kind: 'added',
              block: 'outbound',
              changes: [],
              moved: false,
              before: null,
              after: { handle: 3, file: NEW, line: 6, text: 'arp operation 1-2 pass', class: null, verdict: 'pass' },
            },
          ],
        },
      ],
    ]);
    expect(jsonLines((await holdfast(['rules', 'diff', OLD, OLD, '--json'])).stdout)[0]).toMatchObject({ equal: true });
  });

  it('names classes, sets and blocks that differ', async () => {
    const text =
      'class data drop\nset s { type inet_service; flags dynamic; }\noutbound {\n  udp dport @s class data\n}\ninbound {\n}\n';
    const path = folder.write('named.rules', text);
    const { stdout } = await holdfast(['rules', 'diff', OLD, path]);
    for (const line of [
      '- class data pass',
      '+ class data drop',
      '- class control hold',
      '+ set s',
      '+ inbound { … }',
    ]) {
      expect(stdout.split('\n')).toContain(line);
    }
  });
});

describe('rules diff --replay', () => {
  it('lists frames whose verdict, class or order differs, up to a limit, and counts them all', async () => {
    const { code, stdout, stderr } = await holdfast([
      'rules',
      'diff',
      OLD,
      NEW,
      '--replay',
      call,
      '--vm',
      TRACE_VM,
      '--limit',
      '2',
    ]);
    expect([code, stderr]).toEqual([1, '']);
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(
      /^2 \d+\.\d{9} out .* arp 2 .*: hold control \[6: default class control\] -> pass \[6: arp operation 1-2 pass\]$/,
    );
    expect(lines[2]).toMatch(/^… and \d+ more$/);
    expect(stdout).toContain(' of 719 frames are judged differently\n');
    expect(stdout).toMatch(
      / 351 +9 +pass data \[5: app rtp class data\] +pass data ordered \[4: app rtp class data ordered\]/,
    );
  });

  it('agrees with explain under both, frame by frame', async () => {
    const other = ['default', 'web'];
    const args = ['--vm', TRACE_VM, '--json'];
    const captures = [call, `${TRACES}icmp.pcapng`, `${TRACES}dns.pcapng`];
    const [result] = jsonLines(
      (await holdfast(['rules', 'diff', ...other, '--replay', ...captures, ...args, '--limit', '100000'])).stdout,
    ) as [{ frames: number; changed: number; changes: { file: string; pkt: number }[]; summary: { frames: number }[] }];
    const [before, after] = await Promise.all(
      other.map(async (rules) =>
        jsonLines((await holdfast(['explain', ...captures, '--rules', rules, ...args])).stdout),
      ),
    );
    const changed = before!.filter(
      (frame, i) => frame.verdict !== after![i]!.verdict || frame.class !== after![i]!.class,
    );
    expect(changed.length).toBeGreaterThan(100);
    expect(result.frames).toBe(before!.length);
    expect(result.changes.map(({ file, pkt }) => `${file}:${pkt}`)).toEqual(
      changed.map(({ file, pkt }) => `${file}:${pkt}`),
    );
    expect(result.changed).toBe(changed.length);
    expect(result.summary.reduce((sum, { frames }) => sum + frames, 0)).toBe(changed.length);
  });

  it('says so where nothing differs, exit 0', async () => {
    const { code, stdout } = await holdfast(['rules', 'diff', OLD, OLD, '--replay', call]);
    expect([code, stdout]).toEqual([0, 'no difference in 719 frames\n']);
    const { stdout: only } = await holdfast(['rules', 'diff', OLD, NEW, '--replay', call, '--limit', '0']);
    expect(only).toMatch(/^\d+ of 719 frames are judged differently\n/);
  });
});

describe('rules from-nft', () => {
  const good = folder.write(
    'good.nft',
    'table inet filter {\n\tchain output {\n\t\ttype filter hook output priority filter; policy drop;\n\t\ttcp dport 22 accept\n\t}\n}\n',
  );

  it('prints a rule file, which is right, and how many rules were taken, exit 0', async () => {
    const { code, stdout, stderr } = await holdfast(['rules', 'from-nft', good]);
    expect([code, stderr]).toEqual([0, `${good}: chain 'inet filter output': 1 rule taken, 0 not taken\n`]);
    expect(await holdfast(['check', '-'], { stdin: stdout })).toMatchObject({
      code: 0,
      stdout: '<stdin>: 3 rules, 0 errors, 0 warnings\n',
    });
    expect(await holdfast(['check', '-', '--formatted'], { stdin: stdout })).toMatchObject({ code: 0 });
  });

  it('names what was not taken with line and reason, exit 1', async () => {
    const text =
      'table inet filter {\n\tchain output {\n\t\ttype filter hook output priority filter; policy accept;\n\t\tct state new drop\n\t\tudp dport 5 accept\n\t}\n}\n';
    const { code, stdout, stderr } = await holdfast(['rules', 'from-nft', '-'], { stdin: text });
    expect(code).toBe(1);
    expect(stderr).toBe(
      "<stdin>:4: not taken: ct state new drop: 'ct' is not part of the language\n<stdin>: chain 'inet filter output': 1 rule taken, 1 not taken\n",
    );
    expect(stdout).toContain('udp dport 5              class unsure-accepted\n');
    const json = await holdfast(['rules', 'from-nft', '-', '--json'], { stdin: text });
    expect([json.code, json.stderr]).toEqual([1, '']);
    expect(jsonLines(json.stdout)).toEqual([
      {
        chain: 'inet filter output',
        taken: 1,
        notTaken: [{ line: 4, text: 'ct state new drop', reason: "'ct' is not part of the language" }],
        rules: [{ line: 5, text: 'udp dport 5 class unsure-accepted' }],
        text: stdout,
      },
    ]);
  });
});

describe('a wrong call of rules', () => {
  const none = folder.write('none.nft', '');
  const input = folder.write(
    'input.nft',
    'table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t\ttcp dport 22 accept\n\t}\n}\n',
  );
  it.each<[string[], string]>([
    [[], "a command is missing: see 'holdfast --help'"],
    [['dif', OLD, NEW], 'Did you mean diff?'],
    [['diff'], 'name a rule file, or --from a generation'],
    [['diff', OLD, '--replay', call], '--replay compares two files'],
    [['diff', OLD, NEW, '--from', '1'], '--from, --to and --control are for the rules of a running gateway'],
    [['diff', '-', '-'], 'standard input can be read only once'],
    [['diff', OLD, '-', '--replay', '-'], 'standard input can be read only once'],
    [['diff', OLD, NEW, '--vm', '192.0.2.1'], '--vm and --verify-checksums go with --replay'],
    [['diff', OLD, NEW, '--replay', call, '--limit', '-1'], 'expected a whole number'],
    [['diff', OLD, NEW, '--replay', 'nothing.pcap'], 'no such file'],
    [['diff', OLD, NEW, '--relpay', call], 'Did you mean --replay?'],
    [['diff', OLD, 'telefony'], "did you mean the shipped set 'telephony'?"],
    [['from-nft'], "missing required argument 'file'"],
    [['from-nft', 'nothing.nft'], 'there is no such file'],
    [['from-nft', TRACES], 'it is a directory'],
    [['from-nft', input], "no frame of the VM leaves: to take it all the same, say --chain 'inet filter input'"],
    [['from-nft', none], "there is no chain in it: expected what 'nft list ruleset' prints"],
  ])('%s: one line on stderr, nothing on stdout, exit 2', async (args, words) => {
    const { code, stdout, stderr } = await holdfast(['rules', ...args]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^holdfast: [^\n]+\n$/);
    expect(stderr).toContain(words);
  });

  it('invalid rules are exit 2', async () => {
    for (const more of [[], ['--replay', call]]) {
      const { code, stdout, stderr } = await holdfast(['rules', 'diff', OLD, BAD, ...more]);
      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toContain(`${BAD}:2:6: error: `);
    }
  });

  it.each(['rules', 'rules diff', 'rules from-nft'])('%s --help is printed on stdout, exit 0', async (command) => {
    const { code, stdout, stderr } = await holdfast([...command.split(' '), '--help']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^Usage: holdfast rules/);
  });
});

describe('completion', () => {
  async function completed(...words: readonly string[]): Promise<string[]> {
    const { stdout: script } = await holdfast(['completion', 'bash']);
    const set = `COMP_WORDS=(holdfast ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}`;
    const { stdout } = spawnSync('bash', ['-c', `${script}\n${set}; _holdfast; echo "\${COMPREPLY[@]}"`], {
      encoding: 'utf8',
    });
    return stdout.trim().split(/\s+/);
  }

  it.each<[string[], string[]]>([
    [['rul'], ['rules']],
    [
      ['rules', ''],
      [
        'diff',
        'from-nft',
        'add',
        'insert',
        'replace',
        'delete',
        'apply',
        'check',
        'edit',
        'list',
        'history',
        'rollback',
        'confirm',
        'audit',
      ],
    ],
    [['rules', 'diff', '--r'], ['--replay']],
    [['rules', 'from-nft', '--c'], ['--chain']],
    [
      ['check', '--f'],
      ['--format', '--formatted'],
    ],
    [
      ['replay', '--pace', ''],
      ['burst', 'paced'],
    ],
    [['host', 'se'], ['seal']],
    [['host', 'commit', '--e'], ['--epoch']],
    [
      ['host', 'stop', '--held', ''],
      ['release', 'discard', 'keep'],
    ],
    [
      ['set', ''],
      ['add', 'delete', 'list'],
    ],
    [
      ['capture', '--side', ''],
      ['inside', 'outside'],
    ],
    [['top', '--i'], ['--interval']],
    [['status', '--w'], ['--watch']],
    [['metr'], ['metrics']],
  ])('in bash knows what follows %s', async (words, expected) => {
    expect(await completed(...words)).toEqual(expected);
  });

  it.each(['zsh', 'fish'])('in %s has the commands of commands', async (shell) => {
    const { code, stdout } = await holdfast(['completion', shell]);
    expect(code).toBe(0);
    for (const word of ['from-nft', 'diff', 'formatted', 'against']) expect(stdout).toContain(word);
  });
});

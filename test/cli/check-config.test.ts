import { describe, expect, it } from 'vitest';
import { holdfast, jsonLines, temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();
folder.write('good.rules', 'class data pass\noutbound {\n  udp dport 5   class data\n  default       hold\n}\n');
folder.write('doubtful.rules', 'outbound {\n  udp dport 5 hold\n  udp dport 5 pass\n}\n');
folder.write('bad.rules', 'outbound {\n tcp dprt 5 hold\n}\n');

function config(name: string, rules: readonly string[], top = ''): string {
  const vms = rules.map((file, i) => `  vm${i}: { inside: tap${i}, outside: eth${i}, rules: ${file} }\n`);
  return folder.write(name, `control: /run/c\n${top}vms:\n${vms.join('')}`);
}

describe('check --config', () => {
  it('of a configuration with good rules says what is in it, exit 0', async () => {
    const path = config('ok.yaml', ['good.rules', 'web', 'good.rules']);
    expect(await holdfast(['check', '--config', path])).toMatchObject({
      code: 0,
      stdout: `${path}: 3 VMs, 2 rule files, 0 errors, 0 warnings\n`,
      stderr: '',
    });
    expect(jsonLines((await holdfast(['check', '--config', path, '--json'])).stdout)).toMatchObject([
      {
        valid: true,
        file: path,
        errors: [],
        warnings: [],
        vms: 3,
        ruleFiles: [
          { file: folder.path('good.rules'), vms: ['vm0', 'vm2'], rules: 2 },
          { file: 'web', vms: ['vm1'] },
        ],
      },
    ]);
  });

  it('tells which certificate is missing, as run would, exit 1', async () => {
    const access = '{ host1: { role: epochs, vms: [vm0] } }';
    const top = `listen:\n  - { tls: '127.0.0.1:0', cert: none.pem, key: key.pem, ca: ca.pem, clients: ${access} }\n`;
    const path = config('tls.yaml', ['good.rules'], top);
    const { code, stdout } = await holdfast(['check', '--config', path]);
    const missing = `${path}:3:12: ${folder.path('none.pem')}: cannot be read: there is no such file`;
    expect([code, stdout]).toEqual([1, `${missing}\n${path}: 1 VM, 1 rule file, 1 error, 0 warnings\n`]);
  });

  it('tells warnings of rules, exit 0', async () => {
    const path = config('doubtful.yaml', ['doubtful.rules']);
    const { code, stdout } = await holdfast(['check', '--config', path]);
    expect([code, stdout]).toEqual([0, expect.stringContaining(`${folder.path('doubtful.rules')}:3:3: warning: `)]);
    expect(stdout).toContain(`${path}: 1 VM, 1 rule file, 0 errors, 1 warning\n`);
  });

  it('tells the errors of the file, of rule files that cannot be read and of the others, all at once, exit 1', async () => {
    const path = config('bad.yaml', ['bad.rules', 'none.rules', 'doubtful.rules'], 'metrix: 1\n');
    const { code, stdout, stderr } = await holdfast(['check', '--config', path]);
    const lines = stdout.split('\n');
    expect([code, stderr]).toEqual([1, '']);
    expect(lines[0]).toBe(
      `${path}:2:1: there is no key 'metrix' here, expected control, listen, state, metrics, log or vms (did you mean 'metrics'?)`,
    );
    expect(lines[1]).toBe(`${path}:5:46: cannot read rules '${folder.path('none.rules')}': there is no such file`);
    expect(lines[2]).toMatch(new RegExp(`^${folder.path('bad.rules')}:2:6: error: `));
    expect(stdout).toContain(`${folder.path('doubtful.rules')}:3:3: warning: `);
    expect(lines.at(-2)).toBe(`${path}: 3 errors, 1 warning`);
    const [json] = jsonLines((await holdfast(['check', '--config', path, '--json'])).stdout);
    expect(json).toMatchObject({
      valid: false,
      vms: null,
      errors: [
        { file: path, line: 2, column: 1, severity: 'error', code: 'unknown-key', hint: "did you mean 'metrics'?" },
        { file: path, line: 5, column: 46, severity: 'error', code: 'bad-value' },
        { file: folder.path('bad.rules'), line: 2, column: 6, severity: 'error' },
      ],
      warnings: [{ file: folder.path('doubtful.rules'), line: 3, severity: 'warning' }],
    });
  });

  it('of a file that cannot be read is one line, exit 2', async () => {
    const path = folder.path('missing.yaml');
    expect(await holdfast(['check', '--config', path])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: `holdfast: cannot read configuration '${path}': there is no such file\n`,
    });
  });

  it('goes with no rules and none of the other questions, exit 2', async () => {
    const path = config('alone.yaml', ['web']);
    const { code, stderr } = await holdfast(['check', 'my.rules', '--config', path]);
    expect([code, stderr]).toEqual([2, 'holdfast: --config names the rules to check: no others beside it\n']);
    for (const other of [['--format'], ['--formatted'], ['--explain', ':1']]) {
      const both = await holdfast(['check', '--config', path, ...other]);
      expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('cannot be used with option')]);
    }
    for (const other of [['--write'], ['--vm', '192.0.2.1']]) {
      expect(await holdfast(['check', '--config', path, ...other])).toMatchObject({ code: 2, stdout: '' });
    }
  });
});

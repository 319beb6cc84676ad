import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { defaultControl } from '../../gateway/config-defaults.ts';
import { loadConfig } from '../../gateway/config-file.ts';
import { ConfigInvalidError, ConfigUnreadableError } from '../../gateway/config-problem.ts';
import { DEFAULT_LIMITS } from '../../gateway/occupancy.ts';
import { parsed, withVm } from '../support/config.ts';
import { temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();
const KEYS = 'control, listen, state, metrics, log or vms';

describe('a configuration file', () => {
  it('with one VM gets a default for everything that it does not say', () => {
    expect(parsed(withVm({}))).toEqual({
      control: '/run/c',
      listen: [],
      stateDir: '/run/c.state',
      metrics: null,
      log: { level: 'info', format: 'auto' },
      vms: [
        {
          name: 'a',
          replicated: false,
          pairs: [{ inside: { backend: 'packet', arg: 'tap0' }, outside: { backend: 'packet', arg: 'eth0' } }],
          rules: null,
          limits: DEFAULT_LIMITS,
          buffer: 'memory',
          pacing: 'burst',
          overflow: 'drop',
          announce: [],
        },
      ],
    });
  });

  it('may say everything', () => {
    const text = `
control: run/control
state: ../state
metrics: "[::1]:9464"
log: { level: debug, format: json }
vms:
  web1:
    replicated: true
    ports: [ { inside: tap0, outside: eth1 }, { inside: "tap:t1", outside: "stream-connect:tcp:192.0.2.7:9000" } ]
    rules: ./web1.rules
    buffer:
      storage: file
      frames: 1000
      bytes: 1M
      unclassified: 5%
      behind: 33.5%
      seal-reserve-frames: 0
      seal-reserve-bytes: 0
    pacing: paced
    overflow: drop
    announce: [192.0.2.1, "2001:db8::1"]
`;
    expect(parsed(text, '/etc/holdfast/h.yaml')).toEqual({
      control: '/etc/holdfast/run/control',
      listen: [],
      stateDir: '/etc/state',
      metrics: { host: '::1', port: 9464 },
      log: { level: 'debug', format: 'json' },
      vms: [
        {
          name: 'web1',
          replicated: true,
          pairs: [
            { inside: { backend: 'packet', arg: 'tap0' }, outside: { backend: 'packet', arg: 'eth1' } },
            {
              inside: { backend: 'tap', arg: 't1' },
              outside: { backend: 'stream-connect', arg: 'tcp:192.0.2.7:9000' },
            },
          ],
          rules: '/etc/holdfast/web1.rules',
          limits: {
            limitFrames: 1000,
            limitBytes: 2 ** 20,
            unclassifiedShare: 0.05,
            behindShare: 0.335,
            sealReserveFrames: 0,
            sealReserveBytes: 0,
          },
          buffer: 'file',
          pacing: 'paced',
          overflow: 'drop',
          announce: ['192.0.2.1', '2001:db8::1'],
        },
      ],
    });
  });

  it("a shipped set's bare name is no path, ./NAME is one, and so is a stream port's socket relative to the file", () => {
    const rules = (name: string) => parsed(withVm({ vm: `    rules: ${name}\n` }), '/etc/h.yaml').vms[0]!.rules;
    expect([rules('web'), rules('./web'), rules('my.rules'), rules('/my.rules')]).toEqual([
      'web',
      '/etc/web',
      '/etc/my.rules',
      '/my.rules',
    ]);
    const stream = parsed(withVm({}).replace('tap0', '"stream:unix:vm.sock"'), '/etc/h.yaml');
    expect(stream.vms[0]!.pairs[0]!.inside).toEqual({ backend: 'stream', arg: 'unix:/etc/vm.sock' });
  });

  it('names are what is written, whatever YAML takes them for', () => {
    const text = withVm({}).replace('  a:', '  1e3:').replace('tap0', 'true').replace('eth0', '0x10');
    const [vm] = parsed(text).vms;
    expect([vm!.name, vm!.pairs[0]!.inside.arg, vm!.pairs[0]!.outside.arg]).toEqual(['1e3', 'true', '0x10']);
  });

  it('may use anchors and aliases, and be JSON', () => {
    const text = `${withVm({ vm: '    buffer: &b { frames: 7 }\n' })}  b: { inside: t1, outside: t2, buffer: *b }\n`;
    expect(parsed(text).vms.map(({ limits }) => limits.limitFrames)).toEqual([7, 7]);
    const json = JSON.stringify({ control: '/c', vms: { a: { inside: 'x', outside: 'y', replicated: true } } });
    expect(parsed(json).vms[0]).toMatchObject({ name: 'a', replicated: true });
  });

  it('backpressure is for inside ports that are streams', () => {
    const text = withVm({ vm: '    overflow: backpressure\n' }).replace('tap0', '"stream:unix:/s"');
    expect(parsed(text).vms[0]!.overflow).toBe('backpressure');
  });
});

describe('loading', () => {
  it('reads a file, with paths relative to it', async () => {
    const path = folder.write('ok.yaml', withVm({ vm: '    rules: r.rules\n' }));
    expect((await loadConfig(path)).vms[0]!.rules).toBe(`${dirname(path)}/r.rules`);
  });

  it('throws all errors as one', async () => {
    const path = folder.write('bad.yaml', withVm({ top: 'x: 1\ny: 2\n' }));
    const error = await loadConfig(path).catch((one: unknown) => one);
    expect(error).toBeInstanceOf(ConfigInvalidError);
    expect(error).toMatchObject({
      code: 'config-invalid',
      message: `${path}:2:1: there is no key 'x' here, expected ${KEYS}\n${path}:3:1: there is no key 'y' here, expected ${KEYS}`,
      errors: [
        { code: 'unknown-key', place: { file: path, line: 2, column: 1 } },
        { code: 'unknown-key', place: { file: path, line: 3, column: 1 } },
      ],
    });
  });

  it('says why a file cannot be read', async () => {
    const large = folder.write('large.yaml', '#'.repeat(256 * 1024 + 1));
    const none = folder.path('none.yaml');
    const why: string[] = [];
    for (const path of [none, dirname(none), large]) {
      const error = await loadConfig(path).catch((one: unknown) => one);
      expect(error).toBeInstanceOf(ConfigUnreadableError);
      why.push((error as Error).message);
    }
    expect(why).toEqual([
      `cannot read configuration '${none}': there is no such file`,
      `cannot read configuration '${dirname(none)}': it is a directory`,
      `cannot read configuration '${large}': it is larger than 262144 bytes`,
    ]);
  });
});

describe('the control socket', () => {
  it("is root's own, or in the user's runtime folder", () => {
    expect(defaultControl(0, '/run/user/0')).toBe('/run/holdfast/control');
    expect(defaultControl(1000, '/run/user/1000')).toBe('/run/user/1000/holdfast/control');
    expect([defaultControl(1000, ''), defaultControl(1000, 'relative')]).toEqual([null, null]);
  });
});

import { describe, expect, it } from 'vitest';
import { CONFIG_DEFAULTS } from '../../gateway/config-defaults.ts';
import { configFromFlags, type RunFlags } from '../../gateway/config-flags.ts';
import { ConfigInvalidError } from '../../gateway/config-problem.ts';

const PORTS = { inside: ['tap0'], outside: ['eth0'], control: '/c' } as const;

function errorsOf(flags: RunFlags): string[] {
  try {
    configFromFlags(flags);
  } catch (error) {
    if (!(error instanceof ConfigInvalidError)) throw error;
    return error.message.split('\n');
  }
  return [];
}

describe('one VM by options', () => {
  it('is vm0 with a default for everything', () => {
    expect(configFromFlags(PORTS)).toEqual({
      control: '/c',
      listen: [],
      stateDir: '/c.state',
      metrics: null,
      log: CONFIG_DEFAULTS.log,
      vms: [
        {
          ...CONFIG_DEFAULTS.vm,
          name: 'vm0',
          pairs: [{ inside: { backend: 'packet', arg: 'tap0' }, outside: { backend: 'packet', arg: 'eth0' } }],
        },
      ],
    });
  });

  it('takes every option, pairs in their order, paths as they are', () => {
    const config = configFromFlags({
      name: 'web1',
      replicated: true,
      inside: ['stream:unix:a.sock', 'stream:unix:b.sock'],
      outside: ['eth1', 'tap:t2'],
      rules: './web',
      control: 'run/control',
      state: 'state',
      metrics: '127.0.0.1:0',
      buffer: 'file',
      bufferFrames: '100',
      bufferBytes: '1M',
      pace: 'paced',
      overflow: 'backpressure',
      announce: ['192.0.2.1'],
      logLevel: 'warn',
      logFormat: 'pretty',
    });
    expect(config).toEqual({
      control: 'run/control',
      listen: [],
      stateDir: 'state',
      metrics: { host: '127.0.0.1', port: 0 },
      log: { level: 'warn', format: 'pretty' },
      vms: [
        {
          name: 'web1',
          replicated: true,
          pairs: [
            { inside: { backend: 'stream', arg: 'unix:a.sock' }, outside: { backend: 'packet', arg: 'eth1' } },
            { inside: { backend: 'stream', arg: 'unix:b.sock' }, outside: { backend: 'tap', arg: 't2' } },
          ],
          rules: './web',
          limits: { ...CONFIG_DEFAULTS.vm.limits, limitFrames: 100, limitBytes: 2 ** 20 },
          buffer: 'file',
          pacing: 'paced',
          overflow: 'backpressure',
          announce: ['192.0.2.1'],
        },
      ],
    });
  });

  it('without ports says which are missing', () => {
    expect(errorsOf({ control: '/c' })).toEqual([
      '--inside: missing, expected a network device or BACKEND:ARG',
      '--outside: missing, expected a network device or BACKEND:ARG',
    ]);
  });

  it('needs as many inside as outside ports', () => {
    expect(errorsOf({ ...PORTS, inside: ['a', 'b'] })).toEqual([
      '--outside: 2 inside and 1 outside ports, expected as many --outside as --inside, pair by pair',
    ]);
  });

  it('tells everything that is wrong at once, in the words of the file', () => {
    expect(
      errorsOf({
        ...PORTS,
        outside: ['tap:tap0'],
        name: 'a/b',
        metrics: '192.0.2.1:80',
        bufferBytes: '10',
        overflow: 'backpressure',
        pace: 'brust',
        announce: ['x'],
        logLevel: 'loud',
      }),
    ).toEqual([
      '--buffer-bytes: the transmit buffer has 10 bytes, expected at least 65600 (the longest frame must fit)',
      "--name: a VM cannot be called 'a/b', expected 1 to 64 of the characters A-Z a-z 0-9 . _ -, not beginning with '.'",
      "--pace: unexpected 'brust', expected burst or paced (did you mean 'burst'?)",
      "--announce: 'x' is no address of one host, expected an IP address such as 192.0.2.1 or 2001:db8::1",
      "--overflow: port 'tap0' cannot push back, expected --overflow drop (only stream ports can make the VM wait)",
      "--outside: 'tap0' is a port already: --inside",
      "--metrics: '192.0.2.1' is no loopback address, expected HOST:PORT such as 127.0.0.1:9464 or [::1]:9464 (metrics tell who talks to the VM and are served without a password: only this machine may read them)",
      "--log-level: unexpected 'loud', expected debug, info, warn or error",
    ]);
  });
});

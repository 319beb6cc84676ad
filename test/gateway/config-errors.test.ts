import { describe, expect, it } from 'vitest';
import { errorsOf, withVm } from '../support/config.ts';

const MAPPING = 'replicated, inside, outside, ports, rules, buffer, pacing, overflow or announce';
const KEYS = 'control, listen, state, metrics, log or vms';
const LONG = 'x'.repeat(107);
const WHY_LOOPBACK =
  'metrics tell who talks to the VM and are served without a password: only this machine may read them';
const METRICS = 'HOST:PORT such as 127.0.0.1:9464 or [::1]:9464';
const NAMES = "1 to 64 of the characters A-Z a-z 0-9 . _ -, not beginning with '.'";

/** What is wrong, the file, every line that is told. */
const WRONG: readonly (readonly [string, string, readonly string[]])[] = [
  ['an empty file', '', [`h.yaml:1:1: the file is empty, expected a mapping with ${KEYS}`]],
  ['a file with a comment only', '# x\n', [`h.yaml:1:1: the file is empty, expected a mapping with ${KEYS}`]],
  ['a file that is no mapping', '- a\n', [`h.yaml:1:1: unexpected list, expected a mapping with ${KEYS}`]],
  ['no VMs', 'control: /c\n', ["h.yaml:1:1: 'vms' is missing, expected a mapping of VM names to their ports"]],
  [
    'VMs that are none',
    'control: /c\nvms: {}\n',
    ['h.yaml:2:6: there is no VM, expected a mapping of VM names to their ports'],
  ],
  [
    'VMs without a value',
    'control: /c\nvms:\n',
    ["h.yaml:2:1: 'vms' is empty, expected a mapping of VM names to their ports"],
  ],
  [
    'a list of VMs',
    'control: /c\nvms: [a]\n',
    ['h.yaml:2:6: unexpected list, expected a mapping of VM names to their ports'],
  ],
  [
    'a VM that is no mapping',
    'control: /c\nvms: { a: 7 }\n',
    [`h.yaml:2:11: unexpected '7', expected a mapping with ${MAPPING}`],
  ],
  [
    'a misspelt key',
    withVm({ vm: '    ruels: x\n' }),
    [`h.yaml:6:5: there is no key 'ruels' here, expected ${MAPPING} (did you mean 'rules'?)`],
  ],
  [
    'a key that is near none',
    withVm({ top: 'quux: 1\n' }),
    [`h.yaml:2:1: there is no key 'quux' here, expected ${KEYS}`],
  ],
  [
    'a merge key',
    withVm({ vm: '    <<: { rules: x }\n' }),
    [`h.yaml:6:5: there is no key '<<' here, expected ${MAPPING}`],
  ],
  ['a key twice', withVm({ vm: '    inside: tap1\n' }), ["h.yaml:6:5: 'inside' is there already on line 4"]],
  ['a VM twice', `${withVm({})}  a: { inside: b, outside: c }\n`, ["h.yaml:6:3: 'a' is there already on line 3"]],
  ['a key that is a list', withVm({ top: '? [a]\n: 1\n' }), ['h.yaml:2:3: this is no key, expected a word']],
  [
    'an alias that stands for nothing',
    withVm({ top: 'log: *x\n' }),
    ["h.yaml:2:6: '*x' stands for nothing before it, expected a mapping with level or format"],
  ],
  [
    'a list where a word is wanted',
    withVm({ vm: '    pacing: [burst]\n' }),
    ['h.yaml:6:13: unexpected list, expected burst or paced'],
  ],
  [
    'a mapping where a word is wanted',
    withVm({ top: 'state: { a: b }\n' }),
    ['h.yaml:2:8: unexpected mapping, expected a folder'],
  ],
  [
    'an unknown word',
    withVm({ top: 'log: { level: infos, format: xml }\n' }),
    [
      "h.yaml:2:15: unexpected 'infos', expected debug, info, warn or error (did you mean 'info'?)",
      "h.yaml:2:30: unexpected 'xml', expected auto, json or pretty",
    ],
  ],
  [
    'yes instead of true',
    withVm({ vm: '    replicated: yes\n' }),
    ["h.yaml:6:17: unexpected 'yes', expected true or false (did you mean 'true'?)"],
  ],
  [
    'a number instead of true',
    withVm({ vm: '    replicated: 1\n' }),
    ["h.yaml:6:17: unexpected '1', expected true or false"],
  ],
  [
    'sizes and counts that are none',
    withVm({ vm: '    buffer: { frames: 0, bytes: 64 MB, seal-reserve-frames: -1, seal-reserve-bytes: 1.5M }\n' }),
    [
      "h.yaml:6:23: unexpected '0', expected a whole number from 1 on",
      "h.yaml:6:33: unexpected '64 MB', expected bytes such as 1000000, 512K or 64M",
      "h.yaml:6:61: unexpected '-1', expected a whole number from 0 on",
      "h.yaml:6:85: unexpected '1.5M', expected bytes such as 1000000, 512K or 64M",
    ],
  ],
  [
    'shares that are none',
    withVm({ vm: '    buffer: { unclassified: 0.5, behind: 101% }\n' }),
    [
      "h.yaml:6:29: unexpected '0.5', expected a share from 0% to 100%, such as 12.5%",
      "h.yaml:6:42: unexpected '101%', expected a share from 0% to 100%, such as 12.5%",
    ],
  ],
  [
    'a buffer that takes no longest frame',
    withVm({ vm: '    buffer: { bytes: 65599 }\n' }),
    ['h.yaml:6:22: the transmit buffer has 65599 bytes, expected at least 65600 (the longest frame must fit)'],
  ],
  [
    'a buffer that is too large',
    withVm({ vm: '    buffer: { bytes: 4G }\n' }),
    [
      'h.yaml:6:22: the transmit buffer is too large, expected less than 4 GiB for its bytes, its reserve and the frames on their way together',
    ],
  ],
  [
    'a buffer of too many frames',
    withVm({ vm: '    buffer: { frames: 16777216 }\n' }),
    [
      'h.yaml:6:23: the transmit buffer has too many frames, expected at most 16777216 with its reserve (each takes memory also where none waits)',
    ],
  ],
  [
    'a reserve that is too large',
    withVm({ vm: '    buffer: { seal-reserve-bytes: 4G }\n' }),
    [
      'h.yaml:6:13: the transmit buffer is too large, expected less than 4 GiB for its bytes, its reserve and the frames on their way together',
    ],
  ],
  [
    'backpressure with which nothing is read',
    withVm({ vm: '    overflow: backpressure\n    buffer: { behind: 0% }\n' }).replace('tap0', '"stream:unix:/s"'),
    [
      'h.yaml:7:23: with backpressure nothing would ever be read, expected a share of 65600 bytes and one frame at least (any frame may have to wait behind others, also the longest)',
    ],
  ],
  [
    'backpressure on a port that cannot push back',
    withVm({ vm: '    overflow: backpressure\n' }),
    ["h.yaml:6:15: port 'tap0' cannot push back, expected overflow: drop (only stream ports can make the VM wait)"],
  ],
  [
    'an inside port that would take the addresses of the whole network',
    withVm({}).replace('tap0', 'ip:tun0'),
    [
      "h.yaml:4:13: 'ip:tun0' cannot be an inside port, expected it outside (it answers ARP for every address, and would take all of the network’s)",
    ],
  ],
  [
    'a VM without ports',
    'control: /c\nvms:\n  a: {}\n',
    [
      "h.yaml:3:3: 'inside' is missing, expected a network device or BACKEND:ARG",
      "h.yaml:3:3: 'outside' is missing, expected a network device or BACKEND:ARG",
    ],
  ],
  [
    'pairs beside a pair',
    withVm({ vm: '    ports: []\n' }),
    [
      "h.yaml:4:13: 'vms.a.inside' stands beside 'ports', expected only one of the two ('ports' is a list of pairs)",
      "h.yaml:5:14: 'vms.a.outside' stands beside 'ports', expected only one of the two ('ports' is a list of pairs)",
      'h.yaml:6:12: there is no pair of ports',
    ],
  ],
  [
    'pairs that are none',
    'control: /c\nvms:\n  a:\n    ports: [ tap0, { inside: tap1 } ]\n  b: { ports: tap2 }\n',
    [
      "h.yaml:4:14: unexpected 'tap0', expected a mapping with inside or outside",
      "h.yaml:4:20: 'outside' is missing, expected a network device or BACKEND:ARG",
      "h.yaml:5:15: unexpected 'tap2', expected a list of pairs {inside: PORT, outside: PORT}",
    ],
  ],
  [
    'ports that are none',
    withVm({ vm: '  b: { inside: "stream:x", outside: "tap:" }\n' })
      .replace('tap0', 'pocket:eth0')
      .replace('eth0\n ', 'a-much-too-long-name\n '),
    [
      "h.yaml:4:13: 'pocket:a-much-too-long-name': there is no port 'pocket', only packet, ring, xdp, tap, pcap, ip, stream, stream-listen, stream-connect",
      "h.yaml:6:16: 'x' is no address: expected unix:PATH or tcp:HOST:PORT",
      "h.yaml:6:37: 'tap:': what is behind 'tap:' is missing",
    ],
  ],
  [
    'a device that cannot be called so',
    withVm({}).replace('tap0', 'a-much-too-long-name'),
    [
      "h.yaml:4:13: a network device cannot be called 'a-much-too-long-name', expected 1 to 15 bytes without spaces, slashes and colons",
    ],
  ],
  [
    'a device twice, also through another back end and in another VM',
    withVm({ vm: '  b: { inside: "tap:tap0", outside: tap1 }\n  c: { inside: tap2, outside: tap2 }\n' }),
    ["h.yaml:6:16: 'tap0' is a port already: h.yaml:4:13", "h.yaml:7:31: 'tap2' is a port already: h.yaml:7:16"],
  ],
  [
    'a stream address twice, and the control socket as a port',
    'control: /c\nvms:\n  a: { inside: "stream:unix:/s", outside: "stream-listen:unix:/s" }\n  b: { inside: "stream:unix:/c", outside: t }\n',
    ["h.yaml:3:43: 'unix:/s' is a port already: h.yaml:3:16", "h.yaml:4:16: 'unix:/c' is the control socket"],
  ],
  [
    'socket paths that are too long',
    `control: /${LONG}\nvms:\n  a: { inside: "stream:unix:/${LONG}", outside: b }\n`,
    [
      "h.yaml:1:10: the socket's path has 108 bytes, expected at most 107",
      "h.yaml:3:16: the socket's path has 108 bytes, expected at most 107",
    ],
  ],
  [
    'names that no VM can have',
    `control: /c\nvms:\n  .a: { inside: a, outside: b }\n  "b c": { inside: c, outside: d }\n  ../e: { inside: e, outside: f }\n  ${'x'.repeat(65)}: { inside: g, outside: h }\n`,
    [
      `h.yaml:3:3: a VM cannot be called '.a', expected ${NAMES}`,
      `h.yaml:4:3: a VM cannot be called 'b c', expected ${NAMES}`,
      `h.yaml:5:3: a VM cannot be called '../e', expected ${NAMES}`,
      `h.yaml:6:3: a VM cannot be called '${'x'.repeat(59)}…', expected ${NAMES}`,
    ],
  ],
  [
    'metrics that others could read',
    withVm({ top: 'metrics: 0.0.0.0:9464\n' }),
    [`h.yaml:2:10: '0.0.0.0' is no loopback address, expected ${METRICS} (${WHY_LOOPBACK})`],
  ],
  [
    'metrics at a name',
    withVm({ top: 'metrics: localhost:9464\n' }),
    [`h.yaml:2:10: 'localhost' is no IP address, expected ${METRICS} (${WHY_LOOPBACK})`],
  ],
  [
    'metrics without a host',
    withVm({ top: 'metrics: 9464\n' }),
    [`h.yaml:2:10: unexpected '9464', expected ${METRICS}`],
  ],
  [
    'metrics at a port that there is not',
    withVm({ top: 'metrics: 127.0.0.1:65536\n' }),
    [`h.yaml:2:10: unexpected '127.0.0.1:65536', expected ${METRICS}`],
  ],
  [
    'addresses that no host has',
    withVm({ vm: '    announce: [224.0.0.1, "::", "ff02::1", x, 192.0.2.1, 192.0.2.1, 0.0.0.0, "fe80::1%eth0"]\n' }),
    [
      ...(
        [
          [16, '224.0.0.1'],
          [27, '::'],
          [33, 'ff02::1'],
          [44, 'x'],
        ] as const
      ).map(([column, text]) => notOneHost(column, text)),
      'h.yaml:6:58: 192.0.2.1 is in the list already',
      notOneHost(69, '0.0.0.0'),
      notOneHost(78, 'fe80::1%eth0'),
    ],
  ],
  [
    'syntax that is none, before anything else',
    'control: [\nvms: x\nquux: "\\q"\n',
    [
      'h.yaml:2:1: Flow sequence in block collection must be sufficiently indented and end with a ]',
      'h.yaml:3:8: Invalid escape sequence \\q',
    ],
  ],
  ['a second document', `${withVm({})}---\na: 1\n`, ['h.yaml:6:1: a second document begins, expected one']],
  ['a tag', withVm({ top: 'state: !x y\n' }), ['h.yaml:2:8: Unresolved tag: !x']],
  ['brackets without end', '['.repeat(100_000), ['h.yaml:1:51: more than 50 levels or columns deep']],
  ['a deep list', `\n${'- '.repeat(100_000)}`, ['h.yaml:2:101: more than 50 levels or columns deep']],
  ['deep indentation', `a:\n${' '.repeat(60)}b: 1`, ['h.yaml:2:1: more than 50 levels or columns deep']],
];

function notOneHost(column: number, text: string): string {
  return `h.yaml:6:${column}: '${text}' is no address of one host, expected an IP address such as 192.0.2.1 or 2001:db8::1`;
}

describe('what is wrong is told with its place, all of it at once:', () => {
  it.each(WRONG)('%s', (_, text, errors) => {
    expect(errorsOf(text)).toEqual(errors);
  });

  it('a hundred errors are told, and that there are more', () => {
    const errors = errorsOf(
      withVm({ top: 'x: 1\n'.repeat(1) + Array.from({ length: 200 }, (_, i) => `k${i}: 1\n`).join('') }),
    );
    expect([errors.length, errors.at(-1)]).toEqual([101, 'h.yaml:102:1: more than 100 errors: the rest is not shown']);
  });

  it('bytes that would steer a terminal are not shown', () => {
    const told = errorsOf(
      withVm({ vm: '    inside\u001b[2J: 1\n    outsid: "\\e[2J"\n    rules: !\u001b x\n' }),
    ).join();
    expect(told).toMatch(/h\.yaml/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(told).not.toMatch(/[\u0000-\u001f]/);
  });
});

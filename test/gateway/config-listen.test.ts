import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { errorsOf, parsed, withVm } from '../support/config.ts';

const EXAMPLE = fileURLToPath(new URL('../../gateway/holdfast.example.yaml', import.meta.url));
const VMS = `a VM's name, a list of names, or "*"`;
const ROLES = 'read-only, rules, epochs, guest or all';
const TLS = 'tls: 0.0.0.0:9443, cert: c, key: k, ca: a, clients: {}';

/** One entry of `listen`, in braces, on line 3 behind four characters. */
function withListen(...entries: readonly string[]): string {
  return withVm({ top: `listen:\n${entries.map((entry) => `  - { ${entry} }\n`).join('')}` });
}

describe('listen', () => {
  it('says where others than the owner connect, and what they may do', () => {
    const { listen } = parsed(
      withListen(
        'unix: guest.sock, role: guest, vms: a, uid: 107',
        'unix: /run/read.sock, role: read-only, vms: "*"',
        'tls: "[::]:9443", cert: tls/c.pem, key: tls/k.pem, ca: /ca.pem, crl: tls/crl.pem, clients: ' +
          '{ "spiffe://x/a": { role: epochs, vms: [a], failover: [tap1, "tap:t2"] }, ops: { role: all, vms: "*" } }',
      ),
    );
    expect(listen).toEqual([
      { kind: 'unix', path: '/etc/guest.sock', uid: 107, access: { role: 'guest', vms: ['a'], failover: [] } },
      { kind: 'unix', path: '/run/read.sock', uid: null, access: { role: 'read-only', vms: '*', failover: [] } },
      {
        kind: 'tls',
        host: '::',
        port: 9443,
        files: { cert: '/etc/tls/c.pem', key: '/etc/tls/k.pem', ca: '/ca.pem', crl: '/etc/tls/crl.pem' },
        clients: new Map([
          ['spiffe://x/a', { role: 'epochs', vms: ['a'], failover: ['tap1', 'tap:t2'] }],
          ['ops', { role: 'all', vms: '*', failover: [] }],
        ]),
      },
    ]);
  });

  it('is shown in the example, whose entries are right', () => {
    const text = readFileSync(EXAMPLE, 'utf8');
    const shown = text.replace(/^# (listen:\n)|^# ( {2}.*\n)/gm, '$1$2');
    expect(parsed(shown, EXAMPLE).listen.map(({ kind }) => kind)).toEqual(['unix', 'tls']);
  });
});

describe('in listen', () => {
  it.each<[string, string, string[]]>([
    ['an entry without a place', 'role: all, vms: a', ['3:5: nothing says where, expected one of unix and tls']],
    [
      'two places in one entry',
      'unix: /s, tls: 0.0.0.0:1',
      ["3:5: 'unix' and 'tls' stand side by side, expected one of unix and tls"],
    ],
    [
      'a role and VMs that are not there',
      'unix: /s',
      [`3:5: 'role' is missing, expected ${ROLES}`, `3:5: 'vms' is missing, expected ${VMS}`],
    ],
    [
      'a misspelt role',
      'unix: /s, role: gest, vms: a',
      [`3:23: unexpected 'gest', expected ${ROLES} (did you mean 'guest'?)`],
    ],
    ['an unknown VM', 'unix: /s, role: all, vms: b', ["3:33: there is no VM 'b', expected a"]],
    ['an unknown VM in a list', 'unix: /s, role: all, vms: [a, bcd]', ["3:37: there is no VM 'bcd', expected a"]],
    ['no VM at all', 'unix: /s, role: all, vms: []', [`3:33: there is no VM, expected ${VMS}`]],
    [
      'a guest with every VM',
      'unix: /s, role: guest, vms: "*"',
      ["3:35: the role 'guest' is for one VM, expected one name (an application in a VM has to do with that one only)"],
    ],
    [
      "a user's name",
      'unix: /s, role: all, vms: a, uid: qemu',
      ["3:41: unexpected 'qemu', expected a user id (names are for people: 'id -u NAME' tells the number)"],
    ],
    ['the control socket', 'unix: /run/c, role: all, vms: a', ["3:13: '/run/c' is the control socket"]],
    [
      'certificates for a unix socket',
      'unix: /s, role: all, vms: a, cert: c',
      ["3:42: 'cert' does not go with 'unix' (a unix socket has no certificates)"],
    ],
    [
      'a role for all TLS clients',
      `${TLS}, role: all`,
      ["3:69: 'role' does not go with 'tls' (each of 'clients' has its own)"],
    ],
    [
      'an address that is none',
      TLS.replace('0.0.0.0:9443', 'localhost:9443'),
      ["3:12: unexpected 'localhost:9443', expected HOST:PORT such as 0.0.0.0:9443 or [::]:9443"],
    ],
    [
      'files that are not there',
      'tls: 0.0.0.0:1, clients: {}',
      ['cert', 'key', 'ca'].map((key) => `3:5: '${key}' is missing, expected a PEM file`),
    ],
    [
      'no clients',
      'tls: 0.0.0.0:1, cert: c, key: k, ca: a',
      ["3:5: 'clients' is missing, expected a mapping of certificates' names to {role: …, vms: …}"],
    ],
    [
      'a client without anything',
      TLS.replace('{}', '{ x: {} }'),
      [`3:61: 'role' is missing, expected ${ROLES}`, `3:61: 'vms' is missing, expected ${VMS}`],
    ],
    [
      'a port that is none',
      'unix: /s, role: epochs, vms: a, failover: ["tap:"]',
      ["3:50: 'tap:': what is behind 'tap:' is missing"],
    ],
  ])('%s is an error with its place', (_, entry, lines) => {
    const errors = errorsOf(withListen(entry));
    expect(errors).toHaveLength(lines.length);
    for (const [i, line] of lines.entries()) expect(errors[i]).toContain(`h.yaml:${line}`);
  });

  it('an address or a path that is there twice is an error', () => {
    const [tls] = errorsOf(withListen(TLS, TLS));
    expect(tls).toBe("h.yaml:4:12: '0.0.0.0:9443' is in use already: h.yaml:3:12");
    const unix = 'unix: /s, role: all, vms: a';
    expect(errorsOf(withListen(unix, unix))).toEqual(["h.yaml:4:13: '/s' is in use already: h.yaml:3:13"]);
  });
});

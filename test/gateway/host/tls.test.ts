/** The host interface over TCP: whose certificate opens which VM. */
import { X509Certificate } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openCapture } from '../../../gateway/host/capture-client.ts';
import { HostClient } from '../../../gateway/host/client.ts';
import { BLOCK } from '../../../pcaps/pcapng.ts';
import { PcapngBlocks } from '../../../pcaps/pcapng-blocks.ts';
import { Authority, type CertificateFiles, type Issued, selfSigned } from '../../support/certificates.ts';
import { refusalOf, until } from '../../support/host-rig.ts';
import { withoutPrograms } from '../../support/programs.ts';
import { HOLD } from '../../support/scene.ts';
import { TlsRig } from '../../support/tls-rig.ts';

const reason = withoutPrograms('openssl');
const GATEWAY = { names: 'DNS:gateway.example', usage: 'serverAuth' };
let folder: string;
let authority: Authority;
let gateway: CertificateFiles;
let a: CertificateFiles;
let rig: TlsRig;

beforeAll(() => {
  if (reason !== null) return;
  folder = mkdtempSync(join(tmpdir(), 'holdfast-tls-'));
  authority = new Authority(join(folder, 'authority'));
  gateway = authority.issue(GATEWAY);
  a = authority.issue({ names: 'DNS:a.example', usage: 'clientAuth' });
});
afterAll(() => {
  if (reason === null) rmSync(folder, { recursive: true });
});
beforeEach(async ({ skip }) => {
  skip(reason !== null, reason ?? '');
  rig = await new TlsRig(mkdtempSync(join(folder, 'rig-')), authority).listenTls(gateway);
});
afterEach(() => rig.close());

/** What a client with such a certificate is told, or not. */
async function refused(files: CertificateFiles): Promise<void> {
  await expect(rig.tls(files).connect()).rejects.toMatchObject({ code: 'unreachable' });
}

describe('a certificate', () => {
  test('opens its own VM in its role, with what belongs to it, and shows and touches no other', async () => {
    const host = rig.tls(a);
    expect((await host.connect()).vms.map(({ vm }) => vm)).toEqual(['a']);
    const vm = host.vm('a');
    await vm.start({ leaseMs: 0 });
    rig.a.send(1, HOLD);
    await vm.seal();
    expect(await vm.commit(1)).toMatchObject({ releasedFrames: 1 });
    expect(rig.a.left()).toEqual([1]);
    expect(await refusalOf(host, 'replication.start', { vm: 'b' })).toMatchObject({ code: 'forbidden', field: 'vm' });
    expect(await refusalOf(host, 'rules.confirm', {})).toMatchObject({ code: 'forbidden' });
    expect((await host.call('status', {})).vms).toHaveLength(1);
    expect(rig.b.vm.epochs.term).toBe(0);
  });

  test.each<[string, Issued, string[]]>([
    ['a URI', { names: 'URI:spiffe://example/b' }, ['b']],
    ['a DNS name among others', { names: 'DNS:other.example, DNS:a.example, IP:10.0.0.1' }, ['a']],
    ['a common name, where it has no other', { subject: '/CN=operator' }, ['a', 'b']],
    ['a common name, where the others are no names', { subject: '/CN=operator', names: 'IP:10.0.0.1' }, ['a', 'b']],
  ])('is known by %s', async (_, issued, vms) => {
    const { vms: seen } = await rig.tls(authority.issue(issued)).connect();
    expect(seen.map(({ vm }) => vm)).toEqual(vms);
  });

  test('reaches captures in the role for it', async () => {
    const files = authority.issue({ names: 'URI:spiffe://example/b' });
    const { answer, socket, end } = await openCapture({ tls: rig.address(files) }, { side: 'inside' });
    expect(answer).toEqual({ vm: 'b', ports: [{ side: 'inside', name: 'tapb' }] });
    rig.b.send(1, HOLD);
    end();
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk);
    const blocks = new PcapngBlocks();
    const kinds: number[] = [];
    blocks.feed(Buffer.concat(chunks), (_, type) => kinds.push(type));
    const { sectionHeader, interfaceDescription, enhancedPacket, interfaceStatistics } = BLOCK;
    expect(kinds).toEqual([sectionHeader, interfaceDescription, enhancedPacket, interfaceStatistics]);
    const denied = openCapture({ tls: rig.address(a) }, { side: 'inside' });
    await expect(denied).rejects.toMatchObject({ code: 'forbidden' });
    const nobody = openCapture({ tls: rig.address({ cert: '/nowhere', key: a.key }) }, { side: 'inside' });
    await expect(nobody).rejects.toMatchObject({ code: 'unreachable' });
  });
});

describe('refused, and logged once, is a client whose certificate', () => {
  const PAST = { from: '20240101000000Z', until: '20250101000000Z' };
  const FUTURE = { from: '20990101000000Z', until: '20991231000000Z' };

  test.each<[string, Issued, string]>([
    ['has expired', { names: 'DNS:a.example', ...PAST }, 'a.example: … it has expired'],
    ['is not valid yet', { names: 'DNS:a.example', ...FUTURE }, 'a.example: … it is not valid yet'],
    ['is for servers', { names: 'DNS:a.example', usage: 'serverAuth' }, 'a.example: … it is not for clients'],
    ['is of somebody else', { names: 'DNS:c.example' }, "c.example: … none of 'clients' has its name"],
    ['has no name', {}, "nobody: … none of 'clients' has its name"],
    ['has a name that only looks alike', { names: 'DNS:A.example' }, "A.example: … none of 'clients' has its name"],
    [
      'has the name as its common name, and another one that counts',
      { subject: '/CN=operator', names: 'DNS:x.example' },
      "x.example: … none of 'clients' has its name",
    ],
    ['has two common names', { subject: '/CN=x/CN=operator' }, "nobody: … none of 'clients' has its name"],
    [
      'is two of the clients',
      { names: 'DNS:a.example, DNS:also-a' },
      "a.example, also-a: … it is more than one of 'clients': a.example, also-a",
    ],
  ])('%s', async (_, issued, line) => {
    const files = authority.issue(issued);
    for (let i = 0; i < 3; i++) await refused(files);
    expect(rig.logged).toEqual([line.replace('…', "a client's certificate is refused:")]);
  });

  test('is revoked: when the new list is there, also a client that is connected', async () => {
    const files = authority.issue({ names: 'DNS:a.example' });
    const host = rig.tls(files);
    await host.connect();
    authority.revoke(files);
    authority.writeRevoked(rig.file('crl'));
    await until(() => rig.rig.server.clients === 0);
    for (let i = 0; i < 3; i++) await refused(files);
    expect(rig.logged).toEqual([
      'certificates were read anew',
      "a.example: a client's certificate is refused: it is revoked",
    ]);
    expect((await rig.tls(a).connect()).vms).toHaveLength(1);
  });

  test('is self-signed', async () => {
    const files = selfSigned(folder, '/CN=operator');
    for (let i = 0; i < 3; i++) await refused(files);
    expect(rig.logged).toEqual(["operator: a client's certificate is refused: it is self-signed"]);
  });

  test('is of another authority, which has the same name', async () => {
    const other = new Authority(mkdtempSync(join(folder, 'other-')).concat('/ca'));
    const files = other.issue({ names: 'DNS:a.example' });
    for (let i = 0; i < 3; i++) await refused(files);
    expect(rig.logged).toHaveLength(1);
    expect(rig.logged[0]).toMatch(/^a\.example: a client's certificate is refused: (?!null)/);
  });

  test('is not there', async () => {
    for (let i = 0; i < 3; i++) {
      const socket = connectTls({ host: '127.0.0.1', port: rig.port, rejectUnauthorized: false });
      socket.on('error', () => {});
      await new Promise((resolve) => socket.once('close', resolve));
    }
    expect(rig.logged).toEqual(["127.0.0.1: a client's certificate is refused: there is none"]);
  });

  test('expires while it is connected', async () => {
    const host = rig.tls(a);
    await host.connect();
    rig.wallMs = () => Date.now() + 3 * 86_400_000;
    await until(() => rig.rig.server.clients === 0);
    expect(rig.logged).toEqual(["a.example: a client's certificate has expired: its connection ends"]);
  });
});

describe('a client', () => {
  test('does not speak to a gateway that another authority has signed, or that has another name', async () => {
    const other = new Authority(mkdtempSync(join(folder, 'other-')).concat('/ca'));
    await expect(rig.tls(a, true, other.cert).connect()).rejects.toMatchObject({ code: 'unreachable' });
    rig.put(authority.issue({ names: 'DNS:elsewhere.example' }));
    await until(() => rig.logged.includes('certificates were read anew'));
    await expect(rig.tls(a).connect()).rejects.toMatchObject({
      code: 'unreachable',
      cause: expect.objectContaining({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' }),
    });
  });

  test('speaks TLS 1.2 at least, and what is no TLS is not answered', async () => {
    const files = { cert: readFileSync(a.cert), key: readFileSync(a.key), rejectUnauthorized: false };
    for (const [version, isSpoken] of [
      ['TLSv1.1', false],
      ['TLSv1.2', true],
      ['TLSv1.3', true],
    ] as const) {
      const options = { ...files, minVersion: 'TLSv1' as const, maxVersion: version, ciphers: 'ALL:@SECLEVEL=0' };
      const socket = connectTls({ host: '127.0.0.1', port: rig.port, ...options });
      const spoke = await new Promise<boolean>((resolve) => {
        socket.once('secureConnect', () => resolve(true));
        socket.once('error', () => resolve(false));
      });
      expect([version, spoke]).toEqual([version, isSpoken]);
      if (spoke) expect(socket.getProtocol()).toBe(version);
      socket.destroy();
    }
    const plain = connect(rig.port, '127.0.0.1');
    plain.on('error', () => {});
    plain.write('{"jsonrpc":"2.0","id":1,"method":"status"}\n');
    await new Promise((resolve) => plain.once('close', resolve));
    expect((await rig.tls(a).connect()).vms).toHaveLength(1);
  });

  test('names one of a socket and an address', () => {
    expect(() => new HostClient({ client: 'x' })).toThrow(TypeError);
    expect(() => new HostClient({ client: 'x', path: '/x', tls: rig.address(a) })).toThrow(TypeError);
  });
});

describe('new files', () => {
  test('are in force for the next client without a restart, and those who are there stay', async () => {
    const host = rig.tls(a);
    await host.connect();
    const next = authority.issue(GATEWAY);
    rig.put(next);
    await until(() => rig.logged.length > 0);
    expect(rig.logged).toEqual(['certificates were read anew']);
    const socket = connectTls({ host: '127.0.0.1', port: rig.port, rejectUnauthorized: false });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    const { serialNumber } = socket.getPeerCertificate();
    socket.on('error', () => {});
    socket.destroy();
    expect(BigInt(`0x${serialNumber}`)).toBe(serialOf(next.cert));
    expect(rig.rig.server.clients).toBe(1);
    await host.call('status', {});
  });

  test.each<[string, 'cert' | 'key' | 'ca' | 'crl', (text: string) => string]>([
    ['a certificate that is cut off', 'cert', (text) => text.slice(0, text.length / 2)],
    ["another certificate's key", 'key', () => readFileSync(a.key, 'utf8')],
    ['an authority that is none', 'ca', () => '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
    ['an empty list of authorities', 'ca', () => ''],
    ['a second authority that is cut off', 'ca', (text) => text + text.slice(0, text.length / 2)],
    ['a damaged revocation list', 'crl', (text) => text.replace(/[A-Z]{3}/, 'AAA').slice(0, 90)],
  ])('with %s are not used, the old ones stay in force, and the log says why', async (_, which, damage) => {
    const text = readFileSync(rig.file(which), 'utf8');
    writeFileSync(rig.file(which), damage(text));
    await until(() => rig.logged.length > 0);
    expect(rig.logged).toEqual([expect.stringMatching(/^new certificates are not used, the old ones stay: .*\.pem: /)]);
    expect((await rig.tls(a).connect()).vms).toHaveLength(1);
    await refused(selfSigned(folder, '/CN=operator'));
    writeFileSync(rig.file(which), text);
    await until(() => rig.logged.at(-1) === 'certificates were read anew');
    expect((await rig.tls(a).connect()).vms).toHaveLength(1);
  });

  test('of another authority end what was signed by the old one', async () => {
    const other = new Authority(mkdtempSync(join(folder, 'other-')).concat('/ca'));
    const host = rig.tls(a);
    await host.connect();
    other.writeRevoked(rig.file('crl'));
    copyFileSync(other.cert, rig.file('ca'));
    await until(() => rig.rig.server.clients === 0);
    await refused(a);
    expect((await rig.tls(other.issue({ names: 'DNS:a.example' })).connect()).vms).toHaveLength(1);
  });

  test('of the client are used when it connects again', async () => {
    const files = { cert: join(folder, 'own.pem'), key: join(folder, 'own-key.pem') };
    const put = (from: CertificateFiles) => {
      copyFileSync(from.cert, files.cert);
      copyFileSync(from.key, files.key);
    };
    put(a);
    const host = rig.tls(files, false);
    await host.connect();
    put(authority.issue({ names: 'URI:spiffe://example/b' }));
    authority.writeRevoked(rig.file('crl'));
    await until(() => rig.logged.includes('certificates were read anew'));
    await until(() => rig.rig.server.clients === 0);
    expect((await host.connect()).vms.map(({ vm }) => vm)).toEqual(['b']);
  });
});

describe('connections that show nothing', () => {
  test('are few: the oldest makes room, and who has a certificate is served', async () => {
    const idle: Socket[] = [];
    for (let i = 0; i < 90; i++) {
      const socket = connect({ port: rig.port, host: '127.0.0.1', localAddress: `127.0.1.${i % 30}` });
      socket.on('error', () => {});
      socket.resume();
      idle.push(socket);
      await new Promise((resolve) => socket.once('connect', resolve));
    }
    await until(() => idle.slice(0, 20).every((socket) => socket.closed));
    expect(idle.slice(-60).filter((socket) => socket.closed)).toEqual([]);
    expect((await rig.tls(a).connect()).vms).toHaveLength(1);
    for (const socket of idle) socket.destroy();
  });

  test('from one address are no more than some in a second', async () => {
    const closed: boolean[] = [];
    for (let i = 0; i < 40; i++) {
      const socket = connect({ port: rig.port, host: '127.0.0.1', localAddress: '127.0.1.1' });
      socket.on('error', () => {});
      socket.on('close', () => closed.push(true));
      socket.resume();
      await new Promise((resolve) => socket.once('connect', resolve));
    }
    await until(() => closed.length === 20);
    expect((await rig.tls(a).connect()).vms).toHaveLength(1);
    rig.a.rig.clock.advanceTo(1e9);
    const later = connect({ port: rig.port, host: '127.0.0.1', localAddress: '127.0.1.1' });
    await new Promise((resolve) => later.once('connect', resolve));
    expect(await Promise.race([new Promise((resolve) => later.once('close', resolve)), pause(200)])).toBe('open');
    later.destroy();
  });
});

function pause(ms: number): Promise<string> {
  return new Promise((resolve) => setTimeout(() => resolve('open'), ms));
}

function serialOf(path: string): bigint {
  return BigInt(`0x${new X509Certificate(readFileSync(path)).serialNumber}`);
}

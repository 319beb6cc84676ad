/** A standby on another host: whose certificate may bring an image, and whose may take one. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test } from 'vitest';
import { parseAddress } from '../../../gateway/protect/address.ts';
import { ImageStore } from '../../../gateway/protect/image-store.ts';
import { Standby } from '../../../gateway/protect/standby.ts';
import { STANDBY_PROTOCOL } from '../../../gateway/protect/standby-api.ts';
import { StandbyLink } from '../../../gateway/protect/standby-link.ts';
import { StandbyServer } from '../../../gateway/protect/standby-server.ts';
import { Authority, type CertificateFiles, type Issued, selfSigned } from '../../support/certificates.ts';
import { until } from '../../support/netns.ts';
import { withoutPrograms } from '../../support/programs.ts';
import { holdfast } from '../../support/run-cli.ts';

const reason = withoutPrograms('openssl');
const VM0 = { names: 'DNS:vm0.example', usage: 'clientAuth' };
const STANDBY = { names: 'DNS:standby.example, IP:127.0.0.1', usage: 'serverAuth' };

const ANEW = 'certificates were read anew';

let folder: string;
let authority: Authority;
let other: Authority;
let vm0: CertificateFiles;
let own: CertificateFiles;
let standby: Standby;
let server: StandbyServer;
let store: ImageStore;
let told: string[];
let links: StandbyLink[];
let made = 0;

beforeAll(() => {
  if (reason !== null) return;
  folder = mkdtempSync(join(tmpdir(), 'holdfast-standby-tls-'));
  authority = new Authority(join(folder, 'authority'));
  other = new Authority(join(folder, 'other'));
  vm0 = authority.issue(VM0);
  own = authority.issue(STANDBY);
});
afterAll(() => {
  if (reason === null) rmSync(folder, { recursive: true });
});

/** The standby's own copy of a file, which may be exchanged. */
const file = (name: string) => join(folder, `standby${made}`, name);

function put({ cert, key }: CertificateFiles): void {
  copyFileSync(cert, file('cert.pem'));
  copyFileSync(key, file('key.pem'));
}

beforeEach(async ({ skip }) => {
  skip(reason !== null, reason ?? '');
  made++;
  const lines: string[] = [];
  told = lines;
  links = [];
  mkdirSync(join(folder, `standby${made}`));
  put(own);
  authority.writeRevoked(file('crl.pem'));
  copyFileSync(authority.cert, file('ca.pem'));
  store = new ImageStore(file('images'));
  standby = new Standby({
    vm: 'vm0',
    store,
    machine: {
      state: 'warm',
      occupied: null,
      pid: null,
      qmp: '/nowhere',
      onExit: null,
      async load() {},
      async run() {},
      async stop() {},
    },
    ports: {
      fences: true,
      mayBeMade: false,
      switch: async () => ({ term: 2, discardedFrames: 0, releasedFrames: 0 }),
      async unprotect() {},
    },
    goesOnUnprotected: false,
    silenceMs: 0,
    fence: null,
    disks: null,
    onEvent: () => {},
  });
  server = new StandbyServer(standby);
  await server.listen({
    tls: {
      host: '127.0.0.1',
      port: 0,
      files: { cert: file('cert.pem'), key: file('key.pem'), ca: file('ca.pem'), crl: file('crl.pem') },
      clients: ['vm0.example', 'operator.example'],
      tell: (message) => lines.push(message),
      watchTimes: { quietMs: 20, pollMs: 50 },
    },
  });
});
afterEach(async () => {
  for (const link of links ?? []) link.close();
  await server?.close();
  await standby?.close();
});

async function linked(files: CertificateFiles, ca = authority.cert): Promise<StandbyLink> {
  const tls = { host: '127.0.0.1', port: server.tlsPort!, ...files, ca };
  const link = await StandbyLink.connect({ tls }, 5000);
  links.push(link);
  return link;
}

function hello(link: StandbyLink) {
  const params = { vm: 'vm0', protocol: STANDBY_PROTOCOL, term: 1, patienceMs: 1000, leaseMs: 0 } as const;
  return link.call('protect.hello', params);
}

/** Nothing comes of whoever has this certificate. */
async function refused(files: CertificateFiles): Promise<void> {
  const link = await linked(files);
  await expect(hello(link)).rejects.toThrow('it may not know our certificate');
  expect(standby.status.hasDriver).toBe(false);
}

it('brings images from a driver with a certificate for this VM', async () => {
  const link = await linked(vm0);
  expect(await hello(link)).toEqual({ newest: null, disks: [] });
  const bytes = Buffer.alloc(3_000_000, 'a growing pattern ');
  const image = link.begin({ term: 1, epoch: 1 });
  for (let at = 0; at < bytes.length; at += 700_001) image.write(bytes.subarray(at, at + 700_001));
  await image.end(5000);
  expect(readFileSync(store.newest!.path).equals(bytes)).toBe(true);
  expect(await (await linked(authority.issue({ names: 'DNS:operator.example' }))).call('status', {})).toMatchObject({
    state: 'ready',
    hasDriver: true,
  });
  expect(told).toEqual([]);
});

describe('hangs up on, and tells of once, a driver whose certificate', () => {
  const PAST = { from: '20240101000000Z', until: '20250101000000Z' };

  test.each<[string, Issued, string]>([
    ['is that of another VM', { names: 'DNS:vm1.example', usage: 'clientAuth' }, "none of 'clients' has its name"],
    ['has expired', { ...VM0, ...PAST }, 'it has expired'],
    ['is for servers', STANDBY, 'it is not for clients'],
  ])('%s', async (_, issued, why) => {
    const files = authority.issue(issued);
    for (let i = 0; i < 2; i++) await refused(files);
    expect(told).toEqual([expect.stringContaining(`a client's certificate is refused: ${why} (`)]);
  });

  test('is of another authority', async () => {
    await refused(other.issue(VM0));
    expect(told).toEqual([expect.stringContaining("a client's certificate is refused: ")]);
  });

  test('is self-signed', async () => {
    await refused(selfSigned(folder, '/CN=vm0.example'));
    expect(told).toEqual(["a client's certificate is refused: it is self-signed (vm0.example)"]);
  });

  test('is revoked, also while it protects the VM', async () => {
    const files = authority.issue(VM0);
    const link = await linked(files);
    await hello(link);
    authority.revoke(files);
    authority.writeRevoked(file('crl.pem'));
    await link.closed;
    await until(() => !standby.status.hasDriver, 'the driver to be away');
    await refused(files);
    expect(told.at(-1)).toContain('it is revoked');
    await hello(await linked(vm0));
  });
});

it('does not answer who speaks no TLS', async () => {
  const socket = connect(server.tlsPort!, '127.0.0.1');
  let said = '';
  socket.on('data', (bytes) => {
    said += bytes.toString('latin1');
  });
  socket.on('error', () => {});
  socket.write('{"jsonrpc":"2.0","id":1,"method":"status","params":{}}\n');
  await new Promise((resolve) => socket.on('close', resolve));
  expect(said).not.toContain('vm0');
});

it('new files are in force for the next driver, and the one that is there stays', async () => {
  const first = await linked(vm0);
  await hello(first);
  put(authority.issue(STANDBY));
  await until(() => told.includes(ANEW), 'the new files');
  await first.call('protect.ping', { term: 1 });
  await hello(await linked(authority.issue(VM0)));
});

describe('a driver gives the memory of its VM to no standby', () => {
  test('whose certificate another authority has signed', async () => {
    await expect(linked(vm0, other.cert)).rejects.toThrow(/the standby cannot be reached: .*certificate/);
    expect(standby.status.hasDriver).toBe(false);
  });

  test.each<[string, Issued]>([
    ['that is another one', { names: 'DNS:elsewhere.example, IP:192.0.2.9', usage: 'serverAuth' }],
    ['whose certificate has expired', { ...STANDBY, from: '20240101000000Z', until: '20250101000000Z' }],
    ['whose certificate is for clients', { ...STANDBY, usage: 'clientAuth' }],
  ])('%s', async (_, issued) => {
    put(authority.issue(issued));
    await until(() => told.includes(ANEW), 'the new files');
    await expect(linked(vm0)).rejects.toThrow('the standby cannot be reached');
    expect(standby.status.hasDriver).toBe(false);
  });

  test('without a certificate of its own that can be read', async () => {
    await expect(linked({ cert: '/nowhere/cert.pem', key: vm0.key })).rejects.toThrow('/nowhere/cert.pem');
  });
});

describe('an address', () => {
  const files = { cert: 'c', key: 'k', ca: 'a' };

  test.each([
    ['unix:/run/s', { path: '/run/s' }],
    ['tcp:127.0.0.1:4600', { host: '127.0.0.1', port: 4600 }],
    ['tcp:[::1]:4600', { host: '::1', port: 4600 }],
    ['tls:standby.example:4600', { tls: { host: 'standby.example', port: 4600, ...files } }],
    ['tls:[2001:db8::7]:4600', { tls: { host: '2001:db8::7', port: 4600, ...files } }],
  ])('%s', (text, address) => {
    expect(parseAddress(text, files)).toEqual(address);
  });

  test.each([
    ['tcp:192.0.2.7:4600', 'is on another host, which takes tls:HOST:PORT'],
    ['tcp:0.0.0.0:4600', 'is on another host'],
    ['tcp:127.evil.example:4600', 'is on another host'],
    ['tls:192.0.2.7', 'is no address'],
    ['tls:192.0.2.7:0', 'is no address'],
    ['somewhere', 'expected unix:PATH, tls:HOST:PORT'],
  ])('%s is refused', (text, why) => {
    expect(() => parseAddress(text, files)).toThrow(why);
  });

  test('tls needs all of its files', () => {
    expect(() => parseAddress('tls:192.0.2.7:4600', { cert: 'c', key: 'k' })).toThrow(
      '--tls-cert, --tls-key and --tls-ca',
    );
  });
});

describe('the command line', () => {
  const tls = () => ['--tls-cert', vm0.cert, '--tls-key', vm0.key, '--tls-ca', authority.cert];

  test('asks a standby by TLS, with files that are named or in the environment', async () => {
    const address = `tls:127.0.0.1:${server.tlsPort}`;
    const asked = await holdfast(['standby', 'status', address, '--json', ...tls()]);
    expect({ code: asked.code, stderr: asked.stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(asked.stdout)).toMatchObject({ vm: 'vm0', state: 'waiting' });
    const env = { HOLDFAST_TLS_CERT: vm0.cert, HOLDFAST_TLS_KEY: vm0.key, HOLDFAST_TLS_CA: authority.cert };
    expect((await holdfast(['standby', 'status', address], { env })).code).toBe(0);
  });

  test('names a file that cannot be used, and what is missing', async () => {
    const protect = ['protect', '--qmp', '/nowhere', '--control', '/nowhere', '--standby'];
    expect(await holdfast([...protect, 'tls:127.0.0.1:4600', ...tls(), '--tls-ca', '/nowhere/ca.pem'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--standby: /nowhere/ca.pem: cannot be read'),
    });
    expect(await holdfast([...protect, 'tcp:192.0.2.7:4600'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--standby: 'tcp:192.0.2.7:4600' is on another host"),
    });
    const run = ['standby', '--images', file('more'), '--takeover', '--listen', 'tls:127.0.0.1:4600', ...tls()];
    expect(await holdfast([...run, '--', 'true'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('needs --client'),
    });
  });
});

/** Disks between hosts: whose certificate may have them, and files that are exchanged. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  copyFileSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test } from 'vitest';
import { VirtualClock } from '../../../gateway/clock.ts';
import { OPTION, REPLY } from '../../../gateway/disk/nbd-protocol.ts';
import { NbdServer, type NbdServerOptions } from '../../../gateway/disk/nbd-server.ts';
import { NbdTls } from '../../../gateway/disk/nbd-tls.ts';
import { Authority, type CertificateFiles, type Issued, selfSigned } from '../../support/certificates.ts';
import { until } from '../../support/netns.ts';
import { withoutPrograms } from '../../support/programs.ts';
import { folder } from './folders.ts';
import { RawClient } from './nbd-client.ts';
import { serve } from './nbd-rig.ts';

const reason = withoutPrograms('openssl');
const VM0 = { names: 'DNS:vm0.example', usage: 'clientAuth' };
const STANDBY = { names: 'DNS:standby.example, IP:127.0.0.1', usage: 'serverAuth' };
const HOST = '127.0.0.1';

let made: string;
let authority: Authority;
let other: Authority;
let vm0: CertificateFiles;
let own: CertificateFiles;
let where: string;
let told: string[];
let server: NbdServer | null;
let port: number;
let clients: RawClient[];

beforeAll(() => {
  if (reason !== null) return;
  made = mkdtempSync(join(tmpdir(), 'holdfast-nbd-tls-'));
  authority = new Authority(join(made, 'authority'));
  other = new Authority(join(made, 'other'));
  vm0 = authority.issue(VM0);
  own = authority.issue(STANDBY);
});
afterAll(() => {
  if (reason === null) rmSync(made, { recursive: true });
});

/** The server's own copy of a file, which may be exchanged. */
const file = (name: string) => join(where, `${name}.pem`);

function put({ cert, key }: CertificateFiles, ca = authority.cert): void {
  copyFileSync(cert, file('cert'));
  copyFileSync(key, file('key'));
  copyFileSync(ca, file('ca'));
}

beforeEach(async ({ skip }) => {
  skip(reason !== null, reason ?? '');
  clients = [];
  server = null;
  told = [];
  where = folder();
  put(own);
  authority.writeRevoked(file('crl'));
});
afterEach(async () => {
  for (const client of clients ?? []) client.socket.destroy();
  await server?.close();
});

async function served(
  names: readonly string[] | null = ['vm0.example', 'operator.example'],
  options: Partial<NbdServerOptions> = {},
  tell = (message: string) => void told.push(message),
): Promise<void> {
  const { disk } = await serve();
  const files = { cert: file('cert'), key: file('key'), ca: file('ca'), crl: names === null ? null : file('crl') };
  const tls = await NbdTls.open({ files, clients: names, tell });
  server = new NbdServer({ address: { host: HOST, port: 0 }, disks: new Map([['disk', disk]]), tls, ...options });
  port = ((await server.listen()) as { port: number }).port;
}

/** @param from another address of this host, for another host */
function come(from = HOST): RawClient {
  const client = new RawClient({ host: HOST, port, localAddress: from });
  clients.push(client);
  return client;
}

/** @returns a client that has come so far that it may ask */
async function introduced(files: CertificateFiles, ca?: string, client = come()): Promise<RawClient> {
  await client.greet();
  await introduce(client, files, ca);
  return client;
}

async function introduce(client: RawClient, { cert, key }: CertificateFiles, ca = authority.cert): Promise<void> {
  await client.startTls({
    ...{ host: HOST, rejectUnauthorized: true },
    ...{ cert: readFileSync(cert), key: readFileSync(key), ca: readFileSync(ca) },
  });
}

/** The disk is read and written. */
async function taken(files: CertificateFiles, ca?: string): Promise<RawClient> {
  const client = await introduced(files, ca);
  expect((await client.go('disk')).at(-1)!.type).toBe(REPLY.ack);
  expect(await client.write(0, Buffer.from('mine'))).toBe(0);
  expect((await client.read(0, 4)).toString()).toBe('mine');
  return client;
}

/** Whoever has this certificate is told nothing. */
async function refused(files: CertificateFiles): Promise<void> {
  const client = await introduced(files);
  await expect(client.go('disk')).rejects.toThrow('the server hung up');
}

describe('no disk is given to, and people are told once of, a client whose certificate', () => {
  const PAST = { from: '20240101000000Z', until: '20250101000000Z' };

  test.each<[string, Issued, string]>([
    ['is that of another VM', { names: 'DNS:vm1.example', usage: 'clientAuth' }, "none of 'clients' has its name"],
    ['has expired', { ...VM0, ...PAST }, 'it has expired'],
    ['is for servers', STANDBY, 'it is not for clients'],
  ])('%s', async (_, issued, why) => {
    await served();
    const files = authority.issue(issued);
    for (let i = 0; i < 2; i++) await refused(files);
    expect(told).toEqual([expect.stringContaining(`a client's certificate is refused at the disks: ${why} (`)]);
    await taken(vm0);
    expect(server!.connections).toBe(1);
  });

  test('another authority has signed, or its owner alone', async () => {
    await served();
    await refused(other.issue(VM0));
    await refused(selfSigned(made, '/CN=vm0.example'));
    expect(told).toEqual([
      expect.stringContaining('refused at the disks: its authority is not known here'),
      "a client's certificate is refused at the disks: it is self-signed (vm0.example)",
    ]);
  });

  test('is revoked, since the server was started', async () => {
    await served();
    const files = authority.issue(VM0);
    (await taken(files)).socket.destroy();
    authority.revoke(files);
    authority.writeRevoked(file('crl'));
    await refused(files);
    expect(told.at(-1)).toContain('refused at the disks: it is revoked');
    await taken(vm0);
  });
});

it('where nobody is named, whoever the authority has signed has the disk', async () => {
  await served(null);
  await taken(authority.issue({ names: 'DNS:somebody.example' }));
  await refused(other.issue(VM0));
});

it('files that were exchanged are in force for the next client, and the one that is there stays', async () => {
  await served(null);
  const first = await taken(vm0);
  put(other.issue(STANDBY), other.cert);
  await taken(other.issue(VM0), other.cert);
  expect(told).toEqual(['certificates of the disks were read anew']);
  // A client of the first authority does not believe the second one.
  await (await introduced(vm0)).closed;
  expect(await first.write(0, Buffer.from('still there'))).toBe(0);
});

it('files of which one is of no use change nothing, and people are told which', async () => {
  await served();
  writeFileSync(file('key'), readFileSync(vm0.key));
  await taken(vm0);
  await taken(vm0);
  const kept = 'new certificates of the disks are not used, the old ones stay: ';
  expect(told).toEqual([expect.stringContaining(`${kept}${file('key')}: `)]);
  rmSync(file('ca'));
  await taken(vm0);
  expect(told.at(-1)).toContain(`${kept}${file('ca')}: cannot be read`);
  put(authority.issue(STANDBY));
  await taken(vm0);
  expect(told.at(-1)).toBe('certificates of the disks were read anew');
});

describe('a flood of strangers', () => {
  const AWAY = '127.0.0.2';

  it('is taken no faster than 20 a second from one address, and keeps nobody else out', async () => {
    const clock = new VirtualClock();
    await served(null, { clock, maxConnections: 50 });
    const flood = Array.from({ length: 30 }, () => come());
    await until(() => flood.filter(({ isClosed }) => isClosed).length === 10, 'those beyond to be hung up on');
    await until(() => server!.connections === 20, 'the others to be there');
    const away = await introduced(vm0, undefined, come(AWAY));
    expect((await away.go('disk')).at(-1)!.type).toBe(REPLY.ack);
    await come().closed;
    clock.advanceTo(1e9);
    await taken(vm0);
  });

  it('pushes none out that comes from elsewhere and has chosen no disk yet', async () => {
    await served(null, { clock: new VirtualClock(), maxConnections: 4 });
    const away = come(AWAY);
    await away.greet();
    const flood = Array.from({ length: 10 }, () => come());
    await until(() => flood.filter(({ isClosed }) => isClosed).length >= 7, 'the flood to make room for itself');
    expect(server!.connections).toBe(4);
    await introduce(away, vm0);
    expect((await away.go('disk')).at(-1)!.type).toBe(REPLY.ack);
  });
});

it('files that do not answer keep nobody out: those that were read before are used, and people are told once', async () => {
  await served();
  rmSync(file('cert'));
  // Reading it waits for somebody who writes into it.
  execFileSync('mkfifo', [file('cert')]);
  try {
    await taken(vm0);
    await taken(vm0);
    expect(told).toEqual([expect.stringContaining('files of certificates of the disks do not answer')]);
  } finally {
    closeSync(openSync(file('cert'), constants.O_RDWR | constants.O_NONBLOCK));
  }
  await until(() => told.length === 2, 'the end of that look');
  expect(told[1]).toContain('new certificates of the disks are not used, the old ones stay: ');
  rmSync(file('cert'));
  put(own);
  await taken(vm0);
  expect(told.at(-1)).toBe('certificates of the disks were read anew');
});

it('a look at the files that fails keeps nobody out', async () => {
  await served(null, {}, () => {
    throw new Error('nobody can be told');
  });
  put(authority.issue(STANDBY));
  await taken(vm0);
  await taken(vm0);
});

it('a client that leaves in the middle of its introduction is forgotten', async () => {
  await served();
  for (const isPolite of [true, false]) {
    const client = new RawClient({ host: HOST, port });
    await client.greet();
    client.sendOption(OPTION.startTls);
    if (isPolite) client.socket.end();
    else client.socket.destroy();
  }
  await until(() => server!.connections === 0, 'nobody to be there');
  await taken(vm0);
});

import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, expect, it } from 'vitest';
import { OPTION, REPLY } from '../../../gateway/disk/nbd-protocol.ts';
import { NbdServer } from '../../../gateway/disk/nbd-server.ts';
import { NbdTls } from '../../../gateway/disk/nbd-tls.ts';
import { makeCertificates, serverTls } from '../../support/certificates.ts';
import { until } from '../../support/netns.ts';
import { withoutPrograms } from '../../support/programs.ts';
import { folder } from './folders.ts';
import { RawClient } from './nbd-client.ts';
import { serve } from './nbd-rig.ts';

const run = promisify(execFile);
const reason = withoutPrograms('openssl', 'nbdinfo', 'qemu-io');

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
});

async function serveWithTls(): Promise<{ server: NbdServer; host: string; port: number; certificates: string }> {
  const { disk } = await serve();
  const certificates = folder();
  makeCertificates(certificates);
  const address = { host: '127.0.0.1', port: 0 };
  const tls = await NbdTls.open({ files: serverTls(certificates), clients: null, tell: () => {} });
  const server = new NbdServer({ address, disks: new Map([['disk', disk]]), tls });
  const { port } = (await server.listen()) as { port: number };
  return { server, host: '127.0.0.1', port, certificates };
}

it('clients with a certificate of the authority are served over TLS: libnbd and QEMU', async () => {
  const { server, port, certificates } = await serveWithTls();
  const uri = `nbds://localhost:${port}/disk?tls-certificates=${certificates}`;
  const { stdout } = await run('nbdinfo', ['--json', uri]);
  expect(JSON.parse(stdout)).toMatchObject({ TLS: true, exports: [{ 'export-size': 2 ** 20 }] });
  const credentials = `tls-creds-x509,id=t,endpoint=client,dir=${certificates}`;
  const image = `driver=nbd,host=localhost,port=${port},export=disk,tls-creds=t,tls-hostname=localhost`;
  const commands = ['-c', 'write -P 5 0 1M', '-c', 'read -P 5 0 1M', '-c', 'flush'];
  const qemu = await run('qemu-io', ['--object', credentials, ...commands, '--image-opts', image]);
  expect(qemu.stdout).toContain('read 1048576/1048576 bytes');
  await server.close();
});

it('who does not ask for TLS learns that it must; who has another authority, or no certificate, gets nothing', async () => {
  const { server, host, port, certificates } = await serveWithTls();
  const plain = new RawClient({ host, port });
  await plain.greet();
  plain.sendOption(OPTION.list);
  expect((await plain.replies())[0]!.type).toBe(REPLY.tlsRequired);
  expect((await plain.go('disk')).at(-1)!.type).toBe(REPLY.tlsRequired);
  plain.sendOption(OPTION.exportName, Buffer.from('disk'));
  await plain.closed;

  const other = join(certificates, 'other');
  mkdirSync(other);
  makeCertificates(other);
  for (const wrong of [other, join(certificates, 'nothing')]) {
    const uri = `nbds://localhost:${port}/disk?tls-certificates=${wrong}`;
    await expect(run('nbdinfo', [uri])).rejects.toThrow();
  }
  const noise = new RawClient({ host, port });
  await noise.greet();
  noise.sendOption(OPTION.startTls);
  expect((await noise.replies())[0]!.type).toBe(REPLY.ack);
  noise.send(Buffer.from('this is no ClientHello, whatever one may think of it'));
  await noise.closed;
  // Some of them the server hangs up on when it hears that they have.
  await until(() => server.connections === 0, 'nobody to be there');
  await server.close();
});

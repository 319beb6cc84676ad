import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Makes an authority, and a server and a client that it knows, as files in a folder, under the names that libnbd and QEMU look for:
 * `ca-cert.pem`, `server-cert.pem`, `server-key.pem`, `client-cert.pem`, `client-key.pem`.
 */
export function makeCertificates(folder: string): void {
  const path = (name: string) => join(folder, name);
  const openssl = (...parameters: string[]) => execFileSync('openssl', parameters, { stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const authority = ['req', '-x509', ...key, '-days', '2', '-subj', '/CN=test authority'];
  openssl(...authority, '-keyout', path('ca-key.pem'), '-out', path('ca-cert.pem'));
  for (const who of ['server', 'client']) {
    openssl('req', ...key, '-subj', `/CN=${who}`, '-keyout', path(`${who}-key.pem`), '-out', path(`${who}.csr`));
    writeFileSync(path(`${who}.ext`), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
    const signed = ['x509', '-req', '-in', path(`${who}.csr`), '-days', '2', '-extfile', path(`${who}.ext`)];
    const by = ['-CA', path('ca-cert.pem'), '-CAkey', path('ca-key.pem'), '-CAcreateserial'];
    openssl(...signed, ...by, '-out', path(`${who}-cert.pem`));
  }
}

/** @returns what a server is given */
export function serverTls(folder: string): { key: string; cert: string; ca: string } {
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');
  return { key: read('server-key.pem'), cert: read('server-cert.pem'), ca: read('ca-cert.pem') };
}

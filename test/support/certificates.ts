import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TlsFiles } from '../../gateway/host/tls-files.ts';

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
export function serverTls(folder: string): TlsFiles {
  const path = (name: string) => join(folder, name);
  return { key: path('server-key.pem'), cert: path('server-cert.pem'), ca: path('ca-cert.pem'), crl: null };
}

export interface Issued {
  /** Subject, as openssl writes it. */
  readonly subject?: string;
  /** As in a configuration of openssl: `DNS:a, URI:b`. */
  readonly names?: string;
  /** YYYYMMDDHHMMSSZ. */
  readonly from?: string;
  readonly until?: string;
  /** `clientAuth`, `serverAuth`. */
  readonly usage?: string;
}

/** Paths of a certificate and its key. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

function openssl(...parameters: readonly string[]): void {
  execFileSync('openssl', parameters, { stdio: 'pipe' });
}

/** Signs certificates, and takes them back. */
export class Authority {
  readonly cert: string;
  readonly #folder: string;
  readonly #options: readonly string[];
  #issued = 0;

  /** @param folder which it makes */
  constructor(folder: string) {
    mkdirSync(folder);
    this.#folder = folder;
    this.cert = join(folder, 'ca.pem');
    const key = join(folder, 'ca-key.pem');
    openssl('req', '-x509', ...KEY, '-days', '2', '-subj', '/CN=authority', '-keyout', key, '-out', this.cert);
    const config = join(folder, 'ca.cnf');
    writeFileSync(join(folder, 'index.txt'), '');
    writeFileSync(join(folder, 'serial'), '1000\n');
    writeFileSync(
      config,
      `[ca]
default_ca = own
[own]
database = ${join(folder, 'index.txt')}
serial = ${join(folder, 'serial')}
new_certs_dir = ${folder}
default_md = sha256
default_days = 2
default_crl_days = 2
unique_subject = no
policy = any
[any]
commonName = optional
organizationName = optional
`,
    );
    this.#options = ['-batch', '-config', config, '-cert', this.cert, '-keyfile', key];
  }

  issue({ subject = '/O=test', names, from, until, usage }: Issued): CertificateFiles {
    const base = join(this.#folder, `issued-${++this.#issued}`);
    const files = { cert: `${base}.pem`, key: `${base}-key.pem` };
    openssl('req', ...KEY, '-subj', subject, '-keyout', files.key, '-out', `${base}.csr`);
    const lines = ['basicConstraints = CA:FALSE'];
    if (names !== undefined) lines.push(`subjectAltName = ${names}`);
    if (usage !== undefined) lines.push(`extendedKeyUsage = ${usage}`);
    writeFileSync(`${base}.ext`, `${lines.join('\n')}\n`);
    const dates = [
      ...(from === undefined ? [] : ['-startdate', from]),
      ...(until === undefined ? [] : ['-enddate', until]),
    ];
    const out = ['-notext', '-extfile', `${base}.ext`, '-in', `${base}.csr`, '-out', files.cert];
    openssl('ca', ...this.#options, ...dates, ...out);
    return files;
  }

  revoke({ cert }: CertificateFiles): void {
    openssl('ca', ...this.#options, '-revoke', cert);
  }

  /** Writes who is revoked until now. */
  writeRevoked(path: string): void {
    openssl('ca', ...this.#options, '-gencrl', '-out', path);
  }
}

/** A certificate that nobody but its owner has signed. */
export function selfSigned(folder: string, subject: string): CertificateFiles {
  const files = { cert: join(folder, 'self.pem'), key: join(folder, 'self-key.pem') };
  openssl('req', '-x509', ...KEY, '-days', '2', '-subj', subject, '-keyout', files.key, '-out', files.cert);
  return files;
}

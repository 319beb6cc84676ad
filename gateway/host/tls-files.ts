import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { whyUnreadable } from '../../rules/load.ts';

/** Paths of PEM files. */
export interface TlsFiles {
  /** The server's certificate, and those between it and its authority. */
  readonly cert: string;
  readonly key: string;
  /** Authorities whose clients are believed. */
  readonly ca: string;
  /** One revocation list for each authority; null: nothing is revoked. */
  readonly crl: string | null;
}

/** What the files said. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  readonly ca: string[];
  readonly crl?: string[];
}

/** One of the files cannot be used; the message names it. */
export class TlsFilesError extends Error {
  readonly code = 'tls-files';

  constructor(path: string, why: string) {
    super(`${path}: ${why}`);
    this.name = 'TlsFilesError';
  }
}

/**
 * Reads all of the files and looks at each whole: TLS itself takes no notice of an authority that cannot be read, and a file that is
 * half written may be fit to be used.
 * @throws TlsFilesError
 */
export async function readTlsFiles({ cert, key, ca, crl }: TlsFiles): Promise<TlsMaterial> {
  // One after the other: where several are missing, always the same one is told.
  const certText = await read(cert);
  const keyText = await read(key);
  const caText = await read(ca);
  const crlText = crl === null ? null : await read(crl);
  for (const block of blocksOf(cert, certText, 'CERTIFICATE')) parseCertificate(cert, block);
  const authorities = blocksOf(ca, caText, 'CERTIFICATE');
  for (const block of authorities) parseCertificate(ca, block);
  const material = { cert: certText, key: keyText, ca: authorities };
  attempt(cert, () => createSecureContext({ cert: certText }));
  attempt(key, () => createSecureContext({ cert: certText, key: keyText }));
  if (crl === null || crlText === null) return material;
  const lists = blocksOf(crl, crlText, 'X509 CRL');
  attempt(crl, () => createSecureContext({ crl: lists }));
  return { ...material, crl: lists };
}

/** @returns the files, as `WatchedFiles` wants them */
export function tlsSources({ cert, key, ca, crl }: TlsFiles): ReadonlyMap<string, string> {
  return new Map([cert, key, ca, ...(crl === null ? [] : [crl])].map((path) => [path, '']));
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'latin1');
  } catch (error) {
    throw new TlsFilesError(path, `cannot be read: ${whyUnreadable(error)}`);
  }
}

/** @returns the PEM blocks of a kind (RFC 7468, section 2) @throws TlsFilesError unless there is one, and all are whole */
function blocksOf(path: string, text: string, label: string): string[] {
  const begun = text.split(`-----BEGIN ${label}-----`).length - 1;
  const whole = new RegExp(`-----BEGIN ${label}-----[A-Za-z0-9+/=\\s]*-----END ${label}-----`, 'g');
  const blocks = text.match(whole) ?? [];
  if (blocks.length === 0) throw new TlsFilesError(path, `there is no '${label}' in PEM`);
  if (blocks.length < begun) throw new TlsFilesError(path, `a '${label}' is cut off`);
  return blocks;
}

function parseCertificate(path: string, block: string): void {
  attempt(path, () => new X509Certificate(block));
}

function attempt(path: string, use: () => unknown): void {
  try {
    use();
  } catch (error) {
    throw new TlsFilesError(path, error instanceof Error ? error.message : String(error));
  }
}

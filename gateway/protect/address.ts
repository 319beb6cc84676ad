import type { TlsAddress } from '../host/connect.ts';

/** Where a standby listens: a unix socket's path, a TCP address of this host, or one that both sides show certificates at. */
export type Address =
  | { readonly path: string }
  | { readonly host: string; readonly port: number }
  | { readonly tls: TlsAddress };

/** Paths of PEM files: who we are, and who signed the certificate of the other side. */
export interface OwnFiles {
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly ca?: string | undefined;
}

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/;
const EXPECTED = 'expected unix:PATH, tls:HOST:PORT, or tcp:HOST:PORT within this host';

/**
 * Reads `unix:PATH`, `tls:HOST:PORT` or `tcp:HOST:PORT`, an IPv6 address in brackets. What crosses a network is the whole memory of a
 * VM, so TCP without TLS is for this host only.
 * @param files for `tls:`
 * @throws RangeError
 */
export function parseAddress(text: string, files: OwnFiles): Address {
  const path = /^unix:(.+)$/.exec(text)?.[1];
  if (path !== undefined) return { path };
  const [, kind, written, digits] = /^(tcp|tls):(.+):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (written === undefined || port < 1 || port > 65_535) throw new RangeError(`'${text}' is no address: ${EXPECTED}`);
  const host = written.replace(/^\[(.*)\]$/, '$1');
  if (kind === 'tls') {
    const { cert, key, ca } = files;
    if (!cert || !key || !ca) throw new RangeError(`'${text}' needs --tls-cert, --tls-key and --tls-ca`);
    return { tls: { host, port, cert, key, ca } };
  }
  if (!LOOPBACK.test(host)) throw new RangeError(`'${text}' is on another host, which takes tls:HOST:PORT`);
  return { host, port };
}

/** Where a standby listens: a unix socket's path, or a TCP address. */
export type Address = { readonly path: string } | { readonly host: string; readonly port: number };

/**
 * Reads `unix:PATH` or `tcp:HOST:PORT`, an IPv6 address in brackets.
 * @throws RangeError
 */
export function parseAddress(text: string): Address {
  const path = /^unix:(.+)$/.exec(text)?.[1];
  if (path !== undefined) return { path };
  const tcp = /^tcp:(.+):(\d{1,5})$/.exec(text);
  const port = Number(tcp?.[2]);
  if (tcp === null || port < 1 || port > 65_535) {
    throw new RangeError(`'${text}' is no address: expected unix:PATH or tcp:HOST:PORT`);
  }
  return { host: tcp[1]!.replace(/^\[(.*)\]$/, '$1'), port };
}

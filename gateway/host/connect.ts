import { readFileSync } from 'node:fs';
import { connect, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** A gateway's `tls` listener, and who we are. Files are PEM, and read anew for each connection: they may be exchanged. */
export interface TlsAddress {
  readonly host: string;
  readonly port: number;
  /** Path of our certificate. */
  readonly cert: string;
  readonly key: string;
  /** Path of the authority that signed the gateway's certificate. */
  readonly ca: string;
  /** The DNS name that the gateway's certificate must have; default: `host`, a name or an address. */
  readonly servername?: string;
}

/** Where a gateway is: its socket's path, or its address. One of the two. */
export interface GatewayAddress {
  readonly path?: string;
  readonly tls?: TlsAddress;
}

/** @returns how people call it */
export function addressText({ path, tls }: GatewayAddress): string {
  return tls === undefined ? (path ?? '') : `tls:${tls.host.includes(':') ? `[${tls.host}]` : tls.host}:${tls.port}`;
}

/**
 * @param onConnect the connection is there, and with `tls` the gateway is who it should be; whether it takes us is not known yet
 * @returns at once; an error that keeps it from connecting ends the socket, as it would later
 */
export function connectTo({ path, tls }: GatewayAddress, allowHalfOpen: boolean, onConnect: () => void): Socket {
  if (tls === undefined) return connect({ path: path ?? '', allowHalfOpen }).once('connect', onConnect);
  const { host, port, servername } = tls;
  try {
    const files = { cert: readFileSync(tls.cert), key: readFileSync(tls.key), ca: readFileSync(tls.ca) };
    const named = servername === undefined ? {} : { servername };
    const options = { host, port, allowHalfOpen, minVersion: 'TLSv1.2', ...files, ...named } as const;
    return connectTls(options).once('secureConnect', onConnect);
  } catch (error) {
    // A file that cannot be read, or that is none of these.
    return new Socket().destroy(error as Error);
  }
}

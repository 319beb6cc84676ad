import { type Command, Option } from 'commander';
import { readTlsFiles, TlsFilesError } from '../host/tls-files.ts';
import { type Address, parseAddress } from '../protect/address.ts';
import { Failure } from './failure.ts';

/** For commands that speak to another host, or are spoken to. */
export interface TlsOptions {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
}

export function addTlsOptions(command: Command): Command {
  return command
    .addOption(new Option('--tls-cert <file>', 'for tls: our certificate (PEM)').env('HOLDFAST_TLS_CERT'))
    .addOption(new Option('--tls-key <file>', 'its key (PEM)').env('HOLDFAST_TLS_KEY'))
    .addOption(new Option('--tls-ca <file>', 'who signs certificates of the other side (PEM)').env('HOLDFAST_TLS_CA'));
}

/**
 * Reads an address, and looks at the files that it needs: later each is read anew whenever it is used.
 * @param option that names the address, for people
 * @throws Failure
 */
export async function standbyAddress(option: string, text: string, options: TlsOptions): Promise<Address> {
  try {
    const address = parseAddress(text, { cert: options.tlsCert, key: options.tlsKey, ca: options.tlsCa });
    if ('tls' in address) await readTlsFiles({ ...address.tls, crl: null });
    return address;
  } catch (error) {
    throw error instanceof RangeError || error instanceof TlsFilesError
      ? new Failure(`${option}: ${error.message}`)
      : error;
  }
}

import { once } from 'node:events';
import { DiskError } from '../disk/disk-error.ts';
import { NbdTls } from '../disk/nbd-tls.ts';
import { type ServedDisk, type ServeOptions, serveDisk } from '../disk/serve.ts';
import type { TlsFiles } from '../host/tls-files.ts';
import { EXIT, Failure } from './failure.ts';

export interface DiskServeOptions extends Omit<ServeOptions, 'tls'> {
  /** Null: there is no TLS. */
  readonly files: TlsFiles | null;
}

/** `holdfast disk serve`: until a signal ends it. @returns the exit code */
export async function diskServe(options: DiskServeOptions): Promise<number> {
  const ended = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  const served = await opened(options).catch((error: Error) => {
    throw new Failure(error.message, error instanceof DiskError ? EXIT.no : EXIT.usage);
  });
  const { address, disk } = served;
  const where = 'path' in address ? address.path : `${address.host}:${address.port}`;
  const { recovery, term, committedEpoch, sizeBytes } = disk.status;
  const text = `serving ${options.name}, ${sizeBytes} bytes, on ${where}: term ${term}, committed epoch ${committedEpoch}`;
  const torn = recovery.tornBytes === 0 ? '' : `; cut off ${recovery.tornBytes} torn bytes of the log`;
  if (!process.stdout.write(`${text}${torn}\n`)) await once(process.stdout, 'drain');
  await ended;
  await served.close();
  return EXIT.ok;
}

async function opened({ files, ...options }: DiskServeOptions): Promise<ServedDisk> {
  const tell = (message: string) => process.stderr.write(`holdfast: ${message}\n`);
  const tls = files === null ? null : await NbdTls.open({ files, clients: null, tell });
  return serveDisk({ ...options, tls });
}

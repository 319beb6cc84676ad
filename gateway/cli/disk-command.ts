import { type Command, InvalidArgumentError } from 'commander';
import type { NbdAddress } from '../disk/nbd-server.ts';
import type { TlsFiles } from '../host/tls-files.ts';
import { diskSize } from './disk-option.ts';
import { Failure } from './failure.ts';

/** `unix:PATH` or `tcp:HOST:PORT`. */
function address(text: string): NbdAddress {
  if (text.startsWith('unix:') && text.length > 5) return { path: text.slice(5) };
  const [, host, port] = /^tcp:\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535)
    throw new InvalidArgumentError('expected unix:PATH or tcp:HOST:PORT');
  return { host, port: Number(port) };
}

function tls(options: { tlsKey?: string; tlsCert?: string; tlsCa?: string }): TlsFiles | null {
  const { tlsKey, tlsCert, tlsCa } = options;
  if (tlsKey === undefined && tlsCert === undefined && tlsCa === undefined) return null;
  if (tlsKey === undefined || tlsCert === undefined || tlsCa === undefined) {
    throw new Failure('--tls-key, --tls-cert and --tls-ca go together');
  }
  return { key: tlsKey, cert: tlsCert, ca: tlsCa, crl: null };
}

/** Adds `holdfast disk`. */
export function addDisk(program: Command): void {
  const disk = program
    .command('disk')
    .description("The standby's disk, which takes no write into its image too early.");
  disk
    .command('serve')
    .description('Serve a disk over NBD, with writes in a log until the checkpoint that contains them is committed.')
    .requiredOption('--image <file>', 'raw image, a plain file')
    .requiredOption('--log <folder>', 'folder for the redo log alone; made where it is missing')
    .requiredOption('--listen <address>', 'unix:PATH, or tcp:HOST:PORT: this host only, unless there is TLS', address)
    .option('--control <path>', 'unix socket for whoever makes checkpoints: disk.start, disk.seal, disk.commit …')
    .option('--size <bytes>', 'size of the disk; where there is no image, a sparse one is made', diskSize)
    .option('--name <name>', 'what clients call the disk', 'disk')
    .option('--log-limit <bytes>', 'what the log may take; then writes find no room', diskSize)
    .option('--tls-key <file>', "the server's key (PEM)")
    .option('--tls-cert <file>', "the server's certificate (PEM)")
    .option('--tls-ca <file>', 'who signs the certificates of clients (PEM)')
    .addHelpText(
      'after',
      `
Example:
  holdfast disk serve --image web.raw --size 20G --log web.log --listen unix:/run/web.nbd --control /run/web.disk
  qemu-system-x86_64 … -drive if=none,id=d0,format=raw,cache=none,file.driver=nbd,file.export=disk,file.server.type=unix,file.server.path=/run/web.nbd

Exit code: 0 ended by a signal; 1 image or log are refused, with the reason; 2 wrong usage or input.`,
    )
    .action(async (options) => {
      const { diskServe } = await import('./disk-serve.ts');
      process.exitCode = await diskServe({
        image: options.image,
        log: options.log,
        address: options.listen,
        control: options.control ?? null,
        name: options.name,
        files: tls(options),
        ...(options.size === undefined ? {} : { sizeBytes: options.size }),
        ...(options.logLimit === undefined ? {} : { logLimitBytes: options.logLimit }),
      });
    });
}

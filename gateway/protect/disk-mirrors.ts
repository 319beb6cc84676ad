import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DiskSide, MirrorError } from './disk-side.ts';
import { type QmpClient, QmpError, type QmpEvent } from './qmp.ts';
import type { Checkpoint } from './standby-api.ts';
import type { StandbyLink } from './standby-link.ts';

/** Of jobs and nodes that are ours. */
const PREFIX = 'holdfast-';
/** Of the nodes below, which are connections. */
const CONNECTION_PREFIX = 'hfnbd-';
/** QEMU looks at a job whose write has failed after 100 ms at most. */
const SETTLE_MS = 250;
const RELEASE_TIMEOUT_MS = 10_000;
const POLL_MS = 10;
const TLS_OBJECT = 'holdfast-tls';

export interface MirrorOptions {
  /** Drives or nodes of the machine (`-drive id=NAME`, `-blockdev node-name=NAME`), with the standby's names. */
  readonly names: readonly string[];
  /** Where the standby's disks are reached from the machine's host; null: where it says. `unix:PATH`, `tcp:HOST:PORT`, `tls:HOST:PORT`. */
  readonly address: string | null;
  /** Folder of certificates as QEMU names them (ca-cert.pem, client-cert.pem, client-key.pem), on the machine's host; for `tls:`. */
  readonly tlsFolder: string | null;
  /** @param bytes of all disks */
  readonly onCopy: (is: 'copying' | 'mirrored', bytes: number) => void;
}

interface Job {
  readonly device: string;
  readonly ready: boolean;
  /** `failed`: a write has not reached the standby, and none does any more. */
  readonly 'io-status': string;
}

/**
 * Mirrors disks with jobs of QEMU's own (blockdev-mirror, write-blocking): the guest is told of a write when both disks have it. A standby
 * that fails stops the job, and the machine's own disk goes on.
 */
export class DiskMirrors implements DiskSide {
  readonly #options: MirrorOptions;
  /** Jobs that have failed since they were made, or found. */
  readonly #broken = new Map<string, string>();
  #heard: QmpClient | null = null;
  #releasing: Promise<void> | null = null;
  /** A copy goes on only as long as nothing has been released since it began. */
  #releases = 0;

  constructor(options: MirrorOptions) {
    this.#options = options;
  }

  get names(): readonly string[] {
    return this.#options.names;
  }

  async resume(qmp: QmpClient, link: StandbyLink, term: number): Promise<boolean> {
    this.#listen(qmp);
    const { isWhole } = await link.call('disk.resume', { term });
    if (!isWhole) return false;
    // A write that failed before anybody listened ends its job a moment later.
    await sleep(SETTLE_MS);
    return (await this.#whyBroken(qmp)) === null;
  }

  async copy(qmp: QmpClient, link: StandbyLink, committed: Checkpoint): Promise<void> {
    const { names, onCopy } = this.#options;
    await this.release(qmp);
    const releases = this.#releases;
    const checkWanted = () => {
      if (this.#releases !== releases) throw new MirrorError('the copy of the disks was given up');
    };
    this.#listen(qmp);
    const { address, disks } = await link.call('disk.copy', { term: committed.term });
    checkWanted();
    const bytes = disks.reduce((sum, disk) => sum + disk.sizeBytes, 0);
    onCopy('copying', bytes);
    const server = await this.#server(qmp, this.#options.address ?? address);
    checkWanted();
    const ready = names.map(async (name) => {
      const node = nodeOf(name);
      const file = {
        driver: 'nbd',
        'node-name': connectionOf(name),
        ...server,
        export: disks.find((disk) => disk.name === name)!.export,
      };
      // The standby makes durable what a checkpoint needs; a flush would only make pauses longer.
      const cache = { 'no-flush': true };
      await qmp.execute('blockdev-add', { driver: 'raw', 'node-name': node, discard: 'unmap', cache, file });
      checkWanted();
      const isReady = this.#isReady(qmp, node);
      isReady.catch(() => {});
      await qmp.execute('blockdev-mirror', {
        ...{ 'job-id': node, device: name, target: node, sync: 'full' },
        // It stops where a write fails, and is there still: see `cancel`.
        ...{ 'copy-mode': 'write-blocking', 'on-target-error': 'stop' },
      });
      await isReady;
    });
    const results = await Promise.allSettled(ready);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    await link.call('disk.start', committed);
    onCopy('mirrored', bytes);
  }

  async seal(qmp: QmpClient, link: StandbyLink, checkpoint: Checkpoint): Promise<void> {
    // QEMU says STOP before it has waited for writes under way, and answers only afterwards.
    const why = await this.#whyBroken(qmp);
    if (why !== null) throw new MirrorError(why);
    await link.call('disk.seal', checkpoint);
  }

  async abort(link: StandbyLink, checkpoint: Checkpoint): Promise<void> {
    await link.call('disk.abort', checkpoint);
  }

  release(qmp: QmpClient): Promise<void> {
    this.#releasing ??= this.#release(qmp).finally(() => {
      this.#releasing = null;
    });
    return this.#releasing;
  }

  async #release(qmp: QmpClient): Promise<void> {
    this.#releases++;
    // While it waits for a write that no answer comes to, a machine that is being paused does nothing else.
    for (const name of this.#options.names) {
      const instances = [{ type: 'block-node', 'node-name': connectionOf(name) }];
      await qmp.executeNow('yank', { instances }).catch(ifRefused);
    }
    const end = performance.now() + RELEASE_TIMEOUT_MS;
    const jobs = await ownJobs(qmp);
    const wasRunning = jobs.length > 0 && (await cancel(qmp, jobs));
    try {
      while ((await ownJobs(qmp)).length > 0) {
        if (performance.now() > end) throw new MirrorError('the machine does not let go of its mirrors');
        await sleep(POLL_MS);
      }
    } finally {
      if (wasRunning && !qmp.isClosed) await qmp.execute('cont');
    }
    type Node = { readonly 'node-name': string };
    const nodes = await qmp.execute<readonly Node[]>('query-named-block-nodes', { flat: true });
    for (const { 'node-name': node } of nodes) {
      if (node.startsWith(PREFIX)) await qmp.execute('blockdev-del', { 'node-name': node });
    }
    this.#broken.clear();
  }

  /** @returns what is wrong with the jobs now; null: they copy every write */
  async #whyBroken(qmp: QmpClient): Promise<string | null> {
    const jobs = await ownJobs(qmp);
    for (const name of this.#options.names) {
      const node = nodeOf(name);
      const why = this.#broken.get(node);
      if (why !== undefined) return `the mirror of disk ${name} broke: ${why}`;
      const job = jobs.find(({ device }) => device === node);
      if (job?.ready !== true) return `disk ${name} is not mirrored`;
      if (job['io-status'] !== 'ok') return `the mirror of disk ${name} broke: a write failed`;
    }
    return null;
  }

  /** Events come in order with answers: whoever asks for jobs knows of each write that failed before the answer. */
  #listen(qmp: QmpClient): void {
    if (this.#heard === qmp) return;
    this.#heard = qmp;
    qmp.listen((event) => {
      const node = jobOf(event);
      const isEnd = ['BLOCK_JOB_ERROR', 'BLOCK_JOB_COMPLETED', 'BLOCK_JOB_CANCELLED'].includes(event.event);
      if (isEnd && node.startsWith(PREFIX)) this.#broken.set(node, wordsOf(event));
    });
  }

  #isReady(qmp: QmpClient, node: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => {
        unlisten();
        reject(new MirrorError(`disk cannot be copied: ${why}`));
      };
      const unlisten = qmp.listen((event) => {
        if (jobOf(event) !== node) return;
        if (event.event === 'BLOCK_JOB_READY') {
          unlisten();
          resolve();
        } else if (event.event !== 'BLOCK_JOB_PENDING') fail(wordsOf(event));
      });
      void qmp.closed.then(() => fail('the machine is gone'));
    });
  }

  async #server(qmp: QmpClient, address: string): Promise<object> {
    const { kind, server: place } = diskPlace(address);
    const server = { server: place };
    if (kind !== 'tls') return server;
    const { tlsFolder } = this.#options;
    if (tlsFolder === null)
      throw new MirrorError(`the standby's disks are at ${address}, which needs certificates: --disk-tls`);
    // Files may have been exchanged since.
    await qmp.execute('object-del', { id: TLS_OBJECT }).catch(ifRefused);
    await qmp.execute('object-add', {
      ...{ 'qom-type': 'tls-creds-x509', id: TLS_OBJECT, endpoint: 'client', dir: tlsFolder },
      'verify-peer': true,
    });
    return { ...server, 'tls-creds': TLS_OBJECT };
  }
}

/**
 * Reads where disks are served: `unix:PATH`, `tcp:HOST:PORT` or `tls:HOST:PORT`, an IPv6 address in brackets.
 * @returns `server`: as QEMU names it
 * @throws MirrorError
 */
export function diskPlace(address: string): { readonly kind: 'unix' | 'tcp' | 'tls'; readonly server: object } {
  const path = /^unix:(.+)$/.exec(address)?.[1];
  if (path !== undefined) return { kind: 'unix', server: { type: 'unix', path } };
  const [, kind, host, port] = /^(tcp|tls):\[?(.+?)\]?:(\d{1,5})$/.exec(address) ?? [];
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) {
    throw new MirrorError(`'${address}' is no address of disks: expected unix:PATH, tls:HOST:PORT or tcp:HOST:PORT`);
  }
  return { kind: kind === 'tls' ? 'tls' : 'tcp', server: { type: 'inet', host, port, 'keep-alive': true } };
}

/** QEMU allows 31 characters. */
function nodeOf(name: string): string {
  return `${PREFIX}${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;
}

function connectionOf(name: string): string {
  return nodeOf(name).replace(PREFIX, CONNECTION_PREFIX);
}

async function ownJobs(qmp: QmpClient): Promise<readonly Job[]> {
  const jobs = await qmp.execute<readonly Job[]>('query-block-jobs');
  return jobs.filter(({ device }) => device.startsWith(PREFIX));
}

/**
 * Ends jobs while the machine is paused. Where one ended while the guest wrote, QEMU (7.2) was seen to abort with a damaged heap: its writes
 * use what belongs to the job. A machine that is paused has none under way.
 * @returns whether it ran, and has to be told to run on
 */
async function cancel(qmp: QmpClient, jobs: readonly Job[]): Promise<boolean> {
  // Sent at once, so that nobody lets it run on in between.
  const asked = qmp.execute<{ readonly status: string }>('query-status');
  const stopped = qmp.execute('stop');
  const cancelled = jobs.map(({ device }) => qmp.execute('block-job-cancel', { device, force: true }).catch(ifRefused));
  const [{ status }] = await Promise.all([asked, stopped, ...cancelled]);
  return status === 'running';
}

function jobOf({ event, data }: QmpEvent): string {
  return event.startsWith('BLOCK_JOB_') ? String(data.device ?? data.id) : '';
}

function wordsOf({ event, data }: QmpEvent): string {
  if (typeof data.error === 'string') return data.error;
  if (event === 'BLOCK_JOB_ERROR') return `a ${data.operation} failed`;
  return event === 'BLOCK_JOB_CANCELLED' ? 'somebody cancelled it' : 'it ended';
}

/** The machine need not have what is to go. @throws everything else */
function ifRefused(error: unknown): void {
  if (!(error instanceof QmpError) || error.code !== 'refused') throw error;
}

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DiskControlClient } from '../../gateway/disk/control-client.ts';
import { withoutPrograms } from '../support/programs.ts';

import type { Reporter } from './figures.ts';
import { median } from './rounds.ts';

const run = promisify(execFile);
const HOLDFAST = fileURLToPath(new URL('../../dist/gateway/cli/main.js', import.meta.url));
const ROUNDS = 3;
const DISK_MIB = 256;
const SECONDS = 2;
/** Between two checkpoints of the protected disk. */
const EPOCH_MS = 100;

interface Load {
  readonly metric: string;
  readonly unit: string;
  readonly fio: readonly string[];
  readonly read: (result: FioJob) => number;
}

interface FioJob {
  readonly read: FioSide;
  readonly write: FioSide;
}

interface FioSide {
  readonly iops: number;
  readonly bw_bytes: number;
}

const LOADS: readonly Load[] = [
  {
    metric: 'random writes of 4 KiB, 16 at a time',
    ...{ unit: 'a second', fio: ['--rw=randwrite', '--bs=4k', '--iodepth=16'], read: ({ write }) => write.iops },
  },
  {
    metric: 'random writes of 4 KiB, each with a flush',
    ...{ unit: 'a second', fio: ['--rw=randwrite', '--bs=4k', '--fsync=1'], read: ({ write }) => write.iops },
  },
  {
    metric: 'writes of 256 KiB in order, 4 at a time',
    ...{ unit: 'MB/s', fio: ['--rw=write', '--bs=256k', '--iodepth=4'], read: ({ write }) => write.bw_bytes / 1e6 },
  },
  {
    metric: 'random reads of 4 KiB, 16 at a time',
    ...{ unit: 'a second', fio: ['--rw=randread', '--bs=4k', '--iodepth=16'], read: ({ read }) => read.iops },
  },
];

/** A disk that is sealed and committed ten times a second, beside qemu-nbd on a plain file of the same file system. */
export async function diskBench(report: Reporter): Promise<void> {
  const reason = withoutPrograms('fio', 'qemu-nbd');
  if (reason !== null) {
    report.skipped('all', reason);
    return;
  }
  const where = mkdtempSync(join(tmpdir(), 'holdfast-bench-disk-'));
  const ours = await serveOurs(where);
  const plain = await servePlain(where);
  const epochs = new Epochs(await DiskControlClient.open(join(where, 'control')));
  try {
    await epochs.begin();
    for (const { metric, unit, fio, read } of LOADS) {
      const values: [number, number][] = [];
      for (let round = 0; round < ROUNDS; round++) {
        values.push([read(await load(where, 'ours', fio)), read(await load(where, 'plain', fio))]);
      }
      const [value, baseline] = [median(values.map(([one]) => one)), median(values.map(([, other]) => other))];
      report.figure({ metric, value, unit, baseline: { name: 'qemu-nbd on a plain file', value: baseline } });
    }
    const { sealMs, commitMs } = await epochs.end();
    report.figure({ metric: 'seal, median', value: median(sealMs), unit: 'ms' });
    report.figure({ metric: 'seal, p99', value: p99(sealMs), unit: 'ms' });
    report.figure({ metric: 'seal to commit, both durable, median', value: median(commitMs), unit: 'ms' });
    report.figure({ metric: 'seal to commit, both durable, p99', value: p99(commitMs), unit: 'ms' });
  } finally {
    for (const child of [ours, plain]) child.kill('SIGKILL');
    rmSync(where, { recursive: true, force: true });
  }
}

/** Checkpoints as a driver would make them, under load. */
class Epochs {
  readonly #driver: DiskControlClient;
  readonly #sealMs: number[] = [];
  readonly #commitMs: number[] = [];
  #isOver = false;
  #loop: Promise<void> = Promise.resolve();

  constructor(driver: DiskControlClient) {
    this.#driver = driver;
  }

  async begin(): Promise<void> {
    await this.#driver.call('disk.start', { term: 1, epoch: 0 });
    this.#loop = this.#run();
  }

  async end(): Promise<{ sealMs: number[]; commitMs: number[] }> {
    this.#isOver = true;
    await this.#loop;
    this.#driver.close();
    return { sealMs: this.#sealMs, commitMs: this.#commitMs };
  }

  async #run(): Promise<void> {
    for (let epoch = 1; !this.#isOver; epoch++) {
      const start = performance.now();
      await this.#driver.call('disk.seal', { term: 1, epoch });
      this.#sealMs.push(performance.now() - start);
      await this.#driver.call('disk.commit', { term: 1, epoch });
      this.#commitMs.push(performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, EPOCH_MS));
    }
  }
}

async function serveOurs(where: string): Promise<ChildProcess> {
  const paths = ['--image', join(where, 'image'), '--log', join(where, 'log'), '--control', join(where, 'control')];
  const rest = ['--size', `${DISK_MIB}M`, '--listen', `unix:${join(where, 'ours')}`];
  const child = spawn(process.execPath, [HOLDFAST, 'disk', 'serve', ...paths, ...rest], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout!, 'data');
  return child;
}

async function servePlain(where: string): Promise<ChildProcess> {
  const file = join(where, 'file');
  writeFileSync(file, '');
  truncateSync(file, DISK_MIB * 2 ** 20);
  const child = spawn('qemu-nbd', [
    ...['-f', 'raw', '-t', '-x', 'disk', '-e', '4', '--cache=writeback'],
    ...['-k', join(where, 'plain'), file],
  ]);
  while (!existsSync(join(where, 'plain'))) await new Promise((resolve) => setTimeout(resolve, 20));
  return child;
}

async function load(where: string, socket: string, parameters: readonly string[]): Promise<FioJob> {
  const uri = `nbd+unix:///disk?socket=${join(where, socket)}`;
  const usual = ['--name=bench', '--ioengine=nbd', `--uri=${uri}`, `--size=${DISK_MIB}M`, '--output-format=json'];
  const timed = ['--time_based', `--runtime=${SECONDS}`, '--randseed=1', '--end_fsync=1'];
  const { stdout } = await run('fio', [...usual, ...timed, ...parameters], { cwd: where, maxBuffer: 2 ** 24 });
  return JSON.parse(stdout.slice(stdout.indexOf('{'))).jobs[0];
}

function p99(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(0.99 * sorted.length)]!;
}

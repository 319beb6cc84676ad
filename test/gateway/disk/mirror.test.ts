/** How QEMU attaches our disk beside its own: a mirror job that copies every write before it is answered. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DiskControlClient } from '../../../gateway/disk/control-client.ts';
import { DiskBarrier } from '../../../gateway/disk/disk-barrier.ts';
import { untilListening } from '../../support/listening.ts';
import { withoutPrograms } from '../../support/programs.ts';
import { CHILD_DISK_BYTES, startChild } from './disk-child.ts';
import { folder } from './folders.ts';

const run = promisify(execFile);
const reason = withoutPrograms('qemu-storage-daemon', 'qemu-io', 'qemu-img');
const children: ChildProcess[] = [];

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** What a checkpoint driver does with QEMU's machine protocol, as little of it as is needed here. */
class Qmp {
  readonly #socket: Socket;
  readonly #answers: ((answer: { return?: unknown; error?: { desc: string } }) => void)[] = [];
  readonly #seen: string[] = [];
  #onEvent: () => void = () => {};

  constructor(path: string) {
    this.#socket = connect(path);
    createInterface(this.#socket).on('line', (line) => {
      const message = JSON.parse(line);
      if ('event' in message) {
        this.#seen.push(message.event);
        this.#onEvent();
      } else if (!('QMP' in message)) this.#answers.shift()!(message);
    });
  }

  async ask(execute: string, parameters: object = {}): Promise<void> {
    const answer = await new Promise<{ error?: { desc: string } }>((resolve) => {
      this.#answers.push(resolve);
      this.#socket.write(`${JSON.stringify({ execute, arguments: parameters })}\n`);
    });
    if (answer.error !== undefined) throw new Error(answer.error.desc);
  }

  async event(name: string): Promise<void> {
    while (!this.#seen.includes(name)) {
      await new Promise<void>((resolve) => {
        this.#onEvent = resolve;
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

it("the standby's disk is a mirror that loses nothing, and its death does not touch the primary's", async () => {
  const where = folder();
  const local = join(where, 'local');
  writeFileSync(local, '');
  truncateSync(local, CHILD_DISK_BYTES);
  await run('qemu-io', ['-f', 'raw', '-c', 'write -P 1 100k 200k', local]);
  const standby = await startChild(where);
  const daemon = spawn('qemu-storage-daemon', [
    ...['--chardev', `socket,path=${where}/qmp,server=on,wait=off,id=q`, '--monitor', 'chardev=q'],
    ...['--blockdev', `driver=file,node-name=f,filename=${local},discard=unmap`],
    ...['--blockdev', 'driver=raw,node-name=local,file=f,discard=unmap'],
    ...['--nbd-server', `addr.type=unix,addr.path=${where}/front`],
    ...['--export', 'type=nbd,id=e,node-name=local,writable=on,name=front'],
  ]);
  children.push(standby, daemon);
  for (const name of ['qmp', 'front']) await untilListening(join(where, name));
  const front = `nbd+unix:///front?socket=${where}/front`;
  const guest = (...commands: string[]) =>
    run('qemu-io', ['-f', 'raw', '--discard', 'unmap', ...commands.flatMap((command) => ['-c', command]), front]);
  const qmp = new Qmp(join(where, 'qmp'));
  await qmp.ask('qmp_capabilities');
  const server = { type: 'unix', path: join(where, 'nbd') };
  const file = { driver: 'nbd', server, export: 'disk' };
  await qmp.ask('blockdev-add', { driver: 'raw', 'node-name': 'standby', discard: 'unmap', file });
  const job = { 'job-id': 'm', device: 'local', target: 'standby', sync: 'full' };
  await qmp.ask('blockdev-mirror', { ...job, 'copy-mode': 'write-blocking', 'on-target-error': 'report' });
  await qmp.event('BLOCK_JOB_READY');

  const control = await DiskControlClient.open(join(where, 'control'));
  await control.call('disk.start', { term: 1, epoch: 0 });
  await guest('write -P 2 0 64k', 'write -z 16k 16k', 'discard 32k 16k', 'flush');
  await control.call('disk.seal', { term: 1, epoch: 1 });
  const atSeal = readFileSync(local);
  await control.call('disk.commit', { term: 1, epoch: 1 });
  await guest('write -P 3 4k 128k');

  standby.kill('SIGKILL');
  await once(standby, 'exit');
  const { stdout } = await guest('write -P 4 8k 64k', 'flush', 'read -P 4 8k 64k');
  expect(stdout).toContain('read 65536/65536 bytes');
  await qmp.event('BLOCK_JOB_ERROR');
  await qmp.event('BLOCK_JOB_COMPLETED');
  expect(readFileSync(local)[8192]).toBe(4);
  qmp.close();
  control.close();

  const disk = await DiskBarrier.open({ image: join(where, 'image'), log: join(where, 'log') });
  const bytes = Buffer.alloc(CHILD_DISK_BYTES);
  await disk.read(bytes, 0);
  expect(bytes[4096]).toBe(3);
  expect(await disk.failover(1)).toBe(1);
  await disk.read(bytes, 0);
  expect(bytes.equals(atSeal)).toBe(true);
  await disk.close();
});

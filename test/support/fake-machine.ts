import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { FakeQemu } from './fake-qemu.ts';

/** Of its memory. */
export const FAKE_RAM_BYTES = 40 * 4096;
const SENT = Buffer.from('a machine, as QEMU sends it');

/** A machine that can be copied, as QEMU's protocol shows it. It has no guest: a test changes its memory. */
export class FakeMachine {
  readonly qmp: string;
  /** When it was paused and when it was let run again, `performance.now`'s. */
  readonly pausedAt: number[] = [];
  readonly resumedAt: number[] = [];
  /** How long a copy takes, the machine being paused. */
  copyMs = 0;
  /** It is killed after it has said that its next copy is complete, when nobody has read all of that yet. */
  diesUnread = false;
  /** Its memory is a shared file. */
  isShared = true;
  /** As it was told last. */
  leavesSharedRam = false;
  status = 'running';
  readonly #qemu: FakeQemu;
  readonly #ram: string;

  /** @param path of nothing yet: for its socket and, with an ending, its memory */
  constructor(path: string) {
    this.qmp = `${path}.qmp`;
    this.#ram = `${path}.ram`;
    writeFileSync(this.#ram, Buffer.alloc(FAKE_RAM_BYTES));
    this.#qemu = new FakeQemu(this.qmp);
    const { answers } = this.#qemu;
    answers.set('query-status', () => ({ return: { status: this.status } }));
    answers.set('query-migrate', () => ({ return: {} }));
    answers.set('query-kvm', () => ({ return: { enabled: false, present: false } }));
    answers.set('query-memdev', () => ({ return: [{ id: 'pc.ram', size: FAKE_RAM_BYTES, share: this.isShared }] }));
    answers.set('qom-get', () => ({ return: this.#ram }));
    // A thread that has the file mapped: whoever looks at it is in this process.
    answers.set('query-cpus-fast', () => ({ return: [{ 'thread-id': process.pid }] }));
    answers.set('migrate-set-capabilities', (parameters) => {
      const { capabilities } = parameters as { capabilities: { capability: string; state: boolean }[] };
      this.leavesSharedRam = capabilities.some(({ capability, state }) => capability === 'x-ignore-shared' && state);
      return { return: {} };
    });
    answers.set('stop', () => {
      this.status = 'paused';
      this.pausedAt.push(performance.now());
      this.#qemu.happen('STOP');
      return { return: {} };
    });
    answers.set('cont', () => {
      if (this.diesUnread) this.die();
      this.status = 'running';
      this.resumedAt.push(performance.now());
      return { return: {} };
    });
    answers.set('migrate', (parameters) => {
      this.#migrate((parameters as { uri: string }).uri.replace('unix:', ''));
      return { return: {} };
    });
  }

  /** @param page of its memory, which the guest fills with `value` */
  write(page: number, value: number): void {
    const fd = openSync(this.#ram, 'r+');
    writeSync(fd, Buffer.alloc(4096, value), 0, 4096, page * 4096);
    closeSync(fd);
  }

  die(): void {
    this.#qemu.die();
  }

  #migrate(path: string): void {
    const socket = connect(path, () => (this.diesUnread ? socket.write(SENT.subarray(1)) : socket.end(SENT)));
    socket.on('error', () => this.#qemu.happen('MIGRATION', { status: 'failed' }));
    setTimeout(() => {
      this.status = 'postmigrate';
      this.#qemu.happen('MIGRATION', { status: 'completed' });
    }, this.copyMs);
  }
}

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
  /** Told when it is paused, and when it is let run. */
  onChange: (is: 'paused' | 'runs') => void = () => {};
  /** How long a copy takes; the machine is paused meanwhile, or at its end where it was not told to stop. */
  copyMs = 0;
  /** So many of the next copies fail, when the machine has been paused. */
  failsCopies = 0;
  /** So many of the next `cont` are refused. */
  refusesCont = 0;
  /** QEMU has not put the last copy away yet. */
  isPuttingAway: () => boolean = () => false;
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
    answers.set('query-status', () => {
      const status = this.status === 'postmigrate' && this.isPuttingAway() ? 'finish-migrate' : this.status;
      return { return: { status } };
    });
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
      this.stop();
      return { return: {} };
    });
    answers.set('cont', () => {
      if (this.diesUnread) this.die();
      if (this.refusesCont > 0) {
        this.refusesCont--;
        return { error: { class: 'GenericError', desc: 'not now' } };
      }
      this.cont();
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

  /** As its operator does at another QMP socket. @param status why it does not run */
  stop(status = 'paused'): void {
    // One that does not run is not paused once more.
    if (this.status === 'running') this.#pause(status);
  }

  /** As its operator does. */
  cont(): void {
    this.status = 'running';
    this.resumedAt.push(performance.now());
    this.onChange('runs');
    this.#qemu.happen('RESUME');
  }

  /** It was told to end, and says so. */
  shutDown(): void {
    this.#qemu.happen('SHUTDOWN', { guest: true });
    this.die();
  }

  /** As with `-no-shutdown`: it has been shut down, and is started again. */
  reboot(): void {
    this.#qemu.happen('SHUTDOWN', { guest: true });
    this.stop('shutdown');
    this.#qemu.happen('RESET', { guest: false });
    this.cont();
  }

  die(): void {
    this.#qemu.die();
  }

  #pause(status: string): void {
    this.status = status;
    this.pausedAt.push(performance.now());
    this.onChange('paused');
    this.#qemu.happen('STOP');
  }

  #migrate(path: string): void {
    const fails = this.failsCopies > 0;
    if (fails) this.failsCopies--;
    const socket = connect(path, () => {
      if (fails) socket.destroy();
      else if (this.diesUnread) socket.write(SENT.subarray(1));
      else socket.end(SENT);
    });
    socket.on('error', () => this.#qemu.happen('MIGRATION', { status: 'failed' }));
    setTimeout(() => {
      if (this.status === 'running') this.#pause('finish-migrate');
      // A machine that was told to stop stays paused where its copy fails.
      this.status = fails ? 'paused' : 'postmigrate';
      this.#qemu.happen('MIGRATION', { status: fails ? 'failed' : 'completed' });
    }, this.copyMs);
  }
}

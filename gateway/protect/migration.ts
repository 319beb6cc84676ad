import { setTimeout as sleep } from 'node:timers/promises';
import { type QmpClient, QmpError, type QmpEvent } from './qmp.ts';

/** How soon a state that no event tells of is asked for again. */
const POLL_MS = 1;
/** What QEMU may send per second: as much as the other side takes. */
const NO_LIMIT = 2 ** 40;

/** A copy of the machine that could not be made. The machine runs on, unless it is gone. */
export class MigrationError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MigrationError';
  }
}

/** Somebody else has paused the machine, or it has paused itself: it is not ours to let run. There is no copy of it meanwhile. */
export class NotRunningError extends MigrationError {
  /** @param status as QEMU calls it */
  constructor(status: string) {
    super(`the machine does not run, and it was not paused for a checkpoint: ${status}`);
  }
}

/**
 * Tells the machine to say how its migrations go, and not to save on bandwidth.
 * @param leavesRam they are of its devices only, where its memory is a shared file
 */
export async function allowMigrations(qmp: QmpClient, downtimeLimitMs: number, leavesRam = false): Promise<void> {
  await qmp.execute('migrate-set-capabilities', { capabilities: capabilities(leavesRam) });
  await qmp.execute('migrate-set-parameters', { 'max-bandwidth': NO_LIMIT, 'downtime-limit': downtimeLimitMs });
}

/** @param leavesRam as it is at the other side, too @returns for `migrate-set-capabilities` */
export function capabilities(leavesRam: boolean): readonly object[] {
  return [
    { capability: 'events', state: true },
    { capability: 'x-ignore-shared', state: leavesRam },
  ];
}

/** A copy of the machine's state on its way to `uri`: live, while the machine runs, but for its last part; or all while it is paused. */
export class Migration {
  /** The machine is paused: it sends no frame from now on, until `resume`. Rejects where the copy fails before. */
  readonly stopped: Promise<void>;
  /** All is sent. The machine is paused, and was by this copy. Rejects where the copy failed; QEMU lets the machine run on by itself then. */
  readonly completed: Promise<unknown>;
  readonly #qmp: QmpClient;
  readonly #finish: () => void;
  /** How often it was let run, by whomever. */
  #resumes = 0;

  private constructor(qmp: QmpClient, isLive: boolean) {
    this.#qmp = qmp;
    let hasStopped = () => {};
    let hasCompleted = () => {};
    let stopFailed: (error: Error) => void = () => {};
    let copyFailed: (error: Error) => void = () => {};
    this.stopped = new Promise((resolve, reject) => {
      hasStopped = resolve;
      stopFailed = reject;
    });
    const sent = new Promise<void>((resolve, reject) => {
      hasCompleted = resolve;
      copyFailed = reject;
    });
    // A copy that pauses the machine lets nobody ask until it is done: who is told `paused` meanwhile knows that it was somebody else.
    const paused = this.stopped.then(() => (isLive ? checkStatus(qmp, COPIED) : undefined));
    this.completed = Promise.all([sent, paused]);
    const fail = (why: string) => {
      const error = new MigrationError(why);
      stopFailed(error);
      copyFailed(error);
    };
    const unlisten = qmp.listen((event) => {
      if (event.event === 'STOP') hasStopped();
      if (event.event === 'RESUME') this.#resumes++;
      const status = migrationStatus(event);
      if (status === 'completed') hasCompleted();
      if (status === 'failed' || status === 'cancelled') fail(`the machine says: migration ${status}`);
    });
    void qmp.closed.then(() => fail('the machine is gone'));
    this.#finish = unlisten;
    // Whoever waits for one of them only must not fail by the other.
    this.stopped.catch(() => {});
    this.completed.catch(() => {});
  }

  /**
   * @param isLive false: the machine is paused before anything is copied
   * @throws NotRunningError; QmpError where it cannot begin
   */
  static async start(qmp: QmpClient, uri: string, isLive: boolean): Promise<Migration> {
    const migration = new Migration(qmp, isLive);
    try {
      // QEMU says STOP of a machine that runs only.
      await checkStatus(qmp, RUNNING);
      if (!isLive) await qmp.execute('stop');
      await qmp.execute('migrate', { uri });
      return migration;
    } catch (error) {
      migration.#finish();
      throw error;
    }
  }

  /**
   * Lets the machine run on when its copy has completed.
   * @throws MigrationError where somebody did before: what was sealed and copied is not of one instant then; QmpError where it is gone
   */
  async resume(): Promise<void> {
    try {
      const isTold = await runOn(this.#qmp, true);
      // Events come in order with answers: whoever let it run before was heard by now.
      if (!isTold || this.#resumes > 1) throw new MigrationError(LET_RUN);
    } finally {
      this.#finish();
    }
  }
}

const RUNNING: readonly string[] = ['running'];
const COPIED: readonly string[] = ['finish-migrate', 'postmigrate'];
const LET_RUN = 'somebody else let the machine run while it was copied';

/** @throws NotRunningError; MigrationError where it runs, and should not */
async function checkStatus(qmp: QmpClient, expected: readonly string[]): Promise<void> {
  const { status } = await qmp.execute<{ readonly status: string }>('query-status');
  if (expected.includes(status)) return;
  throw RUNNING.includes(status) ? new MigrationError(LET_RUN) : new NotRunningError(status);
}

/** @returns `completed`, `failed` …, or null for another event */
function migrationStatus({ event, data }: QmpEvent): unknown {
  return event === 'MIGRATION' ? data.status : null;
}

const ON_ITS_WAY: readonly unknown[] = ['setup', 'active', 'pre-switchover', 'device', 'cancelling', 'wait-unplug'];

/**
 * Lets a machine run on that a copy has paused, or may have: a copy under way is cancelled. `cont` is refused for a moment after
 * the copy has completed, until QEMU has put it away.
 * @param alsoPaused a machine that is paused for another reason runs on, too
 * @returns whether the machine had to be told
 * @throws QmpError where the machine is gone
 */
export async function runOn(qmp: QmpClient, alsoPaused: boolean, timeoutMs = 10_000): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const { status } = await qmp.execute<{ readonly status: string }>('query-status');
    const copy = await qmp.execute<{ readonly status?: string }>('query-migrate');
    const isUnderWay = ON_ITS_WAY.includes(copy.status);
    if (status === 'postmigrate' || (alsoPaused && status === 'paused' && !isUnderWay)) {
      await qmp.execute('cont');
      return true;
    }
    if (status !== 'finish-migrate' && !isUnderWay) return false;
    // A copy that has all but completed completes; another one ends here.
    if (copy.status === 'setup' || copy.status === 'active') await qmp.execute('migrate_cancel');
    if (performance.now() > end)
      throw new QmpError('timeout', `the machine is still ${status}, its copy ${copy.status}`);
    await sleep(POLL_MS);
  }
}

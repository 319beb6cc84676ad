import { RequestError, RPC } from '../host/protocol.ts';
import type { DriverEvent } from './driver-events.ts';
import type { DriverOptions } from './driver-options.ts';
import { allowMigrations, runOn } from './migration.ts';
import type { QmpClient } from './qmp.ts';
import type { RamDelta } from './ram-delta.ts';
import { RamError } from './shared-ram.ts';

type Options = Pick<DriverOptions, 'isLive' | 'delta' | 'isDeltaOptional' | 'downtimeLimitMs' | 'onEvent'>;
type Copies = Extract<DriverEvent, { readonly event: 'copies' }>['are'];

const WHY: Readonly<Record<Copies, string>> = {
  delta: 'the standby keeps changes of memory (--delta)',
  live: 'the standby keeps all of memory at each checkpoint: it was started without --delta, or does not know that',
  paused:
    'the standby keeps all of memory at each checkpoint: it was started without --delta, or does not know that; and not live without KVM',
};

/** How copies of the machine are made: as the driver was told, or as the standby can take them. */
export class CopyMode {
  readonly #options: Options;
  #isDelta = false;
  #isLive = false;
  /** What the standby keeps, as the machine is prepared for it; null: it was not asked since. */
  #keptChanges: boolean | null = null;

  constructor(options: Options) {
    this.#options = options;
  }

  /** What finds the changes; null: copies are of all memory. */
  get delta(): RamDelta | null {
    return this.#isDelta ? this.#options.delta : null;
  }

  /** The machine runs while it is copied. */
  get isLive(): boolean {
    return this.#isLive;
  }

  /**
   * The machine is attached to. It runs from now on: a driver before this one may have been killed in the middle. What that one had not
   * confirmed does not count.
   * @throws QmpError; RamError where changes were asked for and its memory is not one shared file
   */
  async prepare(qmp: QmpClient): Promise<void> {
    this.#keptChanges = null;
    await this.#use(qmp, this.#options.delta !== null && !this.#options.isDeltaOptional);
  }

  /**
   * Chooses, where the driver was left the choice.
   * @param keepsChanges what the standby says of itself; false for one that is too old to say
   * @throws RequestError where it wants changes, and the machine's memory is not such that they can be found; QmpError
   */
  async agree(qmp: QmpClient, keepsChanges: boolean): Promise<void> {
    const { delta, isDeltaOptional, onEvent } = this.#options;
    if (delta === null || !isDeltaOptional || this.#keptChanges === keepsChanges) return;
    try {
      await this.#use(qmp, keepsChanges);
    } catch (error) {
      if (!(error instanceof RamError)) throw error;
      const message = `the standby keeps only changes of memory (--delta), and ${error.message}`;
      throw new RequestError(RPC.state, 'memory-differs', message);
    }
    this.#keptChanges = keepsChanges;
    const are = keepsChanges ? 'delta' : this.#isLive ? 'live' : 'paused';
    onEvent({ event: 'copies', are, why: WHY[are] });
  }

  /** What the standby has is not known, or of no use. */
  restart(): void {
    this.#options.delta?.restart();
  }

  close(): void {
    this.#options.delta?.close();
  }

  async #use(qmp: QmpClient, isDelta: boolean): Promise<void> {
    const { isLive, delta, downtimeLimitMs } = this.#options;
    await allowMigrations(qmp, downtimeLimitMs, isDelta);
    this.#isDelta = isDelta;
    this.#isLive = !isDelta && (isLive ?? (await qmp.execute<{ readonly enabled: boolean }>('query-kvm')).enabled);
    await runOn(qmp, !this.#isLive);
    if (isDelta) await delta?.attach(qmp);
    else delta?.close();
  }
}

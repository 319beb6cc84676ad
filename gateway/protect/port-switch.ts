import type { KnownReach } from '../host/api.ts';
import { type HostClient, HostClientError } from '../host/client.ts';
import { RequestError, RPC } from '../host/protocol.ts';
import { parsePortSpec } from '../port/spec.ts';
import type { Checkpoint } from './standby-api.ts';

/** How the network comes to the VM where it goes on. */
export interface PortSwitch {
  /**
   * Whoever still runs the VM elsewhere is shut out by the switch itself, because it happens where their frames pass. Where not, they
   * must be known to be dead, or their gateway's lease must have run out.
   */
  readonly fences: boolean;
  /** The network leads here, or may: a switch was made, or was asked for and nobody knows what became of it. */
  readonly mayBeMade: boolean;
  /**
   * From now on the VM is here, as of the checkpoint; what it sent later and was held is discarded. The network is told.
   * @param known how the VM was last known to be reached
   * @param mayBeSwitched it may have been switched before, for a machine that has not run since: whoever did it did not hear
   * @throws RequestError where the gateway refuses, as it does if another term is in force; HostClientError without an answer
   */
  switch(
    checkpoint: Checkpoint,
    known: KnownReach,
    mayBeSwitched: boolean,
  ): Promise<{
    readonly term: number;
    readonly discardedFrames: number;
    readonly releasedFrames: number;
  }>;
  /** Frames pass from now on, without a checkpoint that contains them: the term ends. */
  unprotect(term: number): Promise<void>;
}

/** The gateway stays, and what leads to the VM changes. @param inside a port spec for each pair, with blanks between */
export function failoverAt(host: HostClient, vm: string, inside: string): PortSwitch {
  const asked = new AskedSwitch();
  return {
    fences: true,
    get mayBeMade() {
      return asked.mayBeMade;
    },
    async switch({ term, epoch }, _, mayBeSwitched) {
      const isAgain = mayBeSwitched || asked.isUnknown(term, epoch);
      const begun = isAgain ? await termSince(host, vm, term, inside) : null;
      const params = { vm, term: begun ?? term, epoch, inside };
      const switched = await asked.ask({ term, epoch }, () => host.call('vm.failover', params));
      asked.isMade();
      return switched;
    },
    unprotect: (term) => unprotect(host, vm, term),
  };
}

/**
 * The VM's gateway is lost too, or on the other host: this host's own gateway goes on.
 * @param leaseMs that the VM has had. 0 or null, without end or not known: the gateway's default
 */
export function takeoverAt(host: HostClient, vm: string, leaseMs: () => number | null): PortSwitch {
  const asked = new AskedSwitch();
  return {
    fences: false,
    get mayBeMade() {
      return asked.mayBeMade;
    },
    async switch({ term, epoch }, known, mayBeSwitched) {
      const had = leaseMs();
      const lease = had === null || had === 0 ? {} : { leaseMs: had };
      const isAgain = mayBeSwitched || asked.isUnknown(term, epoch);
      const before = isAgain ? await termSince(host, vm, term, null) : null;
      const begun = await asked.ask({ term, epoch }, () =>
        before === null
          ? host.call('replication.takeover', { vm, term, epoch, ...lease })
          : host.call('vm.rollback', { vm, term: before, epoch }),
      );
      await announce(host, { vm, term: begun.term }, known);
      asked.isMade();
      return { term: begun.term, discardedFrames: 0, releasedFrames: 0 };
    },
    unprotect: (term) => unprotect(host, vm, term),
  };
}

/** What became of switches. One that was asked for and not answered may have been made, for a machine that has not run since. */
class AskedSwitch {
  #asked: Checkpoint | null = null;
  #isMade = false;

  get mayBeMade(): boolean {
    return this.#isMade || this.#asked !== null;
  }

  /** Whether one to this checkpoint was asked for and not answered. */
  isUnknown(term: number, epoch: number): boolean {
    return this.#asked?.term === term && this.#asked.epoch === epoch;
  }

  async ask<Answer>(checkpoint: Checkpoint, request: () => Promise<Answer>): Promise<Answer> {
    const before = this.#asked;
    this.#asked = checkpoint;
    try {
      return await request();
    } catch (error) {
      // What is refused has not been done, nor what nobody heard.
      const wasHeard = !(error instanceof HostClientError) || error.wasSent;
      if (error instanceof RequestError || !wasHeard) this.#asked = before;
      throw error;
    }
  }

  /** It has been made, and whoever asked knows: the machine may run from now on. */
  isMade(): void {
    this.#asked = null;
    this.#isMade = true;
  }
}

/**
 * @param term whose checkpoint the VM goes on from
 * @param inside where the gateway reaches the VM if a failover to here has been; null: it has no other place
 * @returns the term that is in force since such a failover; null: there was none. What it would undo there is nothing, for nothing has run here
 */
async function termSince(host: HostClient, vm: string, term: number, inside: string | null): Promise<number | null> {
  const { vms, ports } = await host.call('status', {});
  const now = vms.find((one) => one.vm === vm);
  if (now === undefined || now.term <= term) return null;
  if (inside === null) return now.state === 'off' ? null : now.term;
  const names = ports.filter((port) => port.vm === vm && port.side === 'inside').map(({ name }) => name);
  const wanted = inside
    .trim()
    .split(/\s+/)
    .map((spec) => parsePortSpec(spec).arg);
  return wanted.length === names.length && wanted.every((name) => names.includes(name)) ? now.term : null;
}

/** A gateway that refuses memberships, as one does that is too old for them, is told of the addresses alone. */
async function announce(
  host: HostClient,
  of: { readonly vm: string; readonly term: number },
  { addresses, memberships }: KnownReach,
): Promise<void> {
  if (memberships !== undefined) {
    try {
      await host.call('vm.announce', { ...of, addresses, memberships });
      return;
    } catch (error) {
      if (!(error instanceof RequestError) || error.rpcCode !== RPC.invalidParams) throw error;
      if (error.field?.startsWith('memberships') !== true) throw error;
    }
  }
  await host.call('vm.announce', { ...of, addresses });
}

async function unprotect(host: HostClient, vm: string, term: number): Promise<void> {
  await host.call('replication.stop', { vm, term, held: 'release' });
}

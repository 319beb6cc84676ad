import type { ParamsOf, Results, VmSummary } from '../host/api.ts';
import type { HostClient } from '../host/client.ts';
import { RequestError, RPC } from '../host/protocol.ts';
import type { ControlOptions } from './control-option.ts';
import { EXIT } from './failure.ts';
import { type DeclareOptions, declare } from './host-declare.ts';
import { grouped, span } from './table.ts';
import { chosenVm, withHost } from './with-host.ts';

const NS_PER_MS = 1e6;

export interface HostOptions extends ControlOptions, DeclareOptions {
  readonly vm?: string;
  readonly term?: number;
  readonly epoch?: number;
  readonly holdFrom?: 'now' | 'first-seal';
  readonly lease?: number;
  readonly timeout?: number;
  readonly held?: ParamsOf<'replication.stop'>['held'];
  readonly inside?: string;
}

/** What the request is about. */
interface Target {
  readonly vm: string;
  readonly term: number;
  /** null: the gateway has no such VM, and will say so. */
  readonly now: VmSummary | null;
}

interface Told {
  /** For people, behind the VM's name. */
  readonly text: string;
  /** For programs. */
  readonly result: object;
  readonly exitCode?: number;
}

type Request = (host: HostClient, target: Target, options: HostOptions) => Promise<Told>;

type TermRequest =
  | 'start'
  | 'takeover'
  | 'seal'
  | 'commit'
  | 'abort'
  | 'rollback'
  | 'failover'
  | 'quiesce'
  | 'resume'
  | 'stop';
export type HostRequest = TermRequest | 'declare';

const REQUESTS: Readonly<Record<TermRequest, Request>> = {
  async start(host, { vm }, { holdFrom, lease }) {
    const result = await host.call('replication.start', { vm, ...given('holdFrom', holdFrom), ...leaseOf(lease) });
    return { text: begun(result), result };
  },

  async takeover(host, { vm, term }, { epoch = 0, lease }) {
    const result = await host.call('replication.takeover', { vm, term, epoch, ...leaseOf(lease) });
    return { text: begun(result), result };
  },

  async seal(host, { vm, term, now }, options) {
    const epoch = options.epoch ?? now?.openEpoch ?? 0;
    const timeoutMs = options.timeout === undefined ? undefined : ms(options.timeout);
    const answer = await host.call('checkpoint.seal', { vm, term, epoch, ...given('timeoutMs', timeoutMs) });
    const { openEpoch, drained, heldFrames, heldBytes } = answer;
    const rest = drained ? '' : '; the inside port was not read to its end';
    const text = `epoch ${epoch} is sealed, epoch ${openEpoch} is open; ${frames(heldFrames, heldBytes)} held${rest}`;
    return { text, result: { term, epoch, ...answer } };
  },

  async commit(host, { vm, term, now }, options) {
    const epoch = options.epoch ?? newestSealed(vm, now);
    const answer = await host.call('checkpoint.commit', { vm, term, epoch });
    const text = `epoch ${epoch} is committed; ${frames(answer.releasedFrames, answer.releasedBytes)} released`;
    return { text, result: { term, epoch, ...answer } };
  },

  async abort(host, { vm, term }, { epoch = 0 }) {
    const answer = await host.call('checkpoint.abort', { vm, term, epoch });
    const text = `epoch ${epoch} is aborted; ${frames(answer.movedFrames)} moved to the next one`;
    return { text, result: { term, epoch, ...answer } };
  },

  async rollback(host, { vm, term }, { epoch = 0 }) {
    const result = await host.call('vm.rollback', { vm, term, epoch });
    return { text: undone(epoch, result), result };
  },

  async failover(host, { vm, term }, { epoch = 0, inside = '' }) {
    const result = await host.call('vm.failover', { vm, term, epoch, inside });
    const announced = result.announced.length === 0 ? 'nothing' : result.announced.join(', ');
    return { text: `${undone(epoch, result)}; ${announced} announced`, result };
  },

  async quiesce(host, { vm, term }, { timeout = 0, lease = 0 }) {
    const timeoutMs = ms(timeout);
    const params = { vm, term, timeoutMs, leaseMs: ms(lease) };
    const result = await host.call('vm.quiesce', params, timeoutMs + 10_000);
    const waited = span(result.waitedMs * NS_PER_MS);
    if (result.quiescent) return { text: `no packets are delivered, after ${waited}`, result };
    return { text: `packets are still on their way after ${waited}`, result, exitCode: EXIT.no };
  },

  async resume(host, { vm, term }) {
    const result = await host.call('vm.resume', { vm, term });
    return { text: `packets are delivered again; ${frames(result.deliveredFrames)} delivered at once`, result };
  },

  async stop(host, { vm, term }, { held = 'keep' }) {
    const result = await host.call('replication.stop', { vm, term, held });
    const { releasedFrames, discardedFrames } = result;
    const kept = held === 'keep' ? '; what is held waits for the next term' : '';
    const text = `term ${term} has ended; ${frames(releasedFrames)} released, ${frames(discardedFrames)} discarded${kept}`;
    return { text, result: { term, ...result } };
  },
};

/** @returns the exit code. @throws Failure */
export function hostCommand(name: HostRequest, options: HostOptions): Promise<number> {
  return withHost(options, async (host) => {
    const { name: vm, now } = await chosenVm(host, options.vm ?? null);
    if (name === 'declare') return declare(host, vm, options);
    const told = await REQUESTS[name](host, { vm, now, term: options.term ?? now?.term ?? 0 }, options);
    const line = options.json === true ? JSON.stringify({ vm, ...told.result }) : `${vm}: ${told.text}`;
    process.stdout.write(`${line}\n`);
    return told.exitCode ?? EXIT.ok;
  });
}

function newestSealed(vm: string, now: VmSummary | null): number {
  // Without a term the gateway says what is wrong.
  if (now === null || now.state !== 'on') return 0;
  const newest = now.sealedEpochs.at(-1);
  if (newest === undefined) {
    throw new RequestError(RPC.state, 'epoch-not-sealed', `no epoch of ${vm} waits for its commit`, 'epoch');
  }
  return newest;
}

function begun({ term, openEpoch }: Results['replication.start']): string {
  return `term ${term} has begun, epoch ${openEpoch} is open`;
}

function undone(epoch: number, { discardedFrames, releasedFrames, ...term }: Results['vm.rollback']): string {
  return `back at epoch ${epoch}: ${begun(term)}; ${frames(discardedFrames)} discarded, ${frames(releasedFrames)} released`;
}

function frames(count: number, bytes?: number): string {
  const size = bytes === undefined ? '' : ` (${grouped(bytes)} bytes)`;
  return `${grouped(count)} frame${count === 1 ? '' : 's'}${size}`;
}

function leaseOf(lease: number | undefined): { readonly leaseMs?: number } {
  return lease === undefined ? {} : { leaseMs: ms(lease) };
}

/** Never less than was asked. */
function ms(ns: number): number {
  return Math.ceil(ns / NS_PER_MS);
}

function given<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: V };
}

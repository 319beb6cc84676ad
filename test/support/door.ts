import type { HoldFrom } from '../../gateway/epoch.ts';
import type { Method, ParamsOf } from '../../gateway/host/api.ts';
import { Methods } from '../../gateway/host/methods.ts';
import { decodeRequest, encodeCall, encodeError, encodeResult, RequestError } from '../../gateway/host/protocol.ts';
import { answerOf, type Rig } from './rig.ts';

type Held = 'release' | 'discard' | 'keep';

/** How a schedule's host reaches its VM. Answers are results, or `{ code }` where the request is refused. */
export interface Door {
  start(holdFrom: HoldFrom, leaseMs: number): unknown;
  takeOver(term: number, epoch: number, leaseMs: number): unknown;
  seal(term: number, epoch: number, isLate: boolean): unknown;
  commit(term: number, epoch: number): unknown;
  abort(term: number, epoch: number): unknown;
  rollback(term: number, epoch: number): unknown;
  /** Behind the same port. */
  failover(term: number, epoch: number): unknown;
  stop(term: number, held: Held): unknown;
  quiesce(term: number, leaseMs: number): unknown;
  resume(term: number): unknown;
}

/** Calls the VM's methods. */
export class DirectDoor implements Door {
  readonly #rig: Rig;

  constructor(rig: Rig) {
    this.#rig = rig;
  }

  start(holdFrom: HoldFrom, leaseMs: number) {
    return this.#rig.vm.start(holdFrom, leaseNs(leaseMs));
  }

  takeOver(term: number, epoch: number, leaseMs: number) {
    return answerOf(() => this.#rig.vm.takeOver(term, epoch, leaseNs(leaseMs)));
  }

  seal(term: number, epoch: number, isLate: boolean) {
    const deadlineNs = isLate ? this.#rig.clock.nowNs() : Number.POSITIVE_INFINITY;
    return answerOf(() => this.#rig.vm.seal(term, epoch, deadlineNs));
  }

  commit(term: number, epoch: number) {
    return answerOf(() => this.#rig.vm.commit(term, epoch));
  }

  abort(term: number, epoch: number) {
    return answerOf(() => this.#rig.vm.abort(term, epoch));
  }

  rollback(term: number, epoch: number) {
    return answerOf(() => this.#rig.vm.rollback(term, epoch));
  }

  failover(term: number, epoch: number) {
    return answerOf(() => {
      const { unannounced, ...answer } = this.#rig.vm.failover(term, epoch, this.#rig.inside, null);
      return answer;
    });
  }

  stop(term: number, held: Held) {
    return answerOf(() => this.#rig.vm.stop(term, held));
  }

  quiesce(term: number, leaseMs: number) {
    const untilNs = this.#rig.clock.nowNs() + leaseMs * 1e6;
    return answerOf(() => ({ quiescent: this.#rig.vm.quiesce(term, untilNs) }));
  }

  resume(term: number) {
    return answerOf(() => this.#rig.vm.resume(term));
  }
}

/** Speaks the host interface: every request and every answer is a line of bytes. */
export class CodecDoor implements Door {
  readonly #methods: Methods;

  constructor({ vm, clock, inside }: Rig) {
    const failover = (_: string, term: number, epoch: number) => ({
      ...vm.failover(term, epoch, inside, null),
      ports: [],
    });
    const view = { vms: new Map([['vm0', vm]]), clock, version: '0', bootId: 'boot', failover };
    this.#methods = new Methods(view, () => {});
  }

  start(holdFrom: HoldFrom, leaseMs: number) {
    return this.#ask('replication.start', { vm: 'vm0', holdFrom, leaseMs });
  }

  takeOver(term: number, epoch: number, leaseMs: number) {
    return this.#ask('replication.takeover', { vm: 'vm0', term, epoch, leaseMs });
  }

  seal(term: number, epoch: number, isLate: boolean) {
    return this.#ask('checkpoint.seal', { vm: 'vm0', term, epoch, timeoutMs: isLate ? 0 : 10_000 });
  }

  commit(term: number, epoch: number) {
    return this.#ask('checkpoint.commit', { vm: 'vm0', term, epoch });
  }

  abort(term: number, epoch: number) {
    return this.#ask('checkpoint.abort', { vm: 'vm0', term, epoch });
  }

  rollback(term: number, epoch: number) {
    return this.#ask('vm.rollback', { vm: 'vm0', term, epoch });
  }

  failover(term: number, epoch: number) {
    return this.#ask('vm.failover', { vm: 'vm0', term, epoch, inside: 'tap0' });
  }

  stop(term: number, held: Held) {
    return this.#ask('replication.stop', { vm: 'vm0', term, held });
  }

  quiesce(term: number, leaseMs: number) {
    const { waitedMs, ...answer } = this.#ask('vm.quiesce', { vm: 'vm0', term, timeoutMs: 0, leaseMs }) as {
      waitedMs?: number;
    };
    return answer;
  }

  resume(term: number) {
    return this.#ask('vm.resume', { vm: 'vm0', term });
  }

  #ask<M extends Method>(method: M, params: ParamsOf<M>): unknown {
    return answerIn(this.#line(encodeCall(method, params, 7).trimEnd()));
  }

  #line(line: string): string {
    const decoded = decodeRequest(Buffer.from(line));
    if ('error' in decoded) return encodeError(decoded.id ?? null, decoded.error);
    const { method, params, id } = decoded.request;
    try {
      return encodeResult(
        id ?? null,
        this.#methods.call(method, params, { kinds: new Set(), isGone: false, access: null }),
      );
    } catch (error) {
      if (error instanceof RequestError) return encodeError(id ?? null, error);
      throw error;
    }
  }
}

function answerIn(line: string): unknown {
  const { result, error } = JSON.parse(line) as { result?: unknown; error?: { data: { code: string } } };
  return error === undefined ? result : { code: error.data.code };
}

function leaseNs(leaseMs: number): number {
  return leaseMs === 0 ? Number.POSITIVE_INFINITY : leaseMs * 1e6;
}

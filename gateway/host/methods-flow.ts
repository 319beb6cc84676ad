import type { Flow } from '../../classifier/flow-key.ts';
import { PROTO } from '../../classifier/headers.ts';
import { parseIp4, parseIp6 } from '../../rules/addresses.ts';
import type { Vm } from '../vm.ts';
import type { ParamsOf } from './api.ts';
import { invalidParams, RequestError, RPC } from './protocol.ts';
import type { Problem } from './schema.ts';

type WrittenFlow = ParamsOf<'flow.declare'>['flow'];

/**
 * @param className null: of whatever class a rule says
 * @returns the declaration's handle
 */
export function declareFlow(
  vm: Vm,
  written: WrittenFlow,
  className: string | null,
  timeoutNs: number,
  nowNs: number,
): number {
  const { classes } = vm.generation.ruleSet;
  if (className !== null && !classes.some(({ name }) => name === className)) {
    const known = classes.map(({ name }) => name).join(', ');
    throw invalidParams([{ field: 'class', message: `the rules have no class '${className}', only ${known}` }]);
  }
  const handle = vm.generation.live.declared.declare(flowOf(written), className, timeoutNs, nowNs);
  if (handle === null) throw new RequestError(RPC.state, 'overloaded', 'as many flows are declared as there may be');
  return handle;
}

function flowOf(written: WrittenFlow): Flow {
  const problems: Problem[] = [];
  const src = addressOf(written.src);
  const dst = addressOf(written.dst);
  if (src === null) problems.push({ field: 'flow.src', message: 'expected an IPv4 or IPv6 address' });
  if (dst === null) problems.push({ field: 'flow.dst', message: 'expected an IPv4 or IPv6 address' });
  if (src !== null && dst !== null && src.version !== dst.version) {
    problems.push({ field: 'flow.dst', message: `expected an IPv${src.version} address, as 'flow.src' is` });
  }
  const isNamed = typeof written.protocol === 'string';
  for (const port of ['srcPort', 'dstPort'] as const) {
    // A protocol that is named has ports; a conversation without them is none.
    if (isNamed && written[port] === undefined) problems.push({ field: `flow.${port}`, message: 'is missing' });
  }
  if (problems.length > 0) throw invalidParams(problems);
  return {
    ipVersion: src!.version,
    src: src!.value,
    dst: dst!.value,
    protocol: typeof written.protocol === 'string' ? PROTO[written.protocol] : written.protocol,
    srcPort: written.srcPort ?? 0,
    dstPort: written.dstPort ?? 0,
    vlanId: written.vlanId ?? null,
  };
}

function addressOf(written: string): { readonly version: 4 | 6; readonly value: bigint } | null {
  const ip4 = parseIp4(written);
  if (ip4 !== null) return { version: 4, value: ip4 };
  const ip6 = parseIp6(written);
  return ip6 === null ? null : { version: 6, value: ip6 };
}

interface Owned {
  deadlineNs: number;
  readonly owners: Set<object>;
}

/** Ended declarations are forgotten when there are twice as many as there were after the last time, and not below this. */
const LEAST_PRUNED = 1024;

/** Who declared which flows: a declaration ends when the last client that made it is gone. */
export class FlowOwners {
  readonly #byVm = new Map<Vm, Map<number, Owned>>();
  #count = 0;
  #pruneAt = LEAST_PRUNED;

  /** Declarations that are remembered: those in force, and some that have ended. */
  get size(): number {
    return this.#count;
  }

  add(vm: Vm, handle: number, client: object, deadlineNs: number, nowNs: number): void {
    if (this.#count >= this.#pruneAt) this.#prune(nowNs);
    let handles = this.#byVm.get(vm);
    if (handles === undefined) {
      handles = new Map();
      this.#byVm.set(vm, handles);
    }
    const owned = handles.get(handle);
    if (owned === undefined) {
      handles.set(handle, { deadlineNs, owners: new Set([client]) });
      this.#count++;
    } else {
      owned.deadlineNs = deadlineNs;
      owned.owners.add(client);
    }
  }

  /** The client is gone. */
  forget(client: object, nowNs: number): void {
    for (const [vm, handles] of this.#byVm) {
      for (const [handle, { owners }] of handles) {
        if (!owners.delete(client) || owners.size > 0) continue;
        handles.delete(handle);
        this.#count--;
        vm.generation.live.declared.remove(handle, nowNs);
      }
    }
  }

  /** What was declared in the term before says nothing of the next one. */
  endTerm(vm: Vm): void {
    this.#count -= this.#byVm.get(vm)?.size ?? 0;
    this.#byVm.delete(vm);
    vm.generation.live.declared.clear();
  }

  #prune(nowNs: number): void {
    for (const handles of this.#byVm.values()) {
      for (const [handle, { deadlineNs }] of handles) {
        if (deadlineNs <= nowNs && handles.delete(handle)) this.#count--;
      }
    }
    this.#pruneAt = Math.max(LEAST_PRUNED, 2 * this.#count);
  }
}

import type { Clock } from '../clock.ts';
import { StateError } from '../epoch.ts';
import type { LiveRules } from '../live-rules/live-rules.ts';
import type { ClockOrigin } from '../port/frame-recorder.ts';
import { PortError } from '../port/port-error.ts';
import type { Vm } from '../vm.ts';
import type { EventKind, Events, Method, ParamsOf, PortStatus, Results } from './api.ts';
import type { ByteSink } from './capture.ts';
import { Captures } from './captures.ts';
import { announce, listAddresses } from './methods-announce.ts';
import { declareFlow, FlowOwners } from './methods-flow.ts';
import { RuleMethods, withRules } from './methods-rules.ts';
import { addElements, deleteElements } from './methods-set.ts';
import { Traces } from './methods-trace.ts';
import { namedVm } from './named-vm.ts';
import { PROTOCOL, RequestError, RPC } from './protocol.ts';
import { type Access, admitted, canSee } from './roles.ts';
import { listSets } from './set-list.ts';
import { statusOf, summaryOf } from './status.ts';

const NS_PER_MS = 1e6;
const DEFAULT_LEASE_MS = 5000;
/** A VM that is paused sends nothing more: reading what it has sent takes no longer than this. */
const DEFAULT_SEAL_MS = 100;
/** How often a VM is asked whether it has got what was on its way. */
const POLL_MS = 1;
/** Elements of a set in one answer, where the host says nothing else. */
const PAGE_ELEMENTS = 1024;

export interface GatewayView {
  readonly vms: ReadonlyMap<string, Vm>;
  /** By VM; where rules cannot change there are none. */
  readonly rules?: ReadonlyMap<string, LiveRules>;
  readonly clock: Clock;
  /** When the clock was 0: captures have times of day. Without it they count from 1970. */
  readonly clockOrigin?: ClockOrigin;
  readonly version: string;
  /** Another one for each process of the gateway. */
  readonly bootId: string;
  /** What `status` says of ports. */
  readonly ports?: () => readonly PortStatus[];
  /** What `metrics` says for Prometheus. @param of only of these VMs, and not of the gateway itself */
  readonly metricsText?: (of?: ReadonlyMap<string, Vm>) => string;
  /** Told of every change of a VM's term or state before the host is: what it stores outlives the process. */
  readonly remember?: (name: string, vm: Vm) => void;
  /**
   * The VM goes on behind other ports, `ports` in what comes back. Without it no VM can.
   * @throws StateError, or PortError where there cannot be a port; then nothing has changed
   */
  readonly failover?: (name: string, term: number, epoch: number, inside: string) => Moved;
  /** Ends the gateway, soon. Without it nobody's request can. */
  readonly leave?: () => void;
  /** Told after every request: a VM's state may have changed. */
  readonly onRequest?: () => void;
}

/** What a connection carries when its lines end. */
export interface Stream {
  start(sink: ByteSink): void;
  /** The reader wants no more: writes the last of it. */
  end(): void;
  /** The reader is gone. */
  stop(): void;
}

type Moved = Results['vm.failover'] & { readonly ports: readonly Pick<Events['port'], 'name' | 'state'>[] };

/** Who asks. What a client has declared or subscribed to ends with it. */
export interface Client {
  kinds: ReadonlySet<EventKind>;
  readonly isGone: boolean;
  /** As it called itself. */
  name?: string;
  /** Whose process it is; null: not known. */
  readonly uid?: number | null;
  /** What it may do; null: everything. */
  readonly access: Access | null;
  /** Sends an event to this client alone. @returns false if it has not read what it got before: then this one is left out */
  readonly tell?: <K extends EventKind>(kind: K, params: Events[K]) => boolean;
  /** Begins behind the answer, instead of more lines; a client without a connection of its own never starts it. */
  stream?: Stream;
}

type Publish = <K extends EventKind>(kind: K, params: Events[K]) => void;
type Handlers = {
  readonly [M in Method]: (params: ParamsOf<M>, client: Client) => Results[M] | Promise<Results[M]>;
};

/** The methods of the host interface, apart from how requests come and answers go. */
export class Methods {
  readonly #view: GatewayView;
  readonly #publish: Publish;
  readonly #owners = new FlowOwners();
  readonly #captures: Captures;
  readonly #rules: RuleMethods;
  readonly #traces: Traces;

  constructor(view: GatewayView, publish: Publish) {
    this.#view = view;
    this.#publish = publish;
    this.#captures = new Captures(view);
    this.#rules = new RuleMethods(view);
    this.#traces = new Traces(view);
    for (const rules of view.rules?.values() ?? []) rules.onChange((change) => publish('rules', change));
  }

  /** @throws RequestError; a Promise where the answer has to wait */
  call<M extends Method>(method: M, params: ParamsOf<M>, client: Client): Results[M] | Promise<Results[M]> {
    try {
      const handler = this.#handlers[method] as Handlers[M];
      return handler(admitted(method, params, client.access), client);
    } catch (error) {
      if (error instanceof StateError) throw new RequestError(RPC.state, error.code, error.message);
      if (error instanceof PortError) throw new RequestError(RPC.state, 'port-refused', error.message, 'inside');
      throw error;
    }
  }

  /** The client has gone: what it declared ends. */
  forget(client: Client): void {
    client.stream?.stop();
    this.#traces.stop(client);
    this.#owners.forget(client, this.#view.clock.nowNs());
  }

  readonly #handlers: Handlers = {
    hello: ({ client: name }, client) => {
      client.name = name;
      const vms = [...this.#seenBy(client)].map(([vmName, vm]) => summaryOf(vmName, vm));
      const { version, bootId } = this.#view;
      return { name: 'holdfast', version, protocol: PROTOCOL, bootId, vms };
    },

    'replication.start': ({ vm: name, holdFrom = 'now', leaseMs }) => {
      const vm = this.#vm(name);
      return this.#changed(name, 'start', vm.start(holdFrom, leaseNs(leaseMs)));
    },

    'replication.takeover': ({ vm: name, term, epoch, leaseMs }) => {
      const vm = this.#vm(name);
      return this.#changed(name, 'takeover', vm.takeOver(term, epoch, leaseNs(leaseMs)));
    },

    'replication.stop': ({ vm: name, term, held }) => {
      const vm = this.#vm(name);
      return this.#changed(name, 'stop', vm.stop(term, held));
    },

    'checkpoint.seal': ({ vm: name, term, epoch, timeoutMs = DEFAULT_SEAL_MS }) => {
      const vm = this.#vm(name);
      const deadlineNs = this.#view.clock.nowNs() + timeoutMs * NS_PER_MS;
      return this.#told(name, 'seal', vm.seal(term, epoch, deadlineNs));
    },

    'checkpoint.commit': ({ vm: name, term, epoch }) => {
      const vm = this.#vm(name);
      return this.#told(name, 'commit', vm.commit(term, epoch));
    },

    'checkpoint.abort': ({ vm: name, term, epoch }) => {
      const vm = this.#vm(name);
      return this.#told(name, 'abort', vm.abort(term, epoch));
    },

    'vm.rollback': ({ vm: name, term, epoch }) => {
      const vm = this.#vm(name);
      return this.#changed(name, 'rollback', vm.rollback(term, epoch));
    },

    'vm.failover': ({ vm: name, term, epoch, inside }) => {
      this.#vm(name).checkFailover(term, epoch);
      if (this.#view.failover === undefined) {
        const message = `this gateway cannot change a VM's inside port while it runs: '${inside}' was not opened, nothing is changed`;
        throw new RequestError(RPC.state, 'not-supported', message);
      }
      const moved = this.#view.failover(name, term, epoch, inside);
      const { openEpoch, discardedFrames, releasedFrames, announced } = moved;
      const answer = { term: moved.term, openEpoch, discardedFrames, releasedFrames, announced };
      this.#changed(name, 'failover', answer);
      for (const port of moved.ports) this.#publish('port', { vm: name, ...port });
      return answer;
    },

    'vm.addresses': ({ vm }) => listAddresses(this.#vm(vm)),

    'vm.announce': ({ vm, term, addresses = [], memberships = [] }) =>
      announce(this.#vm(vm), term, { addresses, memberships }),

    'vm.quiesce': ({ vm: name, term, timeoutMs, leaseMs }, client) => {
      const vm = this.#vm(name);
      const startNs = this.#view.clock.nowNs();
      vm.quiesce(term, startNs + leaseMs * NS_PER_MS);
      return this.#untilQuiescent(vm, startNs, startNs + timeoutMs * NS_PER_MS, client);
    },

    'vm.resume': ({ vm: name, term }) => this.#vm(name).resume(term),

    'flow.declare': ({ vm: name, flow, class: className, timeoutMs }, client) => {
      const vm = this.#vm(name);
      const nowNs = this.#view.clock.nowNs();
      const timeoutNs = timeoutMs * NS_PER_MS;
      const handle = declareFlow(vm, flow, className ?? null, timeoutNs, nowNs);
      this.#owners.add(vm, handle, client, nowNs + timeoutNs, nowNs);
      return { handle };
    },

    'set.add': ({ vm, set, elements, timeoutMs }) => {
      const timeoutNs = timeoutMs === undefined ? null : timeoutMs * NS_PER_MS;
      return addElements(this.#onlyVm(vm), set, elements, timeoutNs, this.#view.clock.nowNs());
    },

    'set.delete': ({ vm, set, elements }) => deleteElements(this.#onlyVm(vm), set, elements, this.#view.clock.nowNs()),

    'set.list': ({ vm, set = null, from = 0, limit = PAGE_ELEMENTS }) =>
      listSets(this.#onlyVm(vm), set, from, limit, this.#view.clock.nowNs()),

    'capture.start': (params, client) => {
      const { capture, vm, ports } = this.#captures.open(params);
      client.stream = capture;
      return { vm, ports: ports.map(({ side, name }) => ({ side, name })) };
    },

    'rules.apply': (params, client) => this.#rules.apply(params, client),
    'rules.list': (params) => this.#rules.list(params),
    'rules.add': (params, client) => this.#rules.edit({ ...params, kind: 'add' }, params, client),
    'rules.insert': (params, client) => this.#rules.edit({ ...params, kind: 'insert' }, params, client),
    'rules.replace': (params, client) => this.#rules.edit({ ...params, kind: 'replace' }, params, client),
    'rules.delete': (params, client) => this.#rules.edit({ ...params, kind: 'delete' }, params, client),
    'rules.diff': (params) => this.#rules.diff(params),
    'rules.text': (params) => this.#rules.text(params),
    'rules.history': (params) => this.#rules.history(params),
    'rules.rollback': (params, client) => this.#rules.rollback(params, client),
    'rules.confirm': (params, client) => this.#rules.confirm(params, client),
    'rules.audit': (params) => this.#rules.audit(params),
    'trace.start': (params, client) => this.#traces.start(params, client),
    'trace.stop': (_, client) => ({ stopped: this.#traces.stop(client) }),

    'gateway.leave': (_, client) => {
      const { leave, version } = this.#view;
      if (client.access !== null) {
        throw new RequestError(RPC.state, 'forbidden', "only the gateway's owner may end it");
      }
      if (leave === undefined) throw new RequestError(RPC.state, 'not-supported', 'this gateway cannot be told to end');
      // After the answer.
      setImmediate(leave);
      return { version };
    },

    status: (_, client) => this.#status(client),

    metrics: (_, client) => {
      const seen = this.#seenBy(client);
      const text = this.#view.metricsText?.(seen === this.#view.vms ? undefined : seen) ?? null;
      return { ...this.#status(client), text };
    },

    'events.subscribe': ({ kinds }, client) => {
      client.kinds = new Set(kinds);
      return { kinds: [...client.kinds] };
    },
  };

  #seenBy({ access }: Client): ReadonlyMap<string, Vm> {
    const { vms } = this.#view;
    return access === null || access.vms === '*' ? vms : new Map([...vms].filter(([name]) => canSee(access, name)));
  }

  #status(client: Client): Results['status'] {
    const { ports, clock, rules } = this.#view;
    const vms = this.#seenBy(client);
    const seen = (ports?.() ?? []).filter(({ vm }) => canSee(client.access, vm));
    const status = statusOf(vms, seen, clock.nowNs());
    return rules === undefined ? status : withRules(status, rules);
  }

  #vm(name: string): Vm {
    return this.#onlyVm(name);
  }

  #onlyVm(name: string | undefined): Vm {
    return namedVm(this.#view.vms, name).vm;
  }

  /** A term has begun or ended: that is stored, then told. */
  #changed<R>(name: string, change: Events['epoch']['change'], result: R): R {
    const vm = this.#vm(name);
    this.#view.remember?.(name, vm);
    this.#owners.endTerm(vm);
    return this.#told(name, change, result);
  }

  #told<R>(name: string, change: Events['epoch']['change'], result: R): R {
    this.#publish('epoch', { ...summaryOf(name, this.#vm(name)), change });
    return result;
  }

  #untilQuiescent(
    vm: Vm,
    startNs: number,
    deadlineNs: number,
    client: Client,
  ): Results['vm.quiesce'] | Promise<Results['vm.quiesce']> {
    const nowNs = this.#view.clock.nowNs();
    const isInForce = vm.quiesced.until[0]! > nowNs;
    if (vm.quiescent || !isInForce || nowNs >= deadlineNs || client.isGone) {
      return { quiescent: isInForce && vm.quiescent, waitedMs: (nowNs - startNs) / NS_PER_MS };
    }
    return new Promise((resolve) => {
      setTimeout(() => {
        vm.pump();
        resolve(this.#untilQuiescent(vm, startNs, deadlineNs, client));
      }, POLL_MS).unref();
    });
  }
}

function leaseNs(leaseMs = DEFAULT_LEASE_MS): number {
  return leaseMs === 0 ? Number.POSITIVE_INFINITY : leaseMs * NS_PER_MS;
}

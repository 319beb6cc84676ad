import type { ReplicationState } from '../epoch.ts';
import { either, integer, list, object, oneOf, optional, type Schema, type TypeOf, text } from './schema.ts';

/** Terms and epochs: one more must be a safe integer too. */
const MAX_NUMBER = Number.MAX_SAFE_INTEGER - 1;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Of one request: reading them takes milliseconds, in which no frame moves. */
const MAX_ELEMENTS = 4096;

export const EVENT_KINDS = ['epoch', 'overflow', 'rules', 'port', 'silence'] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

const vm = text(1, 64);
const term = integer(0, MAX_NUMBER);
const epoch = integer(0, MAX_NUMBER);
/** 0: none, data passes however long the host is silent. */
const leaseMs = optional(integer(0, DAY_MS));
const flow = object({
  src: text(1, 64),
  dst: text(1, 64),
  protocol: either(oneOf('tcp', 'udp', 'udplite', 'sctp', 'dccp'), integer(0, 255)),
  srcPort: optional(integer(0, 65_535)),
  dstPort: optional(integer(0, 65_535)),
  vlanId: optional(integer(0, 4095)),
});
const elements = list(text(1, 256), MAX_ELEMENTS);

/** Every method and its parameters. */
export const PARAMS = {
  hello: object({ client: text(1, 64), protocol: oneOf(1) }),
  'replication.start': object({ vm, holdFrom: optional(oneOf('now', 'first-seal')), leaseMs }),
  'replication.takeover': object({ vm, term, epoch: integer(1, MAX_NUMBER), leaseMs }),
  'replication.stop': object({ vm, term, held: oneOf('release', 'discard', 'keep') }),
  /** `timeoutMs`: how long the inside ports are read at the most. */
  'checkpoint.seal': object({ vm, term, epoch, timeoutMs: optional(integer(0, 10_000)) }),
  'checkpoint.commit': object({ vm, term, epoch }),
  'checkpoint.abort': object({ vm, term, epoch }),
  'vm.rollback': object({ vm, term, epoch }),
  'vm.failover': object({ vm, term, epoch, inside: text(1, 256) }),
  /** `timeoutMs`: how long the answer may wait; `leaseMs`: how long the VM gets no packets, unless it is resumed. */
  'vm.quiesce': object({ vm, term, timeoutMs: integer(0, 60_000), leaseMs: integer(1, HOUR_MS) }),
  'vm.resume': object({ vm, term }),
  'flow.declare': object({ vm, flow, class: optional(text(1, 64)), timeoutMs: integer(1, DAY_MS) }),
  /** `vm` may be left out where there is only one. */
  'set.add': object({ vm: optional(vm), set: text(1, 64), elements, timeoutMs: optional(integer(1, 365 * DAY_MS)) }),
  'set.delete': object({ vm: optional(vm), set: text(1, 64), elements }),
  status: object({}),
  metrics: object({}),
  /** Replaces what the client was subscribed to. */
  'events.subscribe': object({ kinds: list(oneOf(...EVENT_KINDS), EVENT_KINDS.length) }),
} as const satisfies Readonly<Record<string, Schema<unknown>>>;

export type Method = keyof typeof PARAMS;
export type ParamsOf<M extends Method> = TypeOf<(typeof PARAMS)[M]>;

export function isMethod(name: string): name is Method {
  return Object.hasOwn(PARAMS, name);
}

export interface VmSummary {
  readonly vm: string;
  readonly state: ReplicationState;
  readonly term: number;
  readonly openEpoch: number;
  /** Sealed and neither committed nor aborted, oldest first. */
  readonly sealedEpochs: readonly number[];
  readonly committedEpoch: number;
}

export interface VmStatus extends VmSummary {
  /** Of the rules in force. */
  readonly generation: number;
  /** Outbound is passed + released + discarded + dropped + stillHeld; held counts frames that were ever held. */
  readonly counters: Readonly<
    Record<
      | 'outbound'
      | 'inbound'
      | 'passed'
      | 'held'
      | 'released'
      | 'discarded'
      | 'dropped'
      | 'stillHeld'
      | 'inboundPassed'
      | 'inboundDropped',
      number
    >
  >;
  /** In the transmit buffer now. */
  readonly heldFrames: number;
  readonly heldBytes: number;
  /** Null: nothing is held. */
  readonly oldestHeldMs: number | null;
  /** Since the last request of the term; null: no term is in force. */
  readonly hostSilentMs: number | null;
  /** The lease has run out: everything is held. */
  readonly leaseLapsed: boolean;
  /** No frame is delivered to the VM. */
  readonly quiesced: boolean;
  readonly reasons: Readonly<Record<string, number>>;
}

/** What the gateway tells of a port; back ends may add to it. */
export interface PortStatus {
  readonly vm: string;
  readonly name: string;
  readonly side: 'inside' | 'outside';
  readonly [more: string]: unknown;
}

export interface Status {
  /** The highest of the VMs'. */
  readonly generation: number;
  readonly vms: readonly VmStatus[];
  readonly ports: readonly PortStatus[];
  /** Over all VMs and both directions. */
  readonly reasons: Readonly<Record<string, number>>;
}

interface TermBegun {
  readonly term: number;
  readonly openEpoch: number;
}

interface Undone extends TermBegun {
  readonly discardedFrames: number;
  readonly releasedFrames: number;
}

export interface Results {
  readonly hello: {
    readonly name: string;
    readonly version: string;
    readonly protocol: number;
    /** Another one after each start of the gateway: what was asked before it is lost. */
    readonly bootId: string;
    readonly vms: readonly VmSummary[];
  };
  readonly 'replication.start': TermBegun;
  readonly 'replication.takeover': TermBegun;
  readonly 'replication.stop': { readonly releasedFrames: number; readonly discardedFrames: number };
  readonly 'checkpoint.seal': {
    readonly openEpoch: number;
    /** The inside ports had nothing more. */
    readonly drained: boolean;
    readonly heldFrames: number;
    readonly heldBytes: number;
  };
  readonly 'checkpoint.commit': { readonly releasedFrames: number; readonly releasedBytes: number };
  readonly 'checkpoint.abort': { readonly movedFrames: number };
  readonly 'vm.rollback': Undone;
  readonly 'vm.failover': Undone & { readonly announced: readonly string[] };
  readonly 'vm.quiesce': { readonly quiescent: boolean; readonly waitedMs: number };
  readonly 'vm.resume': { readonly deliveredFrames: number };
  readonly 'flow.declare': { readonly handle: number };
  /** `refused`: elements that found the set full. */
  readonly 'set.add': { readonly added: number; readonly refused: number };
  readonly 'set.delete': { readonly deleted: number };
  readonly status: Status;
  /** `text`: for Prometheus; null where the gateway makes none. */
  readonly metrics: Status & { readonly text: string | null };
  readonly 'events.subscribe': { readonly kinds: readonly EventKind[] };
}

/** Params of the notification `event`, by kind. */
export interface Events {
  readonly epoch: VmSummary & {
    readonly change: 'start' | 'takeover' | 'seal' | 'commit' | 'abort' | 'rollback' | 'stop';
  };
  /** Frames that found the transmit buffer full since the last such event. */
  readonly overflow: {
    readonly vm: string;
    readonly droppedFrames: number;
    readonly reasons: Readonly<Record<string, number>>;
  };
  readonly rules: { readonly vm: string; readonly generation: number };
  readonly port: { readonly vm: string; readonly name: string; readonly state: string };
  /** The lease has run out, or the host has come back. */
  readonly silence: {
    readonly vm: string;
    readonly term: number;
    readonly lapsed: boolean;
    readonly hostSilentMs: number;
  };
}

export type HostEvent = { [K in EventKind]: { readonly kind: K } & Events[K] }[EventKind];

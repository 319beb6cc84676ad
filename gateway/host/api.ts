import type { VerdictName } from '../../rules/rule.ts';
import type { ReplicationState } from '../epoch.ts';
import type { AuditCell } from '../live-rules/audit.ts';
import type { RulesChange } from '../live-rules/change.ts';
import type { Difference } from '../live-rules/difference.ts';
import { MAX_MEMBERSHIPS, MAX_SOURCES } from '../memberships.ts';
import type { ClassCount } from '../rule-counters.ts';
import type { RuleProblem } from './rule-problem.ts';
import { boolean, either, integer, list, object, oneOf, optional, type Schema, type TypeOf, text } from './schema.ts';

/** Terms and epochs: one more must be a safe integer too. */
const MAX_NUMBER = Number.MAX_SAFE_INTEGER - 1;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Of one request: reading them takes milliseconds, in which no frame moves. */
const MAX_ELEMENTS = 4096;
/** In one answer. */
export const MAX_LISTED_RULES = 10_000;

/** `trace` comes to the client that asked for it by `trace.start`, and to nobody else. */
export const EVENT_KINDS = ['epoch', 'overflow', 'rules', 'port', 'silence', 'trace'] as const;
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

const generation = integer(1, MAX_NUMBER);
const handle = integer(1, MAX_NUMBER);
/** Of rules; the line that carries it is shorter still. */
const MAX_RULE_TEXT = 8 * 2 ** 20;
const ruleText = text(1, 65_536);
const block = optional(oneOf('outbound', 'inbound'));
/** Without `vm` where there is only one. `ifGeneration`: nothing is changed if another generation is in force. */
const change = {
  vm: optional(vm),
  checkOnly: optional(boolean()),
  confirmWithinMs: optional(integer(1, DAY_MS)),
  ifGeneration: optional(generation),
};

export const knownAddress = object({
  ip: text(1, 64),
  mac: text(1, 17),
  /** VLAN tags, outermost first: TPID in the upper 16 bits, tag control information in the lower. */
  tags: list(integer(0, 0xffff_ffff), 8),
  pair: integer(0, 255),
  /** As its neighbour advertisements said: it is a router; what they say replaces what neighbours know. */
  router: boolean(),
  override: boolean(),
});
/** An address by which the VM is reached, as it told its neighbours. */
export type KnownAddress = TypeOf<typeof knownAddress>;

const knownMembership = object({
  group: text(1, 64),
  /** Which of the VM's addresses reported it; `0.0.0.0` or `::` where it had none. */
  ip: text(1, 64),
  mac: text(1, 17),
  tags: list(integer(0, 0xffff_ffff), 8),
  pair: integer(0, 255),
  /** Of IGMP for an IPv4 group, of MLD for an IPv6 one. */
  version: integer(1, 3),
  /** Whom alone the VM wants to hear; empty: anybody. */
  sources: list(text(1, 64), MAX_SOURCES),
});
/** A multicast group that the VM has joined. */
export type KnownMembership = TypeOf<typeof knownMembership>;
export const knownMemberships = list(knownMembership, MAX_MEMBERSHIPS);

/** How the network comes to the VM: what a gateway knows, and another one announces that takes over. */
export interface KnownReach {
  readonly addresses: readonly KnownAddress[];
  /** Left out where there are none, and by gateways that do not know them yet. */
  readonly memberships?: readonly KnownMembership[];
}

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
  /** `inside`: a port spec for each of the VM's pairs, in their order, with blanks between. */
  'vm.failover': object({ vm, term, epoch, inside: text(1, 1024) }),
  /** What the VM announced itself, and the multicast groups that it joined: for the gateway that may have to take over. */
  'vm.addresses': object({ vm }),
  /** Announces it, and what another gateway's `vm.addresses` answered. */
  'vm.announce': object({
    vm,
    term,
    addresses: optional(list(knownAddress, 1024)),
    memberships: optional(knownMemberships),
  }),
  /** `timeoutMs`: how long the answer may wait; `leaseMs`: how long the VM gets no packets, unless it is resumed. */
  'vm.quiesce': object({ vm, term, timeoutMs: integer(0, 60_000), leaseMs: integer(1, HOUR_MS) }),
  'vm.resume': object({ vm, term }),
  'flow.declare': object({ vm, flow, class: optional(text(1, 64)), timeoutMs: integer(1, DAY_MS) }),
  /** `vm` may be left out where there is only one. */
  'set.add': object({ vm: optional(vm), set: text(1, 64), elements, timeoutMs: optional(integer(1, 365 * DAY_MS)) }),
  'set.delete': object({ vm: optional(vm), set: text(1, 64), elements }),
  /** Without `set`: the sets there are. `from`: how many elements to leave out, for the next page. */
  'set.list': object({
    vm: optional(vm),
    set: optional(text(1, 64)),
    from: optional(integer(0, MAX_NUMBER)),
    limit: optional(integer(1, MAX_ELEMENTS)),
  }),
  /**
   * Behind the answer the connection carries pcapng and nothing else, until either side closes it. `port` by its name, or the VM's
   * ports of a side. `snapLen`: bytes that are kept of each frame; `match`: the matches of a rule, in whose frames one is interested.
   */
  'capture.start': object({
    vm: optional(vm),
    port: optional(text(1, 256)),
    side: optional(oneOf('inside', 'outside')),
    snapLen: optional(integer(1, 262_144)),
    match: optional(text(1, 4096)),
  }),
  /**
   * Either `text`, with `includes` where it includes files that are not in force already, or the absolute `path` of a file that the
   * gateway reads. `audit`: counts what the rules would do, instead of letting them take force; false ends that.
   */
  'rules.apply': object({
    ...change,
    text: optional(text(0, MAX_RULE_TEXT)),
    file: optional(text(1, 4096)),
    includes: optional(list(object({ file: text(1, 4096), text: text(0, MAX_RULE_TEXT) }), 1000)),
    path: optional(text(1, 4096)),
    audit: optional(boolean()),
  }),
  /** `from`: how many rules to leave out, for the next page. */
  'rules.list': object({
    vm: optional(vm),
    from: optional(integer(0, MAX_NUMBER)),
    limit: optional(integer(1, MAX_LISTED_RULES)),
  }),
  /** Below the rule with the handle `after`, or at the block's end; `insert` above `before`, or at its start. */
  'rules.add': object({ ...change, rule: ruleText, block, after: optional(handle) }),
  'rules.insert': object({ ...change, rule: ruleText, block, before: optional(handle) }),
  'rules.replace': object({ ...change, handle, rule: ruleText }),
  'rules.delete': object({ ...change, handle }),
  /** Between two generations, each by default that in force; or from `from` to a text. */
  'rules.diff': object({
    vm: optional(vm),
    from: optional(generation),
    to: optional(generation),
    text: optional(text(0, MAX_RULE_TEXT)),
    file: optional(text(1, 4096)),
    includes: optional(list(object({ file: text(1, 4096), text: text(0, MAX_RULE_TEXT) }), 1000)),
  }),
  /** The text of a generation, by default that in force. */
  'rules.text': object({ vm: optional(vm), generation: optional(generation) }),
  'rules.history': object({ vm: optional(vm) }),
  'rules.rollback': object({ ...change, generation }),
  'rules.confirm': object({ vm: optional(vm) }),
  /** What the rules that are audited, or were last, would have done. */
  'rules.audit': object({ vm: optional(vm) }),
  /** Frames come as events. `match`: the matches of a rule, in whose frames one is interested. Another one takes its place. */
  'trace.start': object({
    vm: optional(vm),
    match: optional(text(1, 4096)),
    perSecond: optional(integer(1, 1000)),
  }),
  'trace.stop': object({}),
  status: object({}),
  metrics: object({}),
  /** The gateway ends, because another process goes on with its VMs. */
  'gateway.leave': object({}),
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
  /** What an earlier process of the gateway had held. Not there where nothing outlives a process. */
  readonly recovered?: {
    readonly frames: number;
    /** Those that may have been sent already, and are sent again. */
    readonly resentFrames: number;
    /** Gone; null: nobody knows how many. */
    readonly lostFrames: number | null;
  };
  /** Of the rules in force. */
  readonly generation: number;
  /** Not there where rules cannot change. */
  readonly rules?: RulesOrigin;
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
  /** How long data passes without a request of the term that is in force, or waits for its host; 0: without end; null: there is none. */
  readonly leaseMs: number | null;
  /** The lease has run out: everything is held. */
  readonly leaseLapsed: boolean;
  /** No frame is delivered to the VM. */
  readonly quiesced: boolean;
  readonly reasons: Readonly<Record<string, number>>;
  /** What rules decided, by direction, class and the rules' verdict; frames that no rule decided are in `reasons` only. */
  readonly classes: readonly ClassCount[];
}

/** One port, as `status` tells of it. */
export interface PortStatus {
  readonly vm: string;
  /** Which of the VM's pairs of ports it belongs to, from 0. */
  readonly pair: number;
  /** `fenced`: a failover left it behind, and what comes from there is dropped. */
  readonly side: 'inside' | 'outside' | 'fenced';
  /** A netdev's name, or a stream's address. */
  readonly name: string;
  readonly backend: string;
  readonly link: 'up' | 'down' | 'absent';
  /** What keeps the link from being up, for people. */
  readonly trouble: string | null;
  /** `native` or `skb`, for an `xdp` port. */
  readonly mode?: string;
  /** Bytes behind the Ethernet header; null where the link has no such limit. */
  readonly mtu: number | null;
  /** By the names of PORT_COUNT. */
  readonly counters: Readonly<Record<string, number>>;
}

export interface Status {
  /** The highest of the VMs'. */
  readonly generation: number;
  readonly vms: readonly VmStatus[];
  readonly ports: readonly PortStatus[];
  /** Over all VMs and both directions. */
  readonly reasons: Readonly<Record<string, number>>;
}

/** One set of the rules in force. */
export interface SetSummary {
  readonly set: string;
  readonly types: readonly string[];
  /** Elements may be added and deleted. */
  readonly isDynamic: boolean;
  /** For elements that are added without one; null: they stay. */
  readonly timeoutMs: number | null;
  /** Most elements that a dynamic set holds; null: its elements are part of the rules. */
  readonly maxElements: number | null;
  /** Elements that are there now. */
  readonly elements: number;
  /** Elements that found it full. */
  readonly refused: number;
}

export interface ListedElement {
  /** As in rules. */
  readonly element: string;
  /** Until it is gone; null: it stays. */
  readonly remainingMs: number | null;
}

interface TermBegun {
  readonly term: number;
  readonly openEpoch: number;
}

interface Undone extends TermBegun {
  readonly discardedFrames: number;
  readonly releasedFrames: number;
}

export interface RulesChanged {
  /** In force now. */
  readonly generation: number;
  readonly warnings: readonly RuleProblem[];
  /** Of the rule that was added or that took another's place; null: none was. */
  readonly handle: number | null;
  /** The history on disk has the change. */
  readonly stored: boolean;
}

export interface ListedRule {
  readonly handle: number;
  readonly block: 'outbound' | 'inbound';
  readonly file: string;
  readonly line: number;
  readonly text: string;
  readonly class: string | null;
  readonly verdict: string;
  readonly frames: number;
  readonly bytes: number;
  /** ISO 8601, UTC; null: never. */
  readonly lastHit: string | null;
}

export interface RulesOrigin {
  /** What the configuration names: a file, or a shipped set. */
  readonly path: string;
  /** Whether the rules in force are what it says, or were edited. */
  readonly source: 'file' | 'shipped' | 'edited';
  /** Why the file is not in force. */
  readonly fileTrouble: string | null;
  /** Until the change that waits to be confirmed is taken back; null: none waits. */
  readonly confirmLeftMs: number | null;
}

export interface RulesListed extends RulesOrigin {
  readonly generation: number;
  readonly total: number;
  readonly rules: readonly ListedRule[];
}

export interface RulesGeneration {
  readonly generation: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly who: string;
  readonly what: string;
  readonly state: 'in-force' | 'pending' | 'replaced' | 'reverted';
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
  /** `announced`: IP addresses that the network is being told of. */
  readonly 'vm.failover': Undone & { readonly announced: readonly string[] };
  readonly 'vm.addresses': KnownReach;
  /** `unannounced`: configured addresses of a VM that has never said by which MAC address it is reached. */
  readonly 'vm.announce': { readonly announced: readonly string[]; readonly unannounced: readonly string[] };
  readonly 'vm.quiesce': { readonly quiescent: boolean; readonly waitedMs: number };
  readonly 'vm.resume': { readonly deliveredFrames: number };
  readonly 'flow.declare': { readonly handle: number };
  /** `refused`: elements that found the set full. */
  readonly 'set.add': { readonly added: number; readonly refused: number };
  readonly 'set.delete': { readonly deleted: number };
  readonly 'set.list': {
    readonly sets: readonly SetSummary[];
    /** Of the set that was named, in no order that means anything; pages of a set that changes meanwhile may overlap or miss some. */
    readonly elements: readonly ListedElement[];
    /** `from` of the next page; null: that was the last. */
    readonly next: number | null;
  };
  readonly 'capture.start': {
    readonly vm: string;
    /** In the order of the interfaces in the capture. */
    readonly ports: readonly { readonly side: 'inside' | 'outside'; readonly name: string }[];
  };
  readonly 'rules.apply': RulesChanged & { readonly auditing: boolean };
  readonly 'rules.list': RulesListed;
  readonly 'rules.add': RulesChanged;
  readonly 'rules.insert': RulesChanged;
  readonly 'rules.replace': RulesChanged;
  readonly 'rules.delete': RulesChanged;
  /** `to` null: the text. */
  readonly 'rules.diff': Difference & { readonly from: number; readonly to: number | null };
  readonly 'rules.text': {
    readonly generation: number;
    /** The main file's name. */
    readonly file: string;
    readonly texts: readonly { readonly file: string; readonly text: string }[];
  };
  readonly 'rules.history': {
    readonly generation: number;
    readonly confirmLeftMs: number | null;
    /** Oldest first. */
    readonly generations: readonly RulesGeneration[];
  };
  readonly 'rules.rollback': RulesChanged;
  readonly 'rules.confirm': RulesChanged;
  readonly 'rules.audit': {
    readonly auditing: boolean;
    /** Null: nothing was audited yet. */
    readonly audit: {
      readonly frames: number;
      readonly verdicts: readonly AuditCell[];
      /** Counts are those that they would have. */
      readonly rules: readonly ListedRule[];
    } | null;
  };
  readonly 'trace.start': { readonly vm: string; readonly perSecond: number };
  readonly 'trace.stop': { readonly stopped: boolean };
  readonly status: Status;
  /** `text`: for Prometheus; null where the gateway makes none. */
  readonly metrics: Status & { readonly text: string | null };
  readonly 'gateway.leave': { readonly version: string };
  readonly 'events.subscribe': { readonly kinds: readonly EventKind[] };
}

/** Params of the notification `event`, by kind. */
export interface Events {
  readonly epoch: VmSummary & {
    readonly change: 'start' | 'takeover' | 'seal' | 'commit' | 'abort' | 'rollback' | 'failover' | 'stop';
  };
  /** Frames that found the transmit buffer full since the last such event. */
  readonly overflow: {
    readonly vm: string;
    readonly droppedFrames: number;
    readonly reasons: Readonly<Record<string, number>>;
  };
  /** `change` is not there where rules changed that are no live rules. */
  readonly rules: {
    readonly vm: string;
    readonly generation: number;
    readonly change?: RulesChange['change'];
    readonly who?: string;
    readonly what?: string;
  };
  /** One of the frames that a trace shows. */
  readonly trace: {
    readonly vm: string;
    /** Seconds since 1970, with nine digits behind the point. */
    readonly time: string;
    readonly direction: 'outbound' | 'inbound';
    readonly verdict: VerdictName;
    readonly class: string | null;
    readonly reason: string;
    readonly rule: { readonly handle: number; readonly line: number; readonly text: string } | null;
    /** Bytes on the wire. */
    readonly length: number;
    /** What the frame is, as `explain` says it. */
    readonly frame: string;
    /** Frames since the last such event that the rate kept from being looked at. */
    readonly notLookedAt: number;
  };
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

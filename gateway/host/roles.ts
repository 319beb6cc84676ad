import type { Method, ParamsOf } from './api.ts';
import { invalidParams, RequestError, RPC } from './protocol.ts';

export const ROLES = ['read-only', 'rules', 'epochs', 'guest', 'all'] as const;
export type Role = (typeof ROLES)[number];

/** What a client may do, and to which VMs. */
export interface Access {
  readonly role: Role;
  readonly vms: ReadonlySet<string> | '*';
  /** Port specs behind which `vm.failover` may put a VM; a client that has every VM is not asked for them. */
  readonly failover: ReadonlySet<string>;
  /** How the gateway knows the client, whatever it calls itself: for people. */
  readonly identity: string;
}

const ANYBODY: readonly Role[] = ROLES;
const READERS: readonly Role[] = ['read-only', 'rules', 'epochs', 'all'];
const RULES: readonly Role[] = ['rules', 'all'];
const SETS: readonly Role[] = ['rules', 'guest', 'all'];
const FLOWS: readonly Role[] = ['epochs', 'guest', 'all'];
const EPOCHS: readonly Role[] = ['epochs', 'all'];
/** Frames of others are shown: no role but that of the owner is trusted with what is said in them. */
const OWNERS: readonly Role[] = ['all'];

/** Who may ask for what. */
export const METHOD_ROLES: Readonly<Record<Method, readonly Role[]>> = {
  hello: ANYBODY,
  'replication.start': EPOCHS,
  'replication.takeover': EPOCHS,
  'replication.stop': EPOCHS,
  'checkpoint.seal': EPOCHS,
  'checkpoint.commit': EPOCHS,
  'checkpoint.abort': EPOCHS,
  'vm.rollback': EPOCHS,
  'vm.failover': EPOCHS,
  'vm.addresses': READERS,
  'vm.announce': EPOCHS,
  'vm.quiesce': EPOCHS,
  'vm.resume': EPOCHS,
  'flow.declare': FLOWS,
  'set.add': SETS,
  'set.delete': SETS,
  'set.list': ANYBODY,
  'capture.start': OWNERS,
  'rules.apply': RULES,
  'rules.list': READERS,
  'rules.add': RULES,
  'rules.insert': RULES,
  'rules.replace': RULES,
  'rules.delete': RULES,
  'rules.diff': READERS,
  'rules.text': READERS,
  'rules.history': READERS,
  'rules.rollback': RULES,
  'rules.confirm': RULES,
  'rules.audit': READERS,
  'trace.start': OWNERS,
  'trace.stop': OWNERS,
  status: READERS,
  'gateway.leave': OWNERS,
  metrics: READERS,
  'events.subscribe': READERS,
};

/** Methods that are about no VM in particular; what they tell is limited to the client's VMs. */
export const ABOUT_NO_VM: ReadonlySet<Method> = new Set([
  'hello',
  'trace.stop',
  'gateway.leave',
  'status',
  'metrics',
  'events.subscribe',
]);

/** @param access null: the gateway's owner, who may do everything */
export function canSee(access: Access | null, vm: string): boolean {
  return access === null || access.vms === '*' || access.vms.has(vm);
}

/** @returns whether the client's share of the gateway's time is limited: a host whose seals and commits had to wait would be no use */
export function isPaced(access: Access | null): boolean {
  return access !== null && access.role !== 'epochs' && access.role !== 'all';
}

/**
 * @param access null: the gateway's owner
 * @returns the parameters as they are meant: with the VM, where the client has only one
 * @throws RequestError `forbidden`; it is the same for a VM that is not the client's and one that does not exist
 */
export function admitted<M extends Method>(method: M, params: ParamsOf<M>, access: Access | null): ParamsOf<M> {
  if (access === null) return params;
  const roles = METHOD_ROLES[method];
  if (!roles.includes(access.role)) {
    const needed = roles.length === 1 ? `the role ${roles[0]!}` : `one of the roles ${roles.join(', ')}`;
    throw forbidden(`${method} needs ${needed}; this client has ${access.role}`);
  }
  const { vms } = access;
  if (vms === '*' || ABOUT_NO_VM.has(method)) return params;
  const { vm, inside } = params as { readonly vm?: string; readonly inside?: string };
  const own = [...vms].join(', ');
  if (vm === undefined && vms.size === 1) return { ...params, vm: own };
  if (vm === undefined) throw invalidParams([{ field: 'vm', message: `is missing: expected one of ${own}` }]);
  if (!vms.has(vm)) throw forbidden(`this client has only ${own}`, 'vm');
  if (method === 'vm.failover') checkPorts(inside!, access);
  return params;
}

/** Whoever has one VM must not put it on the links of another, or of the machine. */
function checkPorts(inside: string, { failover }: Access): void {
  const other = inside
    .trim()
    .split(/\s+/)
    .find((spec) => !failover.has(spec));
  if (other === undefined) return;
  const known = failover.size === 0 ? 'it names none' : `only ${[...failover].join(', ')}`;
  throw forbidden(`the port must be one of those that 'failover' names for this client: ${known}`, 'inside');
}

function forbidden(message: string, field?: string): RequestError {
  return new RequestError(RPC.state, 'forbidden', message, field);
}

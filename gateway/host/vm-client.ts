import type { KnownReach, ParamsOf, Results, VmStatus, VmSummary } from './api.ts';
import type { HostClient } from './client.ts';

/** One VM's host: keeps the term and the open epoch, so that a driver names only what it means. */
export class VmClient {
  readonly name: string;
  readonly #host: HostClient;
  #term = 0;
  #openEpoch = 0;

  /** @param host connects when it is asked first */
  constructor(host: HostClient, name: string) {
    this.#host = host;
    this.name = name;
  }

  /** Of the last answer that began one; 0 before. */
  get term(): number {
    return this.#term;
  }

  /** What `seal` seals next; 0 without a term. */
  get openEpoch(): number {
    return this.#openEpoch;
  }

  /** Begins a term. Whoever was this VM's host until now is refused from then on. */
  async start(options: Omit<ParamsOf<'replication.start'>, 'vm'> = {}): Promise<Results['replication.start']> {
    return this.#begun(await this.#host.call('replication.start', { vm: this.name, ...options }));
  }

  /** Begins a term where another gateway's ended. */
  async takeOver(options: Omit<ParamsOf<'replication.takeover'>, 'vm'>): Promise<Results['replication.takeover']> {
    return this.#begun(await this.#host.call('replication.takeover', { vm: this.name, ...options }));
  }

  /** Goes on with a term that is in force: what a driver does that was started anew, or lost an answer. */
  async attach(): Promise<VmSummary> {
    const { vms } = await this.#host.connect();
    const found = this.#mine(vms);
    this.#begun(found);
    return found;
  }

  /** What the gateway says of the VM now. */
  async status(): Promise<VmStatus> {
    const { vms } = await this.#host.call('status', {});
    return this.#mine(vms);
  }

  /** The VM is paused: seals the open epoch. @returns its number too */
  async seal(timeoutMs?: number): Promise<Results['checkpoint.seal'] & { readonly epoch: number }> {
    const epoch = this.#openEpoch;
    const params = { ...this.#at(epoch), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
    const sealed = await this.#host.call('checkpoint.seal', params);
    this.#openEpoch = sealed.openEpoch;
    return { epoch, ...sealed };
  }

  /** Checkpoint `epoch` is durable on the standby. */
  commit(epoch: number): Promise<Results['checkpoint.commit']> {
    return this.#host.call('checkpoint.commit', this.#at(epoch));
  }

  /** Checkpoint `epoch` failed, the VM runs on. */
  abort(epoch: number): Promise<Results['checkpoint.abort']> {
    return this.#host.call('checkpoint.abort', this.#at(epoch));
  }

  /** The VM goes on from checkpoint `epoch`. */
  async rollback(epoch: number): Promise<Results['vm.rollback']> {
    return this.#begun(await this.#host.call('vm.rollback', this.#at(epoch)));
  }

  /**
   * The VM goes on from checkpoint `epoch` on its standby.
   * @param inside port spec of the link to it, for each of the VM's pairs, with blanks between
   */
  async failover(epoch: number, inside: string): Promise<Results['vm.failover']> {
    return this.#begun(await this.#host.call('vm.failover', { ...this.#at(epoch), inside }));
  }

  /** Where the VM is reached, for another gateway that may have to take over. */
  addresses(): Promise<Results['vm.addresses']> {
    return this.#host.call('vm.addresses', { vm: this.name });
  }

  /** Tells the network where the VM is. @param known what another gateway's `addresses` answered, or its addresses alone */
  announce(known: KnownReach | KnownReach['addresses'] = []): Promise<Results['vm.announce']> {
    const reach = 'addresses' in known ? known : { addresses: known };
    return this.#host.call('vm.announce', { vm: this.name, term: this.#term, ...reach });
  }

  async stop(held: ParamsOf<'replication.stop'>['held']): Promise<Results['replication.stop']> {
    const stopped = await this.#host.call('replication.stop', { vm: this.name, term: this.#term, held });
    this.#openEpoch = 0;
    return stopped;
  }

  /** No packets for the VM until `resume`, or for `leaseMs`. */
  quiesce(timeoutMs: number, leaseMs: number): Promise<Results['vm.quiesce']> {
    return this.#host.call('vm.quiesce', { vm: this.name, term: this.#term, timeoutMs, leaseMs });
  }

  resume(): Promise<Results['vm.resume']> {
    return this.#host.call('vm.resume', { vm: this.name, term: this.#term });
  }

  #mine<T extends { readonly vm: string }>(vms: readonly T[]): T {
    const found = vms.find(({ vm }) => vm === this.name);
    if (found === undefined) throw new Error(`the gateway has no VM '${this.name}'`);
    return found;
  }

  #at(epoch: number) {
    return { vm: this.name, term: this.#term, epoch };
  }

  #begun<T extends { readonly term: number; readonly openEpoch: number }>(answer: T): T {
    this.#term = answer.term;
    this.#openEpoch = answer.openEpoch;
    return answer;
  }
}

import { joinPorts } from './port/bundle.ts';
import type { LivePort } from './port/port.ts';
import { PortError } from './port/port-error.ts';
import { type PortSpec, parsePortSpec } from './port/spec.ts';
import type { Vm } from './vm.ts';

/** How long a fenced port stays open when what it leads to is gone: whoever comes back later finds it closed. */
const FENCE_ABSENT_MS = 60_000;

/** A port that faces the VM, or did. */
export interface InsidePort {
  readonly spec: PortSpec;
  readonly port: LivePort;
}

export interface InsidePortsParts {
  readonly vm: Vm;
  /** The ports that the VM began with, by pair. */
  readonly first: readonly InsidePort[];
  /** @throws PortError for a link that must not be a port */
  readonly open: (spec: PortSpec) => LivePort;
  /** Whether a port that is not one of this VM's inside ports is on the same link. */
  readonly isTaken: (spec: PortSpec) => boolean;
  /** The VM is about to move there: what stores it outlives the process. What it throws refuses the failover. */
  readonly beforeMove?: (specs: readonly PortSpec[]) => void;
  /** The port is that of pair `pair` from now on, and wants listeners. */
  readonly onInside: (port: LivePort, pair: number) => void;
}

/** Where one VM is: the ports behind which it lives, and those that a failover left behind, of which nothing is heard any more. */
export class InsidePorts {
  readonly #parts: InsidePortsParts;
  readonly #absent = new Map<LivePort, NodeJS.Timeout>();
  #inForce: readonly InsidePort[];
  #fenced: readonly InsidePort[] = [];

  constructor(parts: InsidePortsParts) {
    this.#parts = parts;
    this.#inForce = parts.first;
  }

  /** By pair. */
  get inForce(): readonly InsidePort[] {
    return this.#inForce;
  }

  /** Read, and what comes is dropped as `fenced`. */
  get fenced(): readonly InsidePort[] {
    // A stop of the VM's replication has closed them.
    return this.#parts.vm.forwarder.fence === null ? [] : this.#fenced;
  }

  /**
   * The VM goes on from checkpoint `epoch` behind other ports. A link that is not there yet is waited for.
   * @param inside a port spec for each pair, in their order, with blanks between. One that is in force stays, for a machine that takes
   * the old one's place there: a stream hangs up on its peer, unless it is new; on other links all that comes from now on is the VM's
   * @throws StateError, or PortError where there cannot be a port; then nothing has changed
   */
  failover(term: number, epoch: number, inside: string) {
    const { vm, onInside, beforeMove } = this.#parts;
    vm.checkFailover(term, epoch);
    const next = this.#open(this.#read(inside), beforeMove);
    const known = [...this.#inForce, ...this.fenced];
    const left = known.filter(({ port }) => next.every((one) => one.port !== port));
    const fenced = left.filter((one) => this.#inForce.includes(one));
    const fence = fenced.length === 0 ? null : joinPorts(fenced.map(({ port }) => port));
    vm.dropUnread();
    for (const one of next) if (known.includes(one)) one.port.reset?.();
    const undone = vm.failover(term, epoch, joinPorts(next.map(({ port }) => port)), fence);
    for (const { port } of left) this.#forgetAbsence(port);
    for (const one of left) if (!fenced.includes(one)) one.port.close();
    this.#inForce = next;
    this.#fenced = fenced;
    next.forEach((one, pair) => {
      this.#forgetAbsence(one.port);
      onInside(one.port, pair);
    });
    for (const { port } of fenced) this.#watch(port);
    const ports = [
      ...next.map(({ spec, port }) => ({ name: spec.arg, state: port.link })),
      ...fenced.map(({ spec }) => ({ name: spec.arg, state: 'fenced' as const })),
    ];
    return { ...undone, ports };
  }

  /** Lets go of every link. */
  close(): void {
    for (const { port } of [...this.#inForce, ...this.#fenced]) {
      this.#forgetAbsence(port);
      port.close();
    }
  }

  /** @throws PortError */
  #read(inside: string): PortSpec[] {
    const specs = insideSpecs(inside);
    const pairs = this.#inForce.length;
    if (specs.length !== pairs) {
      const wanted = pairs === 1 ? 'one port' : `${pairs} ports with blanks between, one for each pair`;
      throw new PortError('bad-name', `'${inside}' names ${specs.length} ports: the VM needs ${wanted}`);
    }
    for (const spec of specs) {
      const known = this.#known(spec);
      const isTaken =
        known === undefined && [...this.#inForce, ...this.fenced].some((one) => one.spec.arg === spec.arg);
      if (isTaken || this.#parts.isTaken(spec)) throw isPortAlready(spec);
    }
    return specs;
  }

  /** Takes ports that are open, and opens the others. @throws PortError; then none of the others stays open */
  #open(specs: readonly PortSpec[], afterwards?: (specs: readonly PortSpec[]) => void): InsidePort[] {
    const opened: LivePort[] = [];
    try {
      const ports = specs.map((spec) => {
        const known = this.#known(spec);
        if (known !== undefined) return known;
        const port = this.#parts.open(spec);
        opened.push(port);
        if (this.#parts.vm.overflow === 'backpressure' && !port.capabilities.pushesBack) {
          throw new PortError('no-backpressure', `${spec.arg} cannot push back, which 'overflow: backpressure' needs`);
        }
        return { spec, port };
      });
      afterwards?.(specs);
      return ports;
    } catch (error) {
      for (const port of opened) port.close();
      throw error;
    }
  }

  #known({ backend, arg }: PortSpec): InsidePort | undefined {
    return [...this.#inForce, ...this.fenced].find(({ spec }) => spec.backend === backend && spec.arg === arg);
  }

  #watch(port: LivePort): void {
    port.setReading(true);
    port.onLink = () => {
      if (port.link !== 'absent') this.#forgetAbsence(port);
      else if (!this.#absent.has(port)) {
        this.#absent.set(port, setTimeout(() => this.#giveUp(port), FENCE_ABSENT_MS).unref());
      }
    };
    port.onLink();
  }

  #giveUp(port: LivePort): void {
    this.#forgetAbsence(port);
    this.#fenced = this.#fenced.filter((one) => one.port !== port);
    port.close();
  }

  #forgetAbsence(port: LivePort): void {
    clearTimeout(this.#absent.get(port));
    this.#absent.delete(port);
  }
}

/**
 * Reads where a VM is reached, as far as that can be told without its gateway.
 * @param inside a port spec for each pair, with blanks between
 * @throws PortError
 */
export function insideSpecs(inside: string): PortSpec[] {
  const specs = inside.trim().split(/\s+/).map(parsePortSpec);
  for (const spec of specs) {
    if (spec.backend === 'ip') {
      throw new PortError('bad-name', `'ip:${spec.arg}' cannot be an inside port: it answers ARP for every address`);
    }
    if (specs.some((other) => other !== spec && other.arg === spec.arg)) throw isPortAlready(spec);
  }
  return specs;
}

function isPortAlready({ arg }: PortSpec): PortError {
  return new PortError('taken', `${arg} is a port already: no link can be two`);
}

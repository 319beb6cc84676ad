import { REASON, REASON_NAMES } from '../../classifier/verdict.ts';
import type { Vm } from '../vm.ts';
import type { EventKind, Events } from './api.ts';

const FULL = [REASON.bufferFull, REASON.unclassifiedFull, REASON.behindFull, REASON.sealOverflow];

interface Seen {
  generation: number;
  lapsed: boolean;
  term: number;
  readonly full: number[];
}

/** Sees what changed in the VMs since it looked last, for events that no request brings about. */
export class Watcher {
  readonly #vms: ReadonlyMap<string, Vm>;
  readonly #publish: <K extends EventKind>(kind: K, params: Events[K]) => void;
  readonly #withRules: ReadonlySet<string>;
  readonly #seen = new Map<string, Seen>();

  /** @param withRules VMs whose rules tell of their changes themselves */
  constructor(
    vms: ReadonlyMap<string, Vm>,
    publish: <K extends EventKind>(kind: K, params: Events[K]) => void,
    withRules: ReadonlySet<string> = new Set(),
  ) {
    this.#vms = vms;
    this.#withRules = withRules;
    this.#publish = publish;
    for (const [name, vm] of vms) this.#seen.set(name, seen(vm));
  }

  look(nowNs: number): void {
    for (const [name, vm] of this.#vms) {
      vm.watchHost();
      const before = this.#seen.get(name)!;
      const after = seen(vm);
      this.#seen.set(name, after);
      if (after.generation !== before.generation && !this.#withRules.has(name))
        this.#publish('rules', { vm: name, generation: after.generation });
      if (after.lapsed !== before.lapsed) {
        const hostSilentMs = Math.max(0, vm.lease.silentNs(nowNs) / 1e6) || 0;
        this.#publish('silence', { vm: name, term: after.term, lapsed: after.lapsed, hostSilentMs });
      }
      this.#overflow(name, before, after);
    }
  }

  #overflow(name: string, before: Seen, after: Seen): void {
    const reasons: Record<string, number> = {};
    let droppedFrames = 0;
    FULL.forEach((reason, i) => {
      const dropped = after.full[i]! - before.full[i]!;
      if (dropped === 0) return;
      reasons[REASON_NAMES[reason]!] = dropped;
      droppedFrames += dropped;
    });
    if (droppedFrames > 0) this.#publish('overflow', { vm: name, droppedFrames, reasons });
  }
}

function seen({ generation, forwarder, epochs, counters }: Vm): Seen {
  const full = FULL.map((reason) => counters.reasons[reason]!);
  return { generation: generation.number, lapsed: forwarder.hostSilent, term: epochs.term, full };
}

import type { ClockOrigin } from '../port/frame-recorder.ts';
import type { Side } from '../tap.ts';
import type { ParamsOf } from './api.ts';
import { Capture, type PortName } from './capture.ts';
import { CaptureFilter } from './capture-filter.ts';
import type { GatewayView } from './methods.ts';
import { invalidParams, RequestError, RPC } from './protocol.ts';

/** At once, of all clients. */
const MAX_CAPTURES = 8;
const EPOCH: ClockOrigin = { seconds: 0, nanoseconds: 0 };

/** Who captures what. A VM that nobody captures has no tap. */
export class Captures {
  readonly #view: GatewayView;
  #count = 0;

  constructor(view: GatewayView) {
    this.#view = view;
  }

  /** Begins a capture, which shows nothing before `start` and ends with `end` or `stop`. @throws RequestError */
  open({ vm: vmName, port, side, snapLen, match }: ParamsOf<'capture.start'>): {
    readonly capture: Capture;
    readonly vm: string;
    readonly ports: readonly PortName[];
  } {
    const { name, ports } = this.#find(vmName, port, side);
    const vm = this.#view.vms.get(name)!;
    const filter = match === undefined ? null : new CaptureFilter(match);
    if (this.#count >= MAX_CAPTURES) {
      throw new RequestError(RPC.state, 'overloaded', `there are ${MAX_CAPTURES} captures already`);
    }
    const capture = new Capture({
      vm,
      ports,
      snapLength: snapLen ?? Number.POSITIVE_INFINITY,
      filter,
      clock: this.#view.clock,
      origin: this.#view.clockOrigin ?? EPOCH,
      onEnd: (one) => this.#close(one),
    });
    this.#count++;
    vm.forwarder.addTap(capture);
    return { capture, vm: name, ports };
  }

  #close(capture: Capture): void {
    if (capture.vm.forwarder.removeTap(capture)) this.#count--;
  }

  #find(vm: string | undefined, port: string | undefined, side: Side | undefined) {
    const { vms } = this.#view;
    if (vm !== undefined && !vms.has(vm)) {
      const known = [...vms.keys()].join(', ');
      throw new RequestError(RPC.state, 'unknown-vm', `there is no VM '${vm}' here, only ${known}`, 'vm');
    }
    const all = (this.#view.ports?.() ?? []).flatMap(({ vm: owner, side: of, pair, name }) =>
      of === 'fenced' || (vm !== undefined && owner !== vm) ? [] : [{ vm: owner, side: of, pair, name }],
    );
    const found = all.filter(
      (one) => (port === undefined || one.name === port) && (side === undefined || one.side === side),
    );
    if (port === undefined && side === undefined) throw missing('port', 'is missing: name a port, or a side');
    if (found.length === 0) {
      const known = all.map(({ name }) => name).join(', ');
      throw missing('port', `there is no such port${known === '' ? '' : `, only ${known}`}`);
    }
    const first = found[0]!;
    if (found.some((one) => one.vm !== first.vm)) throw missing('vm', 'is missing: there is more than one VM');
    if (found.some((one) => one.side !== first.side)) throw missing('side', 'is missing: both sides have such a port');
    return { name: first.vm, ports: found.map(({ side: of, pair, name }) => ({ side: of, pair, name })) };
  }
}

function missing(field: string, message: string): RequestError {
  return invalidParams([{ field, message }]);
}

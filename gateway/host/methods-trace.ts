import type { ParamsOf, Results } from './api.ts';
import { CaptureFilter } from './capture-filter.ts';
import type { Client, GatewayView } from './methods.ts';
import { namedVm } from './named-vm.ts';
import { RequestError, RPC } from './protocol.ts';
import { Trace } from './trace.ts';
import { decimalTime } from './wall-time.ts';

/** At once, of all clients. */
const MAX_TRACES = 8;
const DEFAULT_PER_SECOND = 10;

/** `trace.*`: who looks at live frames. One trace a client; it ends with it. */
export class Traces {
  readonly #view: GatewayView;
  readonly #traces = new Map<Client, Trace>();

  constructor(view: GatewayView) {
    this.#view = view;
  }

  /** @throws RequestError */
  start(
    { vm: name, match, perSecond = DEFAULT_PER_SECOND }: ParamsOf<'trace.start'>,
    client: Client,
  ): Results['trace.start'] {
    const { tell } = client;
    if (tell === undefined) throw new RequestError(RPC.state, 'not-supported', 'there is nobody to show frames to');
    const { vms, clockOrigin } = this.#view;
    const { name: wanted, vm } = namedVm(vms, name);
    const filter = match === undefined ? null : new CaptureFilter(match);
    this.stop(client);
    if (this.#traces.size >= MAX_TRACES) {
      throw new RequestError(RPC.state, 'overloaded', `there are ${MAX_TRACES} traces already`);
    }
    const trace = new Trace({
      name: wanted,
      vm,
      filter,
      perSecond,
      timeText: (ns) => decimalTime(ns, clockOrigin),
      send: (event) => tell('trace', event),
    });
    this.#traces.set(client, trace);
    return { vm: wanted, perSecond };
  }

  /** @returns whether there was one */
  stop(client: Client): boolean {
    this.#traces.get(client)?.end();
    return this.#traces.delete(client);
  }
}

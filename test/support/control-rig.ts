import type { PortStatus } from '../../gateway/host/api.ts';
import type { HostServerOptions } from '../../gateway/host/server.ts';
import { HOST_RULES, HostRig } from './host-rig.ts';
import { generationOfText } from './replay-frames.ts';
import { Scene } from './rig.ts';
import { type CliOptions, type CliResult, holdfast } from './run-cli.ts';

/** The gateway's clock was 0 then. */
export const ORIGIN_SECONDS = 1_700_000_000;

export const PORT_COUNTERS = {
  received: 7,
  receivedBytes: 700,
  sent: 5,
  sentBytes: 500,
  lost: 2,
  refused: 0,
  linkDown: 0,
  tooLong: 0,
  invalid: 0,
};

export function portStatus(side: 'inside' | 'outside', more: Partial<PortStatus> = {}): PortStatus {
  const name = side === 'inside' ? 'tap0' : 'eth1';
  const counters = PORT_COUNTERS;
  return { vm: 'vm0', pair: 0, side, name, backend: 'packet', link: 'up', trouble: null, mtu: 1500, counters, ...more };
}

/** A gateway with one VM, `vm0`, between ports `tap0` and `eth1`, and the command line that speaks to it. */
export class ControlRig extends HostRig {
  constructor(more: Partial<HostServerOptions> = {}, rules = HOST_RULES) {
    super(new Scene({}, generationOfText(rules)), {
      ports: () => [portStatus('inside'), portStatus('outside')],
      clockOrigin: { seconds: ORIGIN_SECONDS, nanoseconds: 0 },
      ...more,
    });
  }

  /** Runs `holdfast ARGS` against this gateway. */
  cli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    return holdfast(args, { ...options, env: { HOLDFAST_CONTROL: this.path, ...options.env } });
  }
}

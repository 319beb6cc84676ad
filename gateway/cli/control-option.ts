import { Option } from 'commander';

/** For every command that speaks to a running gateway. */
export function controlOption(): Option {
  const text =
    "the gateway's control socket (default: /run/holdfast/control for root, else holdfast/control in XDG_RUNTIME_DIR), or tls:HOST:PORT with the PEM files in HOLDFAST_TLS_CERT, HOLDFAST_TLS_KEY and HOLDFAST_TLS_CA";
  return new Option('--control <socket>', text).env('HOLDFAST_CONTROL');
}

/** For requests about one VM. */
export function vmNameOption(): Option {
  return new Option('--vm <name>', "the VM's name; may be left out where there is only one");
}

/** What these commands have in common. */
export interface ControlOptions {
  readonly control?: string;
  readonly json?: boolean;
}

import type { OverflowPolicy } from './forward.ts';
import type { Role } from './host/roles.ts';
import type { TlsFiles } from './host/tls-files.ts';
import type { TxBufferLimits } from './occupancy.ts';
import type { PortSpec } from './port/spec.ts';
import type { Pacing } from './tx-buffer.ts';

/** One link towards the VM and the link towards the network that belongs to it. */
export interface PairConfig {
  readonly inside: PortSpec;
  readonly outside: PortSpec;
}

export interface VmConfig {
  readonly name: string;
  /** Starts in `waiting`: everything is held until the host attaches. */
  readonly replicated: boolean;
  /** One or more. */
  readonly pairs: readonly PairConfig[];
  /** A rule file, or null for the shipped set `default`. */
  readonly rules: string | null;
  readonly limits: TxBufferLimits;
  /** `file`: in the state folder, survives the process. */
  readonly buffer: 'memory' | 'file';
  readonly pacing: Pacing;
  readonly overflow: OverflowPolicy;
  /** Addresses that a failover announces besides those that the VM announced itself; IP texts. */
  readonly announce: readonly string[];
}

/** What a client of the host interface may do that is not the owner; see `Access`. */
export interface ClientAccess {
  readonly role: Role;
  readonly vms: readonly string[] | '*';
  /** Ports behind which `vm.failover` may put its VMs, as the request writes them. */
  readonly failover: readonly string[];
}

/** Where clients that are not the owner reach the host interface. */
export type ListenConfig =
  | {
      readonly kind: 'unix';
      readonly path: string;
      /** A user who may connect besides root and the gateway's own; null: nobody. */
      readonly uid: number | null;
      readonly access: ClientAccess;
    }
  | {
      readonly kind: 'tls';
      /** An IP address. */
      readonly host: string;
      /** 0: any that is free. */
      readonly port: number;
      readonly files: TlsFiles;
      /** By a name that the client's certificate has. */
      readonly clients: ReadonlyMap<string, ClientAccess>;
    };

/** Everything that `holdfast run` is told, checked and with defaults filled in. */
export interface GatewayConfig {
  /** The host interface's unix socket. */
  readonly control: string;
  readonly listen: readonly ListenConfig[];
  /** Where terms, epochs and file-backed buffers live, which outlive the process. */
  readonly stateDir: string;
  /** Where /metrics and /healthz are served; null: nowhere. */
  readonly metrics: { readonly host: string; readonly port: number } | null;
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly format: 'auto' | 'json' | 'pretty' };
  readonly vms: readonly VmConfig[];
}

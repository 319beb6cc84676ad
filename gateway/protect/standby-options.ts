import type { ImageStore } from './image-store.ts';
import type { PortSwitch } from './port-switch.ts';
import type { Checkpoint, FailoverReport, StandbyState } from './standby-api.ts';
import type { StandbyDisks } from './standby-disks.ts';
import type { StandbyMachine } from './standby-machine.ts';

export interface StandbyOptions {
  readonly vm: string;
  readonly store: ImageStore;
  /** Null: the VM has no disk, or one that both machines share. */
  readonly disks: StandbyDisks | null;
  readonly machine: Machine;
  readonly ports: PortSwitch;
  /** Once it goes on here its frames pass, although nobody protects it; else control frames wait until somebody does. */
  readonly goesOnUnprotected: boolean;
  /** How long the driver may say nothing, or be away, before its machine is taken for dead; 0: for ever, until somebody says so. */
  readonly silenceMs: number;
  /** Makes sure that the machine is dead; rejects where it cannot. Null: nothing here can. */
  readonly fence: (() => Promise<void>) | null;
  readonly onEvent: (event: StandbyEvent) => void;
}

/** Where the VM goes on. */
export type Machine = Pick<StandbyMachine, 'state' | 'occupied' | 'pid' | 'qmp' | 'onExit' | 'load' | 'run' | 'stop'>;

export type StandbyEvent =
  | { readonly event: 'driver'; readonly is: 'there' | 'away' | 'replaced'; readonly term?: number }
  | ({ readonly event: 'image'; readonly bytes: number } & Checkpoint)
  | { readonly event: 'state'; readonly state: StandbyState; readonly why: string }
  /** Committed writes cannot be brought into a disk's image; `why` is null when they can again. The log keeps them meanwhile. */
  | { readonly event: 'disk'; readonly name: string; readonly why: string | null }
  /** The machine here has ended. `wasVm`: the VM was on it. */
  | { readonly event: 'machine'; readonly why: string; readonly wasVm: boolean }
  | ({ readonly event: 'failover' } & FailoverReport);

/** A connection of a driver. */
export interface Driver {
  /** Another one has taken its place, or it is fenced. */
  hangUp(): void;
}

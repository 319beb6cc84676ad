import type { VmClient } from '../host/vm-client.ts';
import type { Address } from './address.ts';
import type { DiskSide } from './disk-side.ts';
import type { DriverEvent } from './driver-events.ts';
import type { Pace } from './pace.ts';
import type { RamDelta } from './ram-delta.ts';

export interface DriverOptions {
  readonly vm: string;
  /** The machine's QMP socket. */
  readonly qmp: string;
  readonly gateway: VmClient;
  /** Frames that wait in the gateway now; asked by an adaptive pace. */
  readonly heldFrames: () => Promise<number>;
  readonly standby: Address;
  readonly pace: Pace;
  /**
   * The machine runs while it is copied, and is paused for the last part only; else it is paused all the time. Null: live under KVM only,
   * for QEMU's emulator may lose pages that are written while it copies.
   */
  readonly isLive: boolean | null;
  /**
   * A copy is of what has changed in memory since the one before, and the machine is paused while that is found; its memory must be a shared
   * file, and the standby must keep changes. Null: a copy is of all memory.
   */
  readonly delta: RamDelta | null;
  /** With `delta`: where the standby says that it keeps all of memory, a copy is of that; else such a standby is an error. */
  readonly isDeltaOptional: boolean;
  /** How long the gateway lets data pass without a word of the driver. */
  readonly leaseMs: number;
  /** How long the standby may be silent; then the driver asks the gateway for nothing more, until it is back. */
  readonly patienceMs: number;
  /** How long the machine may be paused for the last part of a copy, as QEMU estimates it. */
  readonly downtimeLimitMs: number;
  /** From a complete copy to its confirmation. */
  readonly confirmTimeoutMs: number;
  /** Null: the VM has no disk, or one that the standby shares. */
  readonly disk: DiskSide | null;
  readonly onEvent: (event: DriverEvent) => void;
}

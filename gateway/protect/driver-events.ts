/**
 * `starting`: no checkpoint of this driver is on the standby yet. `protected`: the last one is. `degraded`: the VM runs, control frames
 * wait, and there is no new checkpoint; `trouble` says why. The others are how it ends; see DriverOutcome.
 */
export type DriverState = 'starting' | 'protected' | 'degraded' | DriverOutcome;

export type DriverOutcome =
  /** The driver was told to stop. The term stays in force, and the VM runs on. */
  | 'stopped'
  /** The machine is gone; the standby knows, if it could be reached. */
  | 'gone'
  /** The machine was told to end. */
  | 'ended'
  /** The VM has gone on elsewhere, or another driver has it: this machine is paused. */
  | 'fenced'
  /** The operator has ended replication. */
  | 'released';

/** How a checkpoint went. */
export interface CheckpointReport {
  readonly term: number;
  readonly epoch: number;
  readonly bytes: number;
  /** Frames that waited for it. */
  readonly heldFrames: number;
  /** How long the machine was paused; how long its copy took from beginning to pause; from beginning to commit. */
  readonly pauseMs: number;
  readonly copyMs: number;
  readonly commitMs: number;
}

export type DriverEvent =
  | { readonly event: 'state'; readonly state: DriverState; readonly why: string }
  /** `how`: a term was begun, or one that was in force is gone on with. */
  | { readonly event: 'term'; readonly term: number; readonly openEpoch: number; readonly how: 'started' | 'attached' }
  /** What each checkpoint copies from now on, where the driver was left the choice: see `--copy`. */
  | { readonly event: 'copies'; readonly are: 'delta' | 'live' | 'paused'; readonly why: string }
  /** All of them, `bytes` together. `mirrored`: every write reaches the standby from now on. */
  | {
      readonly event: 'disks';
      readonly is: 'copying' | 'mirrored';
      readonly names: readonly string[];
      readonly bytes: number;
    }
  | { readonly event: 'sealed'; readonly term: number; readonly epoch: number; readonly heldFrames: number }
  | ({ readonly event: 'committed' } & CheckpointReport)
  /** `retryMs`: when the next one is tried. */
  | {
      readonly event: 'aborted';
      readonly term: number;
      readonly epoch: number;
      readonly why: string;
      readonly retryMs: number;
    };

export interface DriverStatus {
  readonly vm: string;
  readonly state: DriverState;
  readonly term: number;
  readonly committed: number;
  readonly aborted: number;
  readonly last: CheckpointReport | null;
  readonly trouble: string | null;
}

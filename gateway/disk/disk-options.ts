import type { Recovery } from './recovery.ts';

export interface DiskOptions {
  /** Raw image: a plain file. */
  readonly image: string;
  /** Folder for the redo log alone. */
  readonly log: string;
  /** Size of the disk. Where there is no image, a sparse one is made. Without it there must be one. */
  readonly sizeBytes?: number;
  /** What the log may take on its file system. Default: 16 GiB. */
  readonly logLimitBytes?: number;
  /** Extents that the index may have, 24 to 96 bytes each. Default: 1,048,576. */
  readonly maxExtents?: number;
  /** From a commit to the flush into the image. Default: 200. */
  readonly flushDelayMs?: number;
  /** A file of the log that would become longer is followed by a new one. Default: 64 MiB. */
  readonly segmentBytes?: number;
}

export interface DiskStatus {
  readonly image: string;
  readonly sizeBytes: number;
  /** `off`: no term is in force, writes count as committed at once. `failed`: the log can no longer be written. */
  readonly state: 'off' | 'on' | 'failed';
  readonly term: number;
  readonly openEpoch: number;
  readonly committedEpoch: number;
  readonly sealedEpochs: readonly number[];
  /** Term that the last rollback began; 0 without one. The disk's export is then called NAME@FENCE. */
  readonly fence: number;
  /** Writes that were refused for want of room or by a failure since the term began: with any, nothing can be sealed. */
  readonly lostWrites: number;
  readonly attached: number;
  readonly log: {
    readonly bytes: number;
    readonly segments: number;
    readonly limitBytes: number;
    /** Written, and lost if the machine fails now. */
    readonly unsyncedBytes: number;
  };
  readonly extents: number;
  /** All that is committed is in the image. */
  readonly isSettled: boolean;
  readonly flushError: string | null;
  readonly recovery: Recovery;
}

export type DiskLimits = Required<Omit<DiskOptions, 'image' | 'log' | 'sizeBytes'>>;

export const DEFAULT_DISK_LIMITS: DiskLimits = {
  logLimitBytes: 16 * 2 ** 30,
  maxExtents: 2 ** 20,
  flushDelayMs: 200,
  segmentBytes: 64 * 2 ** 20,
};

import type { QmpClient } from './qmp.ts';
import type { Checkpoint } from './standby-api.ts';
import type { StandbyLink } from './standby-link.ts';

/** The disks of a VM that is protected: at each checkpoint they are of the same instant as its memory. */
export interface DiskSide {
  /** By which machine and standby know them. */
  readonly names: readonly string[];
  /** @returns false: what the standby has is not what the machine believes, and has to be copied again */
  resume(qmp: QmpClient, link: StandbyLink, term: number): Promise<boolean>;
  /**
   * Copies all of them. Resolves when the machine's writes reach the standby before the guest is told of them.
   * @param committed the term that they are for, and the epoch before its first one
   * @throws MirrorError, QmpError, RequestError, LinkError
   */
  copy(qmp: QmpClient, link: StandbyLink, committed: Checkpoint): Promise<void>;
  /**
   * The machine is paused: what it wrote until now belongs to this epoch. What is durable on the standby is its own affair: it says that
   * an image is complete only when the disks are.
   * @throws MirrorError where a write may not have reached the standby; RequestError, LinkError
   */
  seal(qmp: QmpClient, link: StandbyLink, checkpoint: Checkpoint): Promise<void>;
  abort(link: StandbyLink, checkpoint: Checkpoint): Promise<void>;
  /** The standby is lost: the machine's writes wait for it no more. */
  release(qmp: QmpClient): Promise<void>;
}

/** The machine's writes do not reach the standby. Its own disk is not affected. */
export class MirrorError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MirrorError';
  }
}

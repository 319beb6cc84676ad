import { koffiPolls, type Polls, uvPolls } from './polls.ts';

/**
 * Calls `listener` while the file descriptor is readable. `failed` is told of an error of the descriptor, which ends the
 * watch. Close it before the descriptor.
 */
export class Readiness {
  #poll: { close(): void } | null;

  /** @throws PortError where the descriptor cannot be watched */
  constructor(fd: number, listener: () => void, failed: () => void, polls: Polls = uvPolls() ?? koffiPolls) {
    this.#poll = polls.watch(fd, (status) => {
      if (this.#poll === null) return;
      try {
        if (status < 0) {
          this.close();
          failed();
        } else {
          listener();
        }
      } catch (error) {
        // Thrown from here it would be heard by nobody, and no watch of this process would ever call again.
        setImmediate(() => {
          throw error;
        });
      }
    });
  }

  close(): void {
    const poll = this.#poll;
    this.#poll = null;
    poll?.close();
  }
}

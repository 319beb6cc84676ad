import { libc } from './libc.ts';

interface Poll {
  close(): void;
}

/** koffi's type says that the listener gets the events alone; it gets libuv's status before them. */
type PollListener = (status: number) => void;

/** A handle that is collected is closed, and the process ends as if nothing were left to do: these are not collected. */
const alive = new Set<Poll>();

/**
 * Calls `listener` while the file descriptor is readable. `failed` is told of an error of the descriptor, which ends the
 * watch. Close it before the descriptor.
 */
export class Readiness {
  #poll: Poll | null;

  constructor(fd: number, listener: () => void, failed: () => void) {
    const told: PollListener = (status) => {
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
    };
    this.#poll = libc().koffi.node.poll(fd, { readable: true }, told as never);
    alive.add(this.#poll);
  }

  close(): void {
    if (this.#poll === null) return;
    alive.delete(this.#poll);
    this.#poll.close();
    this.#poll = null;
  }
}

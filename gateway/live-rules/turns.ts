/** Too much is asked at once. */
export class TooManyChangesError extends Error {
  readonly code = 'overloaded';
}

/** That wait for the one that is under way. */
const MAX_WAITING = 256;

/** Does one thing after the other, in the order in which they were asked for. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** @returns what `work` returns, which may throw. @throws TooManyChangesError */
  take<R>(work: () => Promise<R>): Promise<R> {
    if (this.#waiting >= MAX_WAITING) {
      return Promise.reject(new TooManyChangesError(`${MAX_WAITING} changes of rules wait already`));
    }
    this.#waiting++;
    const done = this.#last.then(work).finally(() => {
      this.#waiting--;
    });
    this.#last = done.catch(() => {});
    return done;
  }
}

/** Lets everybody who wants a sync at the same time share one. */
export class GroupSync {
  readonly #sync: () => Promise<void>;
  #last: Promise<void> = Promise.resolve();
  /** Has not begun yet. */
  #next: Promise<void> | null = null;

  constructor(sync: () => Promise<void>) {
    this.#sync = sync;
  }

  /** Resolves after a sync that begins after this call: one that is under way may have begun before what is to be synced was written. */
  request(): Promise<void> {
    if (this.#next === null) {
      this.#next = this.#last.then(() => {
        this.#next = null;
        return this.#sync();
      });
      this.#last = this.#next.catch(() => {});
    }
    return this.#next;
  }
}

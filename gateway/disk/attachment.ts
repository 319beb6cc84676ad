/** One client's right to write. A rollback takes it away for good: the client belongs to a VM that is dead, or ought to be. */
export class Attachment {
  #isCut = false;
  readonly #onCut: () => void;

  /** @param onCut called once, when the right is taken away */
  constructor(onCut: () => void) {
    this.#onCut = onCut;
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  cut(): void {
    if (this.#isCut) return;
    this.#isCut = true;
    this.#onCut();
  }
}

import { Attachment } from './attachment.ts';

/** Who may write to a disk. */
export class DiskClients {
  readonly #clients = new Set<Attachment>();
  #first: Attachment | null = null;
  #hasLost = false;

  get size(): number {
    return this.#clients.size;
  }

  /**
   * The first one that came after the last `cut` is there still, on the same connection, and nobody's write was refused since. So whatever
   * it was told has been written, has been, and nothing that it wrote was lost on the way without its being told.
   */
  get isWhole(): boolean {
    return this.#first !== null && this.#clients.has(this.#first) && !this.#hasLost;
  }

  /** A write was refused. */
  lose(): void {
    this.#hasLost = true;
  }

  /** @param onCut called when the right to write is taken away */
  attach(onCut: () => void): Attachment {
    const attachment = new Attachment(onCut);
    this.#clients.add(attachment);
    this.#first ??= attachment;
    return attachment;
  }

  detach(attachment: Attachment): void {
    this.#clients.delete(attachment);
  }

  /** Takes the right to write from everybody; whoever comes next is the first. */
  cut(): void {
    this.#first = null;
    this.#hasLost = false;
    for (const attachment of [...this.#clients]) attachment.cut();
  }
}

import { RequestError, RPC } from './protocol.ts';

const MAX_REQUESTS = 256;
/** Of text, in all of them together: room for a few of the longest. */
const MAX_CHARACTERS = 32 * 2 ** 20;

/** Requests of one kind that are answered later, of all clients together. What they carry is kept until then, so there is a bound. */
export class Pending {
  readonly #what: string;
  #requests = 0;
  #characters = 0;

  /** @param what they are, for people */
  constructor(what: string) {
    this.#what = what;
  }

  /**
   * @param texts that the request keeps until it is answered
   * @returns what `work` returns. @throws RequestError `overloaded`, and `work` is not begun
   */
  async during<R>(texts: readonly string[], work: () => Promise<R>): Promise<R> {
    const characters = texts.reduce((sum, text) => sum + text.length, 0);
    if (this.#requests >= MAX_REQUESTS || this.#characters + characters > MAX_CHARACTERS) {
      throw new RequestError(RPC.state, 'overloaded', `too many ${this.#what} wait to be answered: ask again later`);
    }
    this.#requests++;
    this.#characters += characters;
    try {
      return await work();
    } finally {
      this.#requests--;
      this.#characters -= characters;
    }
  }
}

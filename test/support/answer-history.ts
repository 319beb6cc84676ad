/** One answer of the guest's counter, whatever protocol it came by. */
interface Answer {
  readonly client: string;
  readonly askedAt: number;
  readonly at: number;
  readonly number: number;
}

/**
 * What all clients of one counter were told. Its number grows by one with every request, so no two answers have the same one, and who
 * asks after somebody has been told a number is told a higher one. Whatever else is seen, the guest has gone back in time.
 */
export class AnswerHistory {
  readonly #answers: Answer[] = [];

  /** @param askedAt before the request was sent, ms @param at when its answer had come, of the same clock */
  add(client: string, askedAt: number, at: number, number: number): void {
    this.#answers.push({ client, askedAt, at, number });
  }

  /** When this client's answers came, ms. */
  times(client: string): number[] {
    return this.#answers.filter((one) => one.client === client).map(({ at }) => at);
  }

  count(client: string): number {
    return this.#answers.reduce((count, one) => count + (one.client === client ? 1 : 0), 0);
  }

  /** Numbers up to the highest one that nobody was told, of requests whose answers were lost. */
  get untold(): number {
    return this.#answers.reduce((most, { number }) => Math.max(most, number), 0) - this.#answers.length;
  }

  /** @returns what cannot be, in words; null: nothing */
  get violation(): string | null {
    const downwards = [...this.#answers].sort((one, other) => other.number - one.number);
    // Of those with higher numbers, the one that was told first.
    let first: Answer | null = null;
    for (const [i, answer] of downwards.entries()) {
      const { client, number, askedAt } = answer;
      const above = downwards[i - 1];
      if (above?.number === number) return `${client} and ${above.client} were both told ${number}`;
      if (first !== null && first.at < askedAt) {
        return `${client} was told ${number} although ${first.client} knew of ${first.number} before that was asked`;
      }
      if (first === null || answer.at < first.at) first = answer;
    }
    return null;
  }
}

import { Random } from '../support/random.ts';

/** Damage that a seed repeats. */
export class Dice extends Random {
  /** @returns a copy with a few bytes changed, copied, taken out or put in, or cut short */
  mutate(bytes: Uint8Array): Uint8Array {
    let copy = Uint8Array.from(bytes);
    for (let times = this.below(6); times > 0 && copy.length > 0; times--) {
      const at = this.below(copy.length);
      switch (this.below(6)) {
        case 0:
          copy[at] = this.below(256);
          break;
        case 1:
          copy[at]! ^= 1 << this.below(8);
          break;
        case 2:
          copy[at] = this.pick([0, 1, 0x7f, 0x80, 0xff]);
          break;
        case 3:
          copy = copy.slice(0, at);
          break;
        case 4:
          copy.copyWithin(at, this.below(copy.length), this.below(copy.length));
          break;
        default:
          copy = Uint8Array.from([...copy.subarray(0, at), ...copy.subarray(at + this.below(8))]);
      }
    }
    return copy;
  }
}

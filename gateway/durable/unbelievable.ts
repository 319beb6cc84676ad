/** A file is not what this gateway has stored for this VM; the message says why. Nothing of it is used. */
export class Unbelievable extends Error {
  constructor(why: string) {
    super(why);
    this.name = 'Unbelievable';
  }
}

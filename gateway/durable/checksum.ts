const ODD = [0x9e3779b1, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f] as const;

/** Takes one more word into a check. Every bit of either changes the result. */
export function mix(check: number, word: number): number {
  const mixed = Math.imul(check ^ word, ODD[0]);
  return mixed ^ (mixed >>> 15);
}

/**
 * A check over bytes against damage by accident: every change within one word changes it. Four sums of words, each of another
 * weight, because a product for every word would take half as long again.
 */
export function checkBytes(view: DataView, offset: number, length: number): number {
  let a = length | 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let at = offset;
  for (const end = offset + (length & ~31); at < end; at += 32) {
    a = (a + view.getInt32(at, true) + view.getInt32(at + 16, true)) | 0;
    b = (b + view.getInt32(at + 4, true) + view.getInt32(at + 20, true)) | 0;
    c = (c + view.getInt32(at + 8, true) + view.getInt32(at + 24, true)) | 0;
    d = (d + view.getInt32(at + 12, true) + view.getInt32(at + 28, true)) | 0;
  }
  // The rest has weights of its own, so that words of it may not change places with those before.
  let rest = 0;
  for (const end = offset + (length & ~3); at < end; at += 4)
    rest = (Math.imul(rest, ODD[1]) + view.getInt32(at, true)) | 0;
  for (const end = offset + length; at < end; at++) rest = (Math.imul(rest, ODD[1]) + view.getUint8(at)) | 0;
  return a ^ Math.imul(b, ODD[1]) ^ Math.imul(c, ODD[2]) ^ Math.imul(d, ODD[3]) ^ Math.imul(rest, ODD[0]);
}

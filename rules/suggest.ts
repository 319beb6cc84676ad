/** A file may define any number of names; comparing with more of them would make errors expensive. */
const MAX_CANDIDATES = 200;

/** Longer words are not worth comparing: nothing in the language is. */
const MAX_WORD = 32;

/**
 * The candidate that a misspelt word most likely means: one slip (a letter wrong, missing, added, or two swapped), or two in a
 * word of six letters and more. Case counts for nothing.
 * @returns null when nothing is near
 */
export function closest(word: string, candidates: Iterable<string>): string | null {
  if (word.length > MAX_WORD) return null;
  const lower = word.toLowerCase();
  let best: string | null = null;
  let bestDistance = lower.length >= 6 ? 3 : 2;
  let compared = 0;
  for (const candidate of candidates) {
    if (++compared > MAX_CANDIDATES) break;
    if (Math.abs(candidate.length - lower.length) >= bestDistance || candidate.length > MAX_WORD) continue;
    const distance = editDistance(lower, candidate.toLowerCase());
    // Of a two-letter word one slip leaves too little to be recognised by.
    if (distance >= bestDistance || (distance > 0 && candidate.length < 3)) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}

/** Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours each cost 1. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1] ? 0 : 1;
      let cost = Math.min(last[column]! + 1, current[column - 1]! + 1, last[column - 1]! + same);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        cost = Math.min(cost, beforeLast[column - 2]! + 1);
      }
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length]!;
}

/** One file that an `include` names. */
export interface IncludedFile {
  /** What places call it; a file that includes itself is told by it. */
  readonly file: string;
  readonly text: string;
}

/**
 * Finds the files of `include "PATH"`, sorted by name; none only for a pattern. In place of them it may say why there are none.
 * @param path as written
 * @param from the name of the file in which it stands
 */
export type ResolveInclude = (path: string, from: string) => readonly IncludedFile[] | string;

/** Includes within includes. As in nft. */
export const MAX_INCLUDE_DEPTH = 16;

/** More files than that come from files that include each other many times over. */
export const MAX_INCLUDED_FILES = 1000;

/**
 * What a path in an include means: relative to the folder of the file in which it stands, as that file is named.
 * @returns a normal path: no `.` but alone, and `..` only at its start
 */
export function includedPath(path: string, from: string): string {
  const folder = from.slice(0, from.lastIndexOf('/') + 1);
  const whole = path.startsWith('/') ? path : folder + path;
  const parts: string[] = [];
  for (const part of whole.split('/')) {
    if (part === '' || part === '.') continue;
    const before = parts.at(-1);
    if (part !== '..' || before === '..' || (before === undefined && !whole.startsWith('/'))) parts.push(part);
    else parts.pop();
  }
  if (whole.startsWith('/')) return `/${parts.join('/')}`;
  return parts.length === 0 ? '.' : parts.join('/');
}

/** A path whose last part is a pattern, cut in two. */
export interface Wildcard {
  /** With its '/', or empty. */
  readonly folder: string;
  /** Of a name in that folder: hidden files only match where the pattern begins with a dot. */
  matches(name: string): boolean;
}

/** @returns null for a path without `*`, `?` and `[`; a text says why the pattern cannot be used */
export function wildcardOf(path: string): Wildcard | null | string {
  const cut = path.lastIndexOf('/') + 1;
  const folder = path.slice(0, cut);
  const pattern = path.slice(cut);
  if (/[*?[]/.test(folder)) return 'a pattern may stand in the last part of the path only';
  if (!/[*?[]/.test(pattern)) return null;
  return {
    folder,
    matches: (name) => (pattern.startsWith('.') || !name.startsWith('.')) && matchesGlob(pattern, name),
  };
}

/** glob(7) of one path component. Time grows with the product of the lengths: a star remembers only where it last began. */
function matchesGlob(pattern: string, name: string): boolean {
  let at = 0;
  let inName = 0;
  let starAt = -1;
  let starIn = 0;
  while (inName < name.length) {
    if (pattern[at] === '*') {
      starAt = at++;
      starIn = inName;
      continue;
    }
    const length = pieceLength(pattern, at);
    if (length > 0 && matchesPiece(pattern.slice(at, at + length), name[inName]!)) {
      at += length;
      inName++;
    } else if (starAt >= 0) {
      at = starAt + 1;
      inName = ++starIn;
    } else {
      return false;
    }
  }
  return /^\**$/.test(pattern.slice(at));
}

/** How much of the pattern stands for one character: `[a-z]`, `?` or the character itself; 0 at its end. */
function pieceLength(pattern: string, at: number): number {
  if (pattern[at] !== '[') return at < pattern.length ? 1 : 0;
  // A ']' that comes first is one of the characters.
  const first = at + (pattern[at + 1] === '!' || pattern[at + 1] === '^' ? 2 : 1);
  const close = pattern.indexOf(']', first + 1);
  return close < 0 ? 1 : close + 1 - at;
}

function matchesPiece(piece: string, character: string): boolean {
  if (piece === '?') return true;
  if (piece.length === 1) return piece === character;
  const isNegated = piece[1] === '!' || piece[1] === '^';
  const among = piece.slice(isNegated ? 2 : 1, -1);
  let found = false;
  for (let at = 0; at < among.length; at++) {
    const isRange = among[at + 1] === '-' && at + 2 < among.length;
    const high = isRange ? among[at + 2]! : among[at]!;
    if (character >= among[at]! && character <= high) found = true;
    if (isRange) at += 2;
  }
  return found !== isNegated;
}

/**
 * Resolves among texts that have been read before, as a loader named them.
 * @param sources by file name; what is not in it is reported as missing
 */
export function includeFrom(sources: ReadonlyMap<string, string>): ResolveInclude {
  return (path, from) => {
    const wanted = includedPath(path, from);
    const wildcard = wildcardOf(wanted);
    if (typeof wildcard === 'string') return wildcard;
    if (wildcard === null) {
      const text = sources.get(wanted);
      return text === undefined ? 'there is no such file' : [{ file: wanted, text }];
    }
    const { folder } = wildcard;
    return [...sources]
      .filter(([file]) => {
        const name = file.slice(folder.length);
        return file.startsWith(folder) && !name.includes('/') && wildcard.matches(name);
      })
      .map(([file, text]) => ({ file, text }))
      .sort((a, b) => (a.file < b.file ? -1 : 1));
  };
}

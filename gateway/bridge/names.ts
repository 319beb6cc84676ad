import { createHash } from 'node:crypto';

const LONGEST = 15;
/** Of a name that is too long: how much of it stays, and how many hex digits of its hash stand for the rest. */
const KEPT = 4;
const DIGITS = 5;

/** The pair between gateway and bridge. */
export interface PairNames {
  /** The gateway's outside port. */
  readonly outside: string;
  /** The other end, which is in the bridge. */
  readonly bridgePort: string;
  /** Two ends of another pair, which is there for a moment only: see `standIn`. */
  readonly standIn: string;
  readonly standInPeer: string;
}

/** @returns what the pair of a tap is called, always the same for a name; up to 15 bytes each */
export function pairNames(tap: string): PairNames {
  const plain = `hf-${tap}`;
  const isShort = Buffer.byteLength(`${plain}-br`) <= LONGEST;
  const hash = createHash('sha256').update(tap).digest('hex');
  const outside = isShort ? plain : `hf-${tap.replaceAll(/[^\w.-]/g, '').slice(0, KEPT)}${hash.slice(0, DIGITS)}`;
  return { outside, bridgePort: `${outside}-br`, standIn: `${outside}-s`, standInPeer: `${outside}-t` };
}

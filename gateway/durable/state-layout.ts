/** Words of a state file that change with frames, one store each: int32. */
export const LIVE = {
  /** A mark of the copy of the epochs' state that is in force: see StateFile. */
  inForce: 0,
  /** Frames that are held. */
  held: 1,
  /** No record before this number is one of a stored frame. */
  head: 2,
  /** Of the batch that the port was given and has not answered for: its first record's number, and numbers up to its last; 0: none. */
  lentFirst: 3,
  lentSpan: 4,
  /** Record `movedFrom` is being copied to record `movedTo`; equal: none is. */
  movedFrom: 5,
  movedTo: 6,
} as const;

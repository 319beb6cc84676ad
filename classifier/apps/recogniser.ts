import type { Parsed } from '../parsed.ts';

/** The three answers of three-valued logic, for one match, for a rule and for a recogniser. */
export const ANSWER = {
  no: 0,
  yes: 1,
  /** The frame's bytes do not decide it. */
  unknown: -1,
} as const;
export type Answer = (typeof ANSWER)[keyof typeof ANSWER];

/**
 * Tells an application by the payload of a single frame. Reads only the bytes
 * `[p.payloadOffset, p.payloadOffset + p.payloadCaptured)` of the slab, allocates nothing, keeps no state.
 * @returns `unknown` where the captured bytes agree with the application but end before the evidence is complete,
 * and the frame had more (`p.payloadCaptured < p.payloadLength`)
 */
export type Recogniser = (p: Parsed, slab: DataView) => Answer;

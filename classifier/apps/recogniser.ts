import type { Parsed } from '../parsed.ts';

/**
 * The three answers of three-valued logic, for one match, for a rule and for a recogniser. A recogniser says which type
 * of message it is by its number instead of `yes` (1 where the application has no types, or it is the first of them).
 */
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
 * @returns an Answer, where `yes` and every number above it, to 31, is the message type by the numbers of APP_TYPES;
 * `unknown` where the captured bytes agree with the application but end before the evidence, or the type, is complete,
 * and the frame had more (`p.payloadCaptured < p.payloadLength`)
 */
export type Recogniser = (p: Parsed, slab: DataView) => number;

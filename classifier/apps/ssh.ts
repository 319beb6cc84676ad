/**
 * `app ssh`: a TCP segment that starts with an SSH identification string (RFC 4253 §4.2).
 *
 * Evidence: `SSH-2.0-`, or `SSH-1.` with one or two digits and a `-` (§5.1: 1.99 stands for both; 1.3 and 1.5 are the
 * old protocol), then a printable character of the software's name.
 *
 * What follows the identification cannot be told from one frame: the binary packets of the key exchange start with four
 * bytes of length and one of padding (§6), after it all is encrypted, lengths often included. A rule that has to
 * hold all of SSH needs its l4Port.
 *
 * False positives: a program that greets like this without being SSH (a honeypot, a banner that a scanner quotes).
 * False negatives: everything after the identification string; a server that sends other lines before it (§4.2 allows it).
 */
import { L4 } from '../parsed.ts';
import { codesOf, compareText, isDigit, SPACE, tooFew } from './payload.ts';
import { ANSWER, type Recogniser } from './recogniser.ts';

const PREFIX = codesOf('SSH-');
const VERSION_2 = codesOf('2.0');
const VERSION_1 = codesOf('1.');
const DASH = 0x2d;

export const recogniseSsh: Recogniser = (p, slab) => {
  if (p.l4 !== L4.tcp || p.payloadLength <= 0) return ANSWER.no;
  const end = p.payloadOffset + p.payloadCaptured;
  let at = p.payloadOffset;
  const prefix = compareText(slab, at, end, PREFIX, false);
  if (prefix !== ANSWER.yes) return prefix === ANSWER.no ? ANSWER.no : tooFew(p, p.payloadLength);
  at += PREFIX.length;
  const is2 = compareText(slab, at, end, VERSION_2, false);
  const is1 = is2 === ANSWER.yes ? ANSWER.no : compareText(slab, at, end, VERSION_1, false);
  if (is2 === ANSWER.unknown || is1 === ANSWER.unknown) return tooFew(p, p.payloadLength);
  if (is2 === ANSWER.yes) at += VERSION_2.length;
  else if (is1 === ANSWER.yes) {
    at += VERSION_1.length;
    const digits = at;
    while (at < end && at - digits < 2 && isDigit(slab.getUint8(at))) at++;
    if (at === digits && at < end) return ANSWER.no;
  } else return ANSWER.no;
  if (at >= end) return tooFew(p, p.payloadLength);
  if (slab.getUint8(at) !== DASH) return ANSWER.no;
  if (at + 1 >= end) return tooFew(p, p.payloadLength);
  const first = slab.getUint8(at + 1);
  return first > SPACE && first < 0x7f ? ANSWER.yes : ANSWER.no;
};

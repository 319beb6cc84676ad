/**
 * `app bgp`: a TCP segment that starts with a BGP-4 message (RFC 4271 §4.1).
 *
 * Evidence: 16 bytes of ones (the marker), a type from 1 to 5 (§4.1, RFC 2918 §3), and a length that this type can have:
 * at least 29, 23, 21, 19 and 23 bytes (§4.2-§4.5, RFC 2918), a keepalive exactly 19, an OPEN at most 4096, the others at
 * most 65535 (RFC 8654 §4). Where the message ends inside the segment and 19 bytes or more follow, they must be such a
 * header too, and so on.
 *
 * The type is that of all messages that start in the segment; `mixed` if they differ, or if a
 * further one begins whose header the segment does not hold whole.
 *
 * False positives: a program that quotes whole messages over TCP, such as a route collector without framing of its own.
 * False negatives: segments that start inside a message (a long UPDATE's later ones), and a first message of which the
 * segment holds less than the 19-byte header; a marker that carries authentication data
 * (RFC 1771 §4.1, obsolete); BGP in BMP (RFC 7854), TLS or IPsec.
 */
import { BGP_TYPES } from '../../rules/apps.ts';
import { L4 } from '../parsed.ts';
import { ANSWER, type Recogniser } from './recogniser.ts';

const MARKER = 16;
const HEADER = 19;
const MAX_OPEN = 4096;
const { open, keepalive, 'route-refresh': routeRefresh, mixed } = BGP_TYPES;
/** Least bytes of a message, by type: OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE-REFRESH. */
const LEAST = [0, 29, 23, 21, HEADER, 23] as const;

export const recogniseBgp: Recogniser = (p, slab) => {
  if (p.l4 !== L4.tcp || p.payloadLength < HEADER) return ANSWER.no;
  const captured = p.payloadCaptured;
  let type: number = ANSWER.no;
  let at = 0;
  while (at + HEADER <= p.payloadLength) {
    const start = p.payloadOffset + at;
    const marker = captured - at < MARKER ? captured - at : MARKER;
    for (let i = 0; i < marker; i++) if (slab.getUint8(start + i) !== 0xff) return ANSWER.no;
    if (captured < at + HEADER) return ANSWER.unknown;
    const length = slab.getUint16(start + MARKER);
    const one = slab.getUint8(start + MARKER + 2);
    if (!isHeader(one, length)) return ANSWER.no;
    type = type === ANSWER.no || type === one ? one : mixed;
    at += length;
  }
  // The header of a further message begins here, and its type follows in another segment.
  return at < p.payloadLength ? mixed : type;
};

function isHeader(type: number, length: number): boolean {
  if (type < 1 || type > routeRefresh || length < LEAST[type]!) return false;
  if (type === keepalive) return length === HEADER;
  return type !== open || length <= MAX_OPEN;
}

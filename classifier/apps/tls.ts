/**
 * `app tls`: a TCP segment that starts with a TLS record (RFC 8446 §5.1, RFC 5246 §6.2.1; SSL 3.0: RFC 6101 §5.2.1).
 *
 * Evidence: a content type (20 change_cipher_spec, 21 alert, 22 handshake, 23 application_data), version 3.0 to 3.3 (TLS
 * 1.3 writes 3.1 or 3.3 there, §5.1), and a length that the type can have:
 * - not 0, and at most 2^14 + 2048 (RFC 5246 §6.2.3, the longest of all versions);
 * - an alert in clear has 2 bytes, the first one 1 or 2 (§6); a protected one more than 8, for a tag or MAC;
 * - a change_cipher_spec in clear is one byte of 1 (§5); a protected one, at renegotiation, more than 8;
 * - a handshake message has a header of 4 bytes (§4).
 * Where the record ends inside the segment and 5 bytes or more follow, they must be a record header too, and so on.
 *
 * The type is that of all records that start in the segment; `mixed` if they differ, as in a TLS 1.3 server's first
 * flight. In TLS 1.3 `application-data` is whatever is protected, handshake and alerts included (§5.2).
 *
 * False positives: a segment from the middle of a record, or of anything else, that starts with such bytes, fewer than
 * two random ones in a million. It is weaker than a greeting in text: rules that pass by it should name l4Ports too.
 * False negatives: segments that start inside a record; a first record of which the segment holds less than its header;
 * SSL 2.0 and its ClientHello (RFC 5246 appendix E.2); heartbeat records (RFC 6520); empty application_data records
 * (§5.1 allows them unprotected); DTLS, which is UDP and has another header; TLS inside QUIC.
 */
import { TLS_TYPES } from '../../rules/apps.ts';
import { L4 } from '../parsed.ts';
import { ANSWER, type Recogniser } from './recogniser.ts';

const HEADER = 5;
const FIRST_CONTENT = 20;
const LAST_CONTENT = 23;
const MAJOR = 3;
const LAST_MINOR = 3;
const MAX_LENGTH = 16384 + 2048;
const HANDSHAKE_HEADER = 4;
/** No MAC or tag is shorter: AES-CCM-8's (RFC 6655 §6.1). */
const LEAST_TAG = 8;
const CHANGE_CIPHER_SPEC = TLS_TYPES['change-cipher-spec'];

export const recogniseTls: Recogniser = (p, slab) => {
  if (p.l4 !== L4.tcp || p.payloadLength < HEADER) return ANSWER.no;
  const captured = p.payloadCaptured;
  let type: number = ANSWER.no;
  let at = 0;
  while (at + HEADER <= p.payloadLength) {
    const left = captured - at;
    const start = p.payloadOffset + at;
    if (left < 1) return ANSWER.unknown;
    const content = slab.getUint8(start);
    if (content < FIRST_CONTENT || content > LAST_CONTENT) return ANSWER.no;
    if (left < 2) return ANSWER.unknown;
    if (slab.getUint8(start + 1) !== MAJOR) return ANSWER.no;
    if (left < 3) return ANSWER.unknown;
    if (slab.getUint8(start + 2) > LAST_MINOR) return ANSWER.no;
    if (left < HEADER) return ANSWER.unknown;
    const length = slab.getUint16(start + 3);
    const one = content - FIRST_CONTENT + CHANGE_CIPHER_SPEC;
    if (!canHaveLength(one, length)) return ANSWER.no;
    const isInClear = one <= TLS_TYPES.alert && length <= 2;
    if (isInClear && at + HEADER < p.payloadLength) {
      if (left <= HEADER) return ANSWER.unknown;
      // 1 is the only change_cipher_spec there is; an alert is a warning, 1, or fatal, 2.
      const first = slab.getUint8(start + HEADER);
      if (first < 1 || first > one) return ANSWER.no;
    }
    type = type === ANSWER.no || type === one ? one : TLS_TYPES.mixed;
    at += HEADER + length;
  }
  if (at >= p.payloadLength) return type;
  // The header of a further record begins here; its first byte is the type.
  if (at >= captured) return ANSWER.unknown;
  const next = slab.getUint8(p.payloadOffset + at) - FIRST_CONTENT + CHANGE_CIPHER_SPEC;
  return next === type ? type : TLS_TYPES.mixed;
};

function canHaveLength(type: number, length: number): boolean {
  if (length > MAX_LENGTH) return false;
  if (type === TLS_TYPES.handshake) return length >= HANDSHAKE_HEADER;
  if (type === TLS_TYPES['application-data']) return length > 0;
  return length === type || length > LEAST_TAG;
}

/**
 * `app wireguard`: a UDP datagram that is a WireGuard message (WireGuard white paper, 2020-06-01 revision, §5.4).
 *
 * Evidence: the first byte is the type, the three after it are zero, and the length is exactly the type's: 148 bytes for
 * a handshake initiation (§5.4.2), 92 for its response (§5.4.3), 64 for a cookie reply (§5.4.7); transport data (§5.4.6)
 * is at least 32 bytes, a multiple of 16 because the packet inside is padded to one, and the upper two bytes of its
 * little-endian counter are zero: a key lives for 180 seconds (§6.1), in which nobody sends 2^48 messages.
 *
 * False positives: little-endian protocols whose first 32-bit word is 1 to 4 in a datagram of such a length; data messages
 * are the weak spot (length and six zero bytes). Random bytes hit it once in 2^40 and more.
 * False negatives: variants that use the reserved bytes or other type numbers to look different (some providers put a
 * client's number there, obfuscating forks change all of it), and data whose packet is not padded (fragments of the
 * outer datagram are judged by the length that the UDP header tells).
 */
import { WIREGUARD_TYPES } from '../../rules/apps.ts';
import { L4 } from '../parsed.ts';
import { capturedOf, messageLength, tooFew } from './payload.ts';
import { ANSWER, type Recogniser } from './recogniser.ts';

const TYPE_WORD = 4;
/** The exact length by type; of data the least. */
const LENGTHS = [0, 148, 92, 64, 32] as const;
const PADDED_TO = 16;
/** Type, reserved, receiver index, and a counter of 64 bits. */
const DATA_HEADER = 16;
const { data } = WIREGUARD_TYPES;

export const recogniseWireguard: Recogniser = (p, slab) => {
  if (p.l4 !== L4.udp) return ANSWER.no;
  const length = messageLength(p);
  if (length < LENGTHS[data]) return ANSWER.no;
  const captured = capturedOf(p, length);
  if (captured < 1) return tooFew(p, length);
  const type = slab.getUint8(p.payloadOffset);
  if (type < 1 || type > data) return ANSWER.no;
  if (type === data ? length % PADDED_TO !== 0 : length !== LENGTHS[type]) return ANSWER.no;
  for (let i = 1; i < TYPE_WORD; i++) {
    if (captured <= i) return tooFew(p, length);
    if (slab.getUint8(p.payloadOffset + i) !== 0) return ANSWER.no;
  }
  if (type !== data) return type;
  for (let i = DATA_HEADER - 2; i < DATA_HEADER; i++) {
    if (captured <= i) return tooFew(p, length);
    if (slab.getUint8(p.payloadOffset + i) !== 0) return ANSWER.no;
  }
  return type;
};

/**
 * `app dhcp`: a UDP datagram that is a DHCP message, of version 4 (RFC 2131 §2) or 6 (RFC 8415 §8, §9).
 *
 * Evidence, over IPv4: op 1 or 2, a hardware address of at most 16 bytes, at most 16 hops (RFC 1542 §4.1.1), and the
 * magic cookie 0x63825363 at byte 236 (RFC 2131 §3). No l4Port is asked for.
 * Evidence, over IPv6: there is no magic number, so one l4Port must be 546 or 547 (RFC 8415 §7.2; a relay may use
 * another one at its own end, RFC 8357); then a message type from 1 to 36 (§7.3 and IANA's list) and, after the
 * transaction id, or after a relay's hop count and addresses, a first option that fits into the datagram: its code is not
 * 0 and at most 255 (IANA has assigned fewer than 150).
 *
 * BOOTP with the cookie (RFC 1497), which DHCP extends, is taken too: the frames are alike.
 *
 * False positives: over IPv6 any other datagram to those l4Ports that happens to fit, a few random ones in a million.
 * False negatives: BOOTP without the cookie (RFC 951); a first fragment that ends before the cookie or the first option;
 * messages without options (a valid one has at least an identifier); leasequery over TCP (RFC 5460, RFC 6926); DHCPv4 in
 * DHCPv6's query message (RFC 7341) counts as version 6.
 */
import { L3, L4, type Parsed } from '../parsed.ts';
import { capturedOf, messageLength, tooFew } from './payload.ts';
import { ANSWER, type Answer, type Recogniser } from './recogniser.ts';

const COOKIE_AT = 236;
const COOKIE = 0x63825363;
const MAX_HARDWARE_ADDRESS = 16;
const MAX_HOPS = 16;

const CLIENT_PORT = 546;
const SERVER_PORT = 547;
const LAST_TYPE = 36;
const RELAY_FORWARD = 12;
const RELAY_REPLY = 13;
/** Type and a transaction id of 3 bytes. */
const HEADER = 4;
/** Type, hop count, link address and peer address. */
const RELAY_HEADER = 34;
const OPTION_HEADER = 4;
const MAX_OPTION = 255;

export const recogniseDhcp: Recogniser = (p, slab) => {
  if (p.l4 !== L4.udp) return ANSWER.no;
  return p.l3 === L3.ip4 ? version4(p, slab) : version6(p, slab);
};

function version4(p: Parsed, slab: DataView): Answer {
  const length = messageLength(p);
  if (length < COOKIE_AT + 4) return ANSWER.no;
  const captured = capturedOf(p, length);
  const start = p.payloadOffset;
  if (captured < 1) return tooFew(p, length);
  const op = slab.getUint8(start);
  if (op !== 1 && op !== 2) return ANSWER.no;
  if (captured < 3) return tooFew(p, length);
  if (slab.getUint8(start + 2) > MAX_HARDWARE_ADDRESS) return ANSWER.no;
  if (captured < 4) return tooFew(p, length);
  if (slab.getUint8(start + 3) > MAX_HOPS) return ANSWER.no;
  if (captured < COOKIE_AT + 4) return tooFew(p, length);
  return slab.getInt32(start + COOKIE_AT) === COOKIE ? ANSWER.yes : ANSWER.no;
}

function version6(p: Parsed, slab: DataView): Answer {
  const { srcPort, dstPort } = p;
  const isPort =
    srcPort === CLIENT_PORT || srcPort === SERVER_PORT || dstPort === CLIENT_PORT || dstPort === SERVER_PORT;
  const length = messageLength(p);
  if (!isPort || length < HEADER + OPTION_HEADER) return ANSWER.no;
  const captured = capturedOf(p, length);
  if (captured < 1) return tooFew(p, length);
  const type = slab.getUint8(p.payloadOffset);
  if (type < 1 || type > LAST_TYPE) return ANSWER.no;
  const option = type === RELAY_FORWARD || type === RELAY_REPLY ? RELAY_HEADER : HEADER;
  if (option + OPTION_HEADER > length) return ANSWER.no;
  if (captured < option + OPTION_HEADER) return tooFew(p, length);
  const code = slab.getUint16(p.payloadOffset + option);
  const isFitting = option + OPTION_HEADER + slab.getUint16(p.payloadOffset + option + 2) <= length;
  return code >= 1 && code <= MAX_OPTION && isFitting ? ANSWER.yes : ANSWER.no;
}

import type { AppName } from '../../rules/apps.ts';
import { L4, type Parsed } from '../parsed.ts';
import { recogniseBgp } from './bgp.ts';
import { recogniseDhcp } from './dhcp.ts';
import { recogniseDns } from './dns.ts';
import { recogniseHttp } from './http.ts';
import { recogniseQuic } from './quic.ts';
import type { Recogniser } from './recogniser.ts';
import { recogniseRtcp } from './rtcp.ts';
import { recogniseRtp } from './rtp.ts';
import { recogniseSip } from './sip.ts';
import { recogniseSsh } from './ssh.ts';
import { recogniseTls } from './tls.ts';
import { recogniseWireguard } from './wireguard.ts';

/** Every application that a rule can name, and who recognises it. */
export const RECOGNISERS: Readonly<Record<AppName, Recogniser>> = {
  bgp: recogniseBgp,
  sip: recogniseSip,
  http: recogniseHttp,
  ssh: recogniseSsh,
  dhcp: recogniseDhcp,
  quic: recogniseQuic,
  wireguard: recogniseWireguard,
  dns: recogniseDns,
  tls: recogniseTls,
  rtcp: recogniseRtcp,
  rtp: recogniseRtp,
};

/** No IP packet has more bytes than this behind its first fragment. */
const MOST_BEHIND = 65535;

/**
 * What the recogniser says of the frame. In a first fragment the message goes on in later ones, so what the bytes leave open is
 * unknown there, as where a capture has cut them off.
 */
export function recognise(recogniser: Recogniser, p: Parsed, slab: DataView): number {
  if (p.isFragment === 0) return recogniser(p, slab);
  const inFrame = p.payloadLength;
  const told = p.l4 === L4.udp ? p.udpLength - 8 : inFrame + MOST_BEHIND;
  if (told > inFrame) p.payloadLength = told;
  const answer = recogniser(p, slab);
  p.payloadLength = inFrame;
  return answer;
}

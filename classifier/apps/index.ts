import type { AppName } from '../../rules/apps.ts';
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

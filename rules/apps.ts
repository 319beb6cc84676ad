/**
 * Applications that a recogniser can tell; `app NAME` in a rule. Strongest evidence first, because where several recognise
 * a frame, explain names the first: 16 fixed bytes, lines of text, magic numbers, then headers that merely fit.
 */
export const APPS = ['bgp', 'sip', 'http', 'ssh', 'dhcp', 'quic', 'wireguard', 'dns', 'tls', 'rtcp', 'rtp'] as const;
export type AppName = (typeof APPS)[number];

/** The type of a frame in which messages of several types start. */
export const MIXED = 31;
const WITH_MIXED = { mixed: MIXED } as const;

export const BGP_TYPES = {
  open: 1,
  update: 2,
  notification: 3,
  keepalive: 4,
  'route-refresh': 5,
  ...WITH_MIXED,
} as const;
export const HTTP_TYPES = { request: 1, response: 2 } as const;
export const SIP_TYPES = { ...HTTP_TYPES, ...WITH_MIXED } as const;
export const WIREGUARD_TYPES = { initiation: 1, response: 2, cookie: 3, data: 4 } as const;
export const DNS_TYPES = { query: 1, response: 2, ...WITH_MIXED } as const;
export const TLS_TYPES = {
  'change-cipher-spec': 1,
  alert: 2,
  handshake: 3,
  'application-data': 4,
  ...WITH_MIXED,
} as const;

/** Message types by the name that rules use, for applications that have them: `app bgp type { open, notification }`. From 1 to 31. */
export const APP_TYPES: Readonly<Partial<Record<AppName, Readonly<Record<string, number>>>>> = {
  bgp: BGP_TYPES,
  sip: SIP_TYPES,
  http: HTTP_TYPES,
  wireguard: WIREGUARD_TYPES,
  dns: DNS_TYPES,
  tls: TLS_TYPES,
};

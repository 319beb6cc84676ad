import { describe, expect, it } from 'vitest';
import { fileOf, type MessageCase, shownErrors } from './rules.ts';

const APPLICATIONS: readonly MessageCase[] = [
  [
    'an unknown one',
    'app spi class data',
    [
      "r:4:5: error: unknown application 'spi'",
      '  app spi class data',
      '      ^^^',
      '  expected bgp, sip, http, ssh, dhcp, quic, wireguard, dns, tls, rtcp or rtp',
      "  did you mean 'sip'?",
    ],
  ],
  [
    'under another name',
    'app https class data',
    [
      "r:4:5: error: unknown application 'https'",
      '  app https class data',
      '      ^^^^^',
      '  expected bgp, sip, http, ssh, dhcp, quic, wireguard, dns, tls, rtcp or rtp',
      "  write 'app tls'",
    ],
  ],
  [
    'a set of them',
    'app { sip, rtp } class data',
    [
      "r:4:5: error: unexpected '{'",
      '  app { sip, rtp } class data',
      '      ^',
      '  expected bgp, sip, http, ssh, dhcp, quic, wireguard, dns, tls, rtcp or rtp',
      '  write one rule for each application',
    ],
  ],
  [
    'none',
    'app class data',
    [
      "r:4:5: error: unexpected 'class'",
      '  app class data',
      '      ^^^^^',
      '  expected bgp, sip, http, ssh, dhcp, quic, wireguard, dns, tls, rtcp or rtp',
    ],
  ],
  [
    'an unknown type',
    'app bgp type opn class data',
    [
      "r:4:14: error: 'bgp' has no type 'opn'",
      '  app bgp type opn class data',
      '               ^^^',
      "  expected a type of 'bgp': open, update, notification, keepalive, route-refresh or mixed",
      "  did you mean 'open'?",
    ],
  ],
  [
    'a type of another application',
    'app sip type invite class data',
    [
      "r:4:14: error: 'sip' has no type 'invite'",
      '  app sip type invite class data',
      '               ^^^^^^',
      "  expected a type of 'sip': request, response or mixed",
    ],
  ],
  [
    'types where there are none',
    'app rtp type voice class data',
    [
      "r:4:9: error: 'app rtp' has no message types",
      '  app rtp type voice class data',
      '          ^^^^',
      "  leave 'type …' out; applications with types: bgp, sip, http, wireguard, dns, tls",
    ],
  ],
  [
    'negated before the type',
    'app != bgp type keepalive class data',
    [
      "r:4:1: error: '!=' before the application does not go with a type",
      '  app != bgp type keepalive class data',
      '  ^^^^^^^^^^',
      "  write 'app bgp type != …': it is bgp, and of another type",
    ],
  ],
  [
    'no type',
    'app bgp type class data',
    [
      "r:4:14: error: unexpected 'class'",
      '  app bgp type class data',
      '               ^^^^^',
      "  expected a type of 'bgp': open, update, notification, keepalive, route-refresh or mixed",
    ],
  ],
  [
    'types without braces',
    'app bgp type open, update class data',
    [
      "r:4:18: error: unexpected ','",
      '  app bgp type open, update class data',
      '                   ^',
      '  expected a match, a class or a verdict',
      "  several types go in braces: '{ a, b }'",
    ],
  ],
];

describe('an error in applications says where, what and what else', () => {
  it.each(APPLICATIONS)('%s', (_name, lines, expected) => {
    expect(shownErrors(fileOf(lines))).toEqual(expected);
  });
});

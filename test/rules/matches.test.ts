import { describe, expect, it } from 'vitest';
import { FIELDS, type FieldMatch, type FieldName } from '../../rules/rule.ts';
import { matchesOf, valuesOf } from './rules.ts';

describe('values', () => {
  it.each([
    ['udp dport 5060', '5060'],
    ['udp dport == 5060', '5060'],
    ['udp dport eq 0x10', '16'],
    ['udp dport != 5060', '!5060'],
    ['udp dport 5-10', '5-10'],
    ['udp dport 5 - 10', '5-10'],
    ['tcp dport ssh - telnet', '22-23'],
    ['tcp dport "domain"', '53'],
    ['th dport sips', '5061'],
    ['udp dport { 5060, 16384-32767 }', '5060 16384-32767'],
    ['udp dport != { 1, 2 }', '!1-2'],
    ['udp dport { 11, 5-10, 7, 20, }', '5-11 20'],
    ['udp length > 20', '21-65535'],
    ['udp length >= 20', '20-65535'],
    ['udp length < 20', '0-19'],
    ['udp length le 20', '0-20'],
    ['vlan pcp >= 5', '5-7'],
    ['vlan id 4095', '4095'],
    ['ether type vlan', String(0x8100)],
    ['ether type { ip, ip6, arp, 8021ad, 8021q }', '2048 2054 33024 34525 34984'],
    ['ether saddr 02:00:00:00:00:0a', String(0x02000000000an)],
    ['ether daddr 01:80:c2:00:00:00/24', `${0x0180c2000000n}-${0x0180c2ffffffn}`],
    ['ip saddr 10.0.0.0/8', `${10 * 2 ** 24}-${11 * 2 ** 24 - 1}`],
    ['ip daddr 0.0.0.0/0', `0-${2 ** 32 - 1}`],
    ['ip daddr 255.255.255.255/32', `${2 ** 32 - 1}`],
    ['ip saddr != 192.0.2.1-192.0.2.9', '!3221225985-3221225993'],
    ['ip saddr { 10.0.0.0/9, 10.128.0.0/9 }', `${10 * 2 ** 24}-${11 * 2 ** 24 - 1}`],
    ['ip6 saddr ::1', '1'],
    ['ip6 saddr ::ffff:192.0.2.1', String((0xffffn << 32n) | 0xc0000201n)],
    ['ip6 daddr fe80::/10', `${0xfe80n << 112n}-${(0xfec0n << 112n) - 1n}`],
    ['ip6 daddr 2001:db8::-2001:db8::5', `${0x20010db8n << 96n}-${(0x20010db8n << 96n) + 5n}`],
    ['ip6 daddr ::/0', `0-${(1n << 128n) - 1n}`],
    ['ip6 saddr 1:2:3:4:5:6:7:8', String(0x00010002000300040005000600070008n)],
    ['ip protocol { ospf, vrrp, pim }', '89 103 112'],
    ['ip protocol icmpv6', '58'],
    ['ip6 nexthdr ipv6-icmp', '58'],
    ['meta l4proto != { tcp, udp, sctp }', '!6 17 132'],
    ['arp operation { request, reply }', '1-2'],
    ['icmp type echo-reply', '0'],
    ['icmp type echo-reply - redirect', '0-5'],
    ['icmp code frag-needed', '4'],
    ['icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }', '135-136'],
    ['icmpv6 code port-unreachable', '4'],
    ['sctp sport 65535', '65535'],
    ['udplite dport domain', '53'],
    ['dccp sport 5-9', '5-9'],
    ['ip dscp ef', '46'],
    ['ip dscp { cs1, af41, 0x2e }', '8 34 46'],
    ['ip6 dscp != lephb', '!1'],
    ['ip dscp df', '0'],
    ['ip ttl < 5', '0-4'],
    ['ip ttl 255', '255'],
    ['ip6 hoplimit >= 254', '254-255'],
    ['ip length 20-100', '20-100'],
    ['ip6 length 0', '0'],
    ['ip frag-off 0x4000', String(0x4000)],
    ['meta length > 100', `101-${2 ** 32 - 1}`],
    ['frame length <= 1514', '0-1514'],
    ['sctp chunk init', '1'],
    ['sctp chunk { init, abort, forward-tsn }', '1 6 192'],
    ['sctp chunk != data', '!0'],
    ['igmp type membership-report-v3', '34'],
    ['igmp type { membership-query, leave-group }', '17 23'],
    ['udp dport "http"', '80'],
  ])('%s selects %s', (match, values) => {
    expect(valuesOf(match)).toBe(values);
  });

  it('a set may span lines and hold comments', () => {
    expect(valuesOf('udp dport {\n  5060, # sip\n  5061\n  , 99\n}')).toBe('99 5060-5061');
  });

  it('a rule has all its matches, in order', () => {
    const matches = matchesOf('ip saddr 10.0.0.1 udp dport 5060 app sip app != rtp');
    expect(
      matches.map((match) => (match.kind === 'app' ? [match.app, match.negated] : (match as FieldMatch).field)),
    ).toEqual(['ip.saddr', 'udp.dport', ['sip', false], ['rtp', true]]);
  });

  it.each(Object.keys(FIELDS) as FieldName[])('%s can be written', (field) => {
    const value = { 'ip.': '10.0.0.1', ip6: '::1', eth: '02:00:00:00:00:01' }[field.slice(0, 3)];
    const written = field.endsWith('addr') ? value : '1';
    expect(matchesOf(`${field.replace('.', ' ')} ${written}`)).toMatchObject([{ kind: 'field', field }]);
  });
});

describe('tcp flags', () => {
  // The right side is what nft 1.0.6 makes of the left one (`nft --debug=netlink`): a comparison, under a mask where there is one.
  it.each([
    ['syn', '!&2 0'],
    ['syn,ack', '!&18 0'],
    ['syn|ack', '!&18 0'],
    ['(syn|ack)', '!&18 0'],
    ['syn,ack|fin', '!&19 0'],
    ['0x2', '!&2 0'],
    ['0', '!&0 0'],
    ['== syn', '2'],
    ['== syn,ack', '18'],
    ['== (syn|ack)', '18'],
    ['== 0', '0'],
    ['!= syn', '!2'],
    ['!= syn|ack', '!18'],
    ['{ syn, syn | ack }', '2 18'],
    ['{ syn,ack }', '2 16'],
    ['{ syn }', '!&2 0'],
    ['{ syn|ack }', '!&18 0'],
    ['{ syn, syn }', '2'],
    ['== { syn|ack }', '18'],
    ['!= { syn }', '!2'],
    ['!= { syn, fin }', '!1-2'],
    ['syn / syn,ack', '&18 2'],
    ['!= syn / syn,ack', '!&18 2'],
    ['(syn | ack) / syn,ack', '&18 18'],
    ['& syn == 0', '&2 0'],
    ['& syn != 0', '!&2 0'],
    ['& (syn|ack) == syn', '&18 2'],
    ['& (syn|ack) == (syn|ack)', '&18 18'],
    ['& (syn|ack) == syn,ack', '&18 18'],
    ['& (syn|0x10) == 0x2', '&18 2'],
    ['& (fin|syn|rst) != 0', '!&7 0'],
    ['& (syn|fin) != { syn, fin }', '!&3 1-2'],
    ['! syn', '&2 0'],
    ['> 2', '3-255'],
    ['2-5', '2-5'],
    ['!= 2-5', '!2-5'],
  ])('tcp flags %s', (flags, values) => {
    expect(valuesOf(`tcp flags ${flags}`)).toBe(values);
  });
});

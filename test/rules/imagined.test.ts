import { describe, expect, it } from 'vitest';
import { describe as describeFrame, guessRule, type ImaginedFrame } from '../../rules/imagined.ts';
import type { Match } from '../../rules/rule.ts';
import { imagined } from '../support/imagined-frame.ts';
import { matchesOf } from './rules.ts';

function frameOf(text: string): ImaginedFrame {
  return imagined(matchesOf(text))!;
}

const FRAMES = {
  /** 42 bytes: there is no payload. */
  udp: frameOf('udp dport 5 udp sport 7 ip saddr 10.0.0.1'),
  'udp with payload': frameOf('udp dport 5 udp length 20'),
  'tcp with payload': frameOf('tcp dport 5 ip length 60'),
  'icmp with payload': frameOf('icmp type 8 ip length 60'),
  'tagged tcp': frameOf('vlan id 9 tcp dport 5 ip6 hoplimit 3'),
  sip: frameOf('app sip type request'),
  'not sip': frameOf('app != sip'),
  arp: frameOf('arp operation 2'),
  unread: frameOf('ether type 0x88cc'),
} as const;

describe('what a match says of an imagined frame', () => {
  it.each<[keyof typeof FRAMES, string, string]>([
    ['udp', 'udp dport 5', 'yes'],
    ['udp', 'udp dport != 5', 'no'],
    ['udp', 'udp dport 6', 'no'],
    ['udp', 'th sport 7', 'yes'],
    ['udp', 'tcp dport 5', 'no'],
    ['udp', 'tcp dport != 5', 'no'],
    ['udp', 'vlan id != 5', 'no'],
    ['udp', 'ip saddr & 255.0.0.255 == 10.0.0.1', 'yes'],
    ['udp', 'ip saddr & 255.0.0.255 != 10.0.0.1', 'no'],
    ['udp', 'ether type ip', 'yes'],
    ['udp', 'frame length 42', 'yes'],
    ['tagged tcp', 'vlan id 9', 'yes'],
    ['tagged tcp', 'ip6 hoplimit 3', 'yes'],
    ['tagged tcp', 'ip ttl 0-255', 'no'],
    ['arp', 'arp operation 2', 'yes'],
    ['arp', 'ip ttl 0-255', 'no'],
    ['unread', 'ether type 0x88cc', 'yes'],
    ['unread', 'ether type ip', 'no'],
    ['unread', 'vlan id 0-4095', 'no'],
    ['unread', 'ip ttl 5', 'unknown'],
    ['unread', 'udp dport != 5', 'unknown'],
    ['udp', 'ip saddr . udp dport { 10.0.0.2 . 5, 10.0.0.1 . 5 }', 'yes'],
    ['udp', 'ip saddr . udp dport { 10.0.0.2 . 5, 10.0.0.1 . 6 }', 'no'],
    ['udp', 'ip saddr . udp dport != { 10.0.0.1 . 5 }', 'no'],
    ['udp', 'ip saddr . udp dport != { 10.0.0.1 . 6 }', 'yes'],
    ['udp', 'udp sport . udp dport { 1-6 . 5, 8-9 . 5, 7 . 6-9, 7 . 1-4 }', 'no'],
    ['udp', 'udp sport . udp dport { 7-8 . 4-5 }', 'yes'],
    ['udp', 'ip saddr . tcp dport { 10.0.0.1 . 5 }', 'no'],
    ['udp', 'ip saddr . tcp dport != { 10.0.0.1 . 5 }', 'no'],
    ['unread', 'ip saddr . tcp dport != { 10.0.0.1 . 5 }', 'unknown'],
    ['unread', 'vlan id . tcp dport != { 10 . 5 }', 'no'],
    ['unread', 'tcp dport . vlan id != { 5 . 10 }', 'no'],
    ['udp', 'app sip', 'no'],
    ['udp', 'app != sip', 'yes'],
    ['udp', 'app sip type request', 'no'],
    ['udp', 'app sip type != request', 'no'],
    ['udp with payload', 'app sip', 'unknown'],
    ['udp with payload', 'app != sip', 'unknown'],
    ['tcp with payload', 'app http', 'unknown'],
    ['icmp with payload', 'app != sip', 'yes'],
    ['arp', 'app sip', 'no'],
    ['unread', 'app sip', 'unknown'],
    ['unread', 'app != sip', 'unknown'],
    ['sip', 'app sip', 'yes'],
    ['sip', 'app sip type request', 'yes'],
    ['sip', 'app sip type response', 'no'],
    ['sip', 'app != sip', 'no'],
    ['sip', 'app rtp', 'unknown'],
    ['not sip', 'app != sip', 'yes'],
    ['udp', 'declared', 'unknown'],
    ['udp', '@ll,328,8 0', 'unknown'],
    ['udp', '@ll,329,8 0', 'no'],
    ['udp', '@nh,216,8 0', 'unknown'],
    ['udp', '@nh,217,8 0', 'no'],
    ['udp', '@th,56,8 0', 'unknown'],
    ['udp', '@th,57,8 0', 'no'],
    ['arp', '@nh,0,8 0', 'unknown'],
    ['arp', '@th,0,8 0', 'no'],
    ['unread', '@nh,0,8 0', 'no'],
    ['unread', '@ll,0,8 0', 'unknown'],
    ['unread', '@th,0,8 0', 'unknown'],
    ['udp', 'udp dport 5 ip saddr 10.0.0.1', 'yes'],
    ['udp', 'udp dport 5 ip saddr 10.0.0.2', 'no'],
    ['udp', 'declared udp dport 5', 'unknown'],
    ['udp', 'udp dport 5 declared', 'unknown'],
    ['udp', 'declared udp dport 6', 'no'],
  ])('of %s: %s: %s', (frame, text, guess) => {
    const matches = matchesOf(text);
    expect(guessRule({ matches, className: null }, FRAMES[frame])).toBe(guess);
  });

  const lookup: Match = { kind: 'set', fields: ['ip.saddr', 'udp.sport'], set: 'rtp', negated: false };
  const guessSet = (frame: ImaginedFrame, match: Match) => guessRule({ matches: [match], className: null }, frame);

  it('of a set, where it is stated', () => {
    const found = imagined([lookup])!;
    expect(guessSet(found, lookup)).toBe('yes');
    expect(guessSet(found, { ...lookup, negated: true })).toBe('no');
    expect(guessSet(found, { ...lookup, set: 'others' })).toBe('unknown');
    expect(guessSet(found, { ...lookup, fields: ['ip6.saddr', 'udp.sport'] })).toBe('no');
    expect(guessSet(FRAMES.unread, lookup)).toBe('unknown');
    expect(guessSet({ ...FRAMES.unread, stated: found.stated }, lookup)).toBe('unknown');
  });

  it('of a declaration, by the class', () => {
    const declared: Match = { kind: 'declared' };
    const frame = imagined([declared], 'data')!;
    const guess = (className: string | null) => guessRule({ matches: [declared], className }, frame);
    expect([guess('data'), guess('control'), guess(null)]).toEqual(['yes', 'unknown', 'unknown']);
  });
});

describe('a frame is described by the fields of matches', () => {
  it.each<[keyof typeof FRAMES, string, string]>([
    ['udp', 'ip saddr 1.2.3.4 udp dport 5 udp dport 6', 'ip saddr 10.0.0.1, udp dport 5'],
    ['udp', 'ether type 0x1234 ip frag-off 3 ip ttl 5', 'ether type 0x800, ip frag-off 0x0, ip ttl 64'],
    ['tagged tcp', 'tcp flags == syn', 'tcp flags 0x0'],
    ['udp', 'udp sport . ip saddr { 1 . 10.0.0.1 }', 'udp sport 7, ip saddr 10.0.0.1'],
    ['udp', 'app sip declared @th,0,8 5', ''],
  ])('%s: %s: %s', (frame, text, description) => {
    expect(describeFrame(matchesOf(text), FRAMES[frame])).toBe(description);
  });
});

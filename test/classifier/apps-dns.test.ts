import { describe, expect, it } from 'vitest';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { DNS_TYPES } from '../../rules/apps.ts';
import {
  ANSWER_RECORD,
  dns,
  dnsName,
  framed,
  joined,
  QUERY,
  QUESTION,
  RESPONSE,
  TCP,
  times,
  u16,
  u32,
} from '../support/app-samples.ts';
import { askApp, askCuts } from '../support/ask-app.ts';

const { query, response, mixed } = DNS_TYPES;

function question(name: readonly number[], type = 1, dnsClass = 1): Uint8Array {
  return dns(0x0100, [1, 0, 0, 0], [...name, ...u16(type), ...u16(dnsClass)]);
}

function record(name: readonly number[], length: number, present: number, dnsClass = 0x8001): Uint8Array {
  const fixed = [...u16(33), ...u16(dnsClass), ...u32(120), ...u16(length)];
  return dns(0x8400, [0, 1, 0, 0], [...name, ...fixed, ...times(present, 1)]);
}

describe('app dns', () => {
  it.each([
    ['a query', QUERY, query],
    ['a response', RESPONSE, response],
    ['a query of mDNS that wants a unicast answer', question(dnsName('_sip', '_udp', 'local'), 12, 0x8001), query],
    ['an answer of mDNS, without a question', record(dnsName('host', 'local'), 8, 8), response],
    ['a query of LLMNR with its C and T bits', dns(0x0500, [1, 0, 0, 0], QUESTION), query],
    ['a notify (RFC 1996)', dns(0x2400, [1, 0, 0, 0], QUESTION), query],
    ['an update (RFC 2136)', dns(0x2800, [1, 0, 1, 0], QUESTION, ANSWER_RECORD), query],
    ['an error', dns(0x8183, [1, 0, 0, 0], QUESTION), response],
    ['a question for the root', question([0], 2), query],
    ['a question of class CH for TXT', question(dnsName('version', 'bind'), 16, 3), query],
    ['a question for NIMLOC, type 32', question(dnsName('example'), 32), query],
    ['a label of 32 letters A to P, but type A', question(dnsName('A'.repeat(32))), query],
    ['a label of 32 other letters, type SRV', question(dnsName('Q'.repeat(32)), 33), query],
    ['a label of 32 bytes below A, type SRV', question(dnsName('0'.repeat(32)), 33), query],
    ['a label of 31 letters A to P and another one, type SRV', question(dnsName(`${'A'.repeat(31)}Q`), 33), query],
    ['a label of 63 bytes', question(dnsName('x'.repeat(63))), query],
    ['a name in UTF-8', question(dnsName('b\xc3\xbcro')), query],
    ['a name of 255 bytes', question(dnsName(...Array<string>(3).fill('x'.repeat(63)), 'x'.repeat(61))), query],
  ])('takes %s', (_, bytes, type) => {
    expect(askApp('dns', bytes)).toBe(type);
    expect(askApp('dns', framed(bytes), TCP)).toBe(type);
  });

  it.each([
    ['a message without question and record', dns(0x8181, [0, 0, 0, 0], times(8))],
    ['a status query', dns(0x1000, [1, 0, 0, 0], QUESTION)],
    ['an inverse query', dns(0x0800, [1, 0, 0, 0], QUESTION)],
    ['opcode 6', dns(0x3000, [1, 0, 0, 0], QUESTION)],
    ['opcode 15', dns(0x7800, [1, 0, 0, 0], QUESTION)],
    ['the Z bit', dns(0x0140, [1, 0, 0, 0], QUESTION)],
    ['a query with an error code', dns(0x0103, [1, 0, 0, 0], QUESTION)],
    ['more questions than there is room for', dns(0x0100, [5, 0, 0, 0], QUESTION)],
    ['more records than there is room for', dns(0x8100, [1, 1, 1, 0], QUESTION, ANSWER_RECORD.slice(0, 5))],
    ['a compressed question', question([0xc0, 12])],
    ['a label type that is reserved', question([0x41, ...times(65, 0x61), 0])],
    ['a control character in a name', question(dnsName('a\tb'))],
    ['a DEL in a name', question(dnsName('a\x7f'))],
    ['a name that goes beyond the message', dns(0x0100, [1, 0, 0, 0], [63, ...times(20, 0x61)])],
    ['a name of 256 bytes', question(dnsName(...Array<string>(3).fill('x'.repeat(63)), 'x'.repeat(62)))],
    ['type 0', question(dnsName('a'), 0)],
    ['a label of 64 bytes', question([64, ...times(64, 0x61), 0])],
    ['class 0', question(dnsName('a'), 1, 0)],
    ['class 2', question(dnsName('a'), 1, 2)],
    ['a record whose data does not fit', record(dnsName('host', 'local'), 9, 8)],
    ['a first record of class 4096, as OPT has it', record([0], 0, 0, 4096)],
    ['the name of a NetBIOS host', question(dnsName('CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'), 33)],
    [
      'a NetBIOS registration',
      dns(0x2910, [1, 0, 0, 1], [...dnsName('EMEPFDECEBCACACACACACACACACACAAA'), 0, 32, 0, 1], times(20)),
    ],
    ['less than a header and the least question', QUERY.slice(0, 16)],
  ])('refuses %s', (_, bytes) => {
    expect(askApp('dns', bytes)).toBe(ANSWER.no);
    expect(askApp('dns', framed(bytes), TCP)).toBe(ANSWER.no);
  });

  it('takes the classes IN, CH, HS, NONE and ANY, and no other', () => {
    const classes = Array.from({ length: 300 }, (_, i) => i);
    const taken = classes.filter((one) => askApp('dns', question(dnsName('a'), 1, one)) === query);
    expect(taken).toEqual([1, 3, 4, 254, 255]);
  });

  describe('over TCP', () => {
    it('wants the length prefix', () => {
      expect(askApp('dns', QUERY, TCP)).toBe(ANSWER.no);
      expect(askApp('dns', joined(u16(11), QUERY), TCP)).toBe(ANSWER.no);
    });

    it('takes a message that goes on in the next segment, if its first question is whole', () => {
      const long = joined(u16(3000), RESPONSE, times(1400));
      expect(askApp('dns', long, TCP)).toBe(response);
      expect(askApp('dns', long.slice(0, 2 + 12 + QUESTION.length), TCP)).toBe(response);
      expect(askApp('dns', long.slice(0, 2 + 12 + QUESTION.length - 1), TCP)).toBe(ANSWER.no);
      expect(askApp('dns', long.slice(0, 20), TCP)).toBe(ANSWER.no);
    });

    it('names the type of several messages where they agree, else mixed', () => {
      const answer = dns(0x8400, [1, 0, 0, 0], QUESTION);
      expect(askApp('dns', framed(QUERY, QUERY), TCP)).toBe(query);
      expect(askApp('dns', framed(answer, answer), TCP)).toBe(response);
      expect(askApp('dns', joined(framed(QUERY), framed(RESPONSE).slice(0, 14)), TCP)).toBe(mixed);
      expect(askApp('dns', framed(QUERY, RESPONSE), TCP)).toBe(mixed);
      expect(askApp('dns', framed(RESPONSE, QUERY, RESPONSE), TCP)).toBe(mixed);
      expect(askApp('dns', framed(QUERY, RESPONSE).slice(0, -ANSWER_RECORD.length), TCP)).toBe(mixed);
      expect(askApp('dns', joined(framed(QUERY), framed(RESPONSE).slice(0, 13)), TCP)).toBe(mixed);
      expect(askApp('dns', joined(framed(QUERY), framed(QUERY).slice(0, 1)), TCP)).toBe(mixed);
    });

    it('refuses a segment whose first message is none, whatever follows', () => {
      expect(askApp('dns', framed(question(dnsName('a'), 0), QUERY), TCP)).toBe(ANSWER.no);
    });

    it('refuses a segment whose second message is none', () => {
      expect(askApp('dns', joined(framed(QUERY), u16(11), times(20)), TCP)).toBe(ANSWER.no);
      expect(askApp('dns', framed(QUERY, dns(0x0140, [1, 0, 0, 0], QUESTION)), TCP)).toBe(ANSWER.no);
    });

    it('says unknown until the flags of every message were captured', () => {
      const first = 2 + QUERY.length;
      const cuts = askCuts('dns', framed(QUERY, QUERY), TCP);
      expect(cuts.slice(0, first + 14)).toEqual(times(first + 14, ANSWER.unknown));
      expect(new Set(cuts.slice(first + 14))).toEqual(new Set([query]));
    });
  });

  it('says unknown until the first question was captured', () => {
    const needed = 12 + QUESTION.length;
    const expected = [...times(needed, ANSWER.unknown), ...times(ANSWER_RECORD.length, response)];
    expect(askCuts('dns', RESPONSE)).toEqual(expected);
  });

  it.each([
    ['the Z bit', dns(0x0140, [1, 0, 0, 0], QUESTION), 4],
    ['counts without room', dns(0x0100, [9, 0, 0, 0], QUESTION), 12],
    ['a compressed question', question([0xc0, 12]), 13],
    ['a control character', question(dnsName('a\tb')), 15],
    ['class 2', question(dnsName('a'), 1, 2), 19],
  ])('says no to a cut frame as soon as it disagrees: %s', (_, bytes, needed) => {
    const cuts = askCuts('dns', bytes);
    expect(cuts.slice(0, needed)).toEqual(times(needed, ANSWER.unknown));
    expect(new Set([...cuts.slice(needed), ANSWER.no])).toEqual(new Set([ANSWER.no]));
  });

  it('goes by the UDP length, in padded frames and in first fragments', () => {
    expect(askApp('dns', joined(QUERY, times(20)), { told: QUERY.length - 4 })).toBe(ANSWER.no);
    expect(askApp('dns', dns(0x8100, [1, 90, 0, 0], QUESTION), { told: 1200, isFirstFragment: true })).toBe(response);
    expect(askApp('dns', dns(0x8100, [1, 90, 0, 0], QUESTION))).toBe(ANSWER.no);
    expect(askApp('dns', QUERY, { told: 0 })).toBe(query);
    expect(askApp('dns', QUERY.slice(0, 20), { told: QUERY.length, isFirstFragment: true })).toBe(ANSWER.no);
  });
});

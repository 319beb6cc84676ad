import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { destinationText, ip4Text, ip6Text, macText, sourceText } from '../../classifier/text.ts';
import { frame } from '../../pcaps/build.ts';
import { ip6Bytes } from '../../pcaps/build-bytes.ts';
import { formatIp4, formatIp6, formatMac, parseIp6 } from '../../rules/addresses.ts';
import { parsedOf } from '../support/parse-frame.ts';

type Words = readonly [number, number, number, number];

function wordsOf(address: string): Words {
  const view = new DataView(ip6Bytes(address).buffer as ArrayBuffer);
  return [0, 4, 8, 12].map((at) => view.getInt32(at)) as unknown as Words;
}

function bigOf(words: readonly number[]): bigint {
  return words.reduce((value, word) => (value << 32n) | BigInt(word >>> 0), 0n);
}

describe('an IPv6 address', () => {
  test.each([
    // RFC 5952 §4.1: no leading zeros.
    ['2001:0db8:0001:0002:0003:0004:0005:0006', '2001:db8:1:2:3:4:5:6'],
    // §4.2.1: the longest run is shortened as far as it goes.
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    // §4.2.2: a single zero group is not.
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    // §4.2.3: of two runs the longer, of two alike the first.
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:0:0:0:1:0:0:1', '2001::1:0:0:1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    // §4.3: small letters.
    ['2001:DB8:A:B:C:D:E:FF', '2001:db8:a:b:c:d:e:ff'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['0:0:1:1:1:1:1:1', '::1:1:1:1:1:1'],
    ['1:1:1:1:1:1:0:0', '1:1:1:1:1:1::'],
    ['0:1:1:1:1:1:1:0', '0:1:1:1:1:1:1:0'],
    ['0:0:1:0:0:0:1:0', '0:0:1::1:0'],
    ['0:0:0:0:0:ffff:c000:201', '::ffff:c000:201'],
    ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ])('%s is written %s (RFC 5952)', (address, text) => {
    expect(ip6Text(...wordsOf(address))).toBe(text);
  });

  test('is written as the rules write it, and can be read again', () => {
    // Groups are often 0, so that runs of zeros meet.
    const group = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.nat({ max: 0xffff }));
    const words = fc.array(group, { minLength: 8, maxLength: 8 }).map((g) => {
      return [0, 2, 4, 6].map((i) => (g[i]! << 16) | g[i + 1]!) as unknown as Words;
    });
    fc.assert(
      fc.property(words, (address) => {
        const text = ip6Text(...address);
        expect(text).toBe(formatIp6(bigOf(address)));
        expect(parseIp6(text)).toBe(bigOf(address));
      }),
      { numRuns: 2000 },
    );
  });
});

test('IPv4 and MAC addresses are written as the rules write them', () => {
  expect(ip4Text(0xc0_00_02_ff | 0)).toBe('192.0.2.255');
  expect(ip4Text(0)).toBe('0.0.0.0');
  expect(macText(0xfe_dc_ba_98 | 0, 0x0007)).toBe('fe:dc:ba:98:00:07');
  fc.assert(
    fc.property(fc.integer(), fc.nat({ max: 0xffff }), (high, low) => {
      expect(ip4Text(high)).toBe(formatIp4(bigOf([high])));
      expect(macText(high, low)).toBe(formatMac((bigOf([high]) << 16n) | BigInt(low)));
    }),
  );
});

describe('the addresses of a frame', () => {
  const textsOf = (bytes: Uint8Array) => {
    const p = parsedOf(bytes);
    return [sourceText(p), destinationText(p)];
  };

  test('are those of its IP header', () => {
    expect(textsOf(frame().eth().ip4().udp(1, 2).build())).toEqual(['192.0.2.1', '198.51.100.2']);
    expect(textsOf(frame().eth().ip6().udp(1, 2).build())).toEqual(['2001:db8::1', '2001:db8::2']);
    const ends = { src: '1:2:3:4:5:6:7:8', dst: '9:a:b:c:d:e:f:0' };
    expect(textsOf(frame().eth().ip6(ends).build())).toEqual(['1:2:3:4:5:6:7:8', '9:a:b:c:d:e:f:0']);
  });

  test('are none without a whole IP header', () => {
    expect(textsOf(frame().eth().arp().build())).toEqual([null, null]);
    expect(textsOf(frame().eth().llc().build())).toEqual([null, null]);
    expect(textsOf(frame().eth().ip4().truncateTo(33).build())).toEqual([null, null]);
    expect(textsOf(frame().eth().ip6().truncateTo(53).build())).toEqual([null, null]);
    expect(textsOf(frame().eth().ip4({ version: 5 }).build())).toEqual([null, null]);
  });

  test('of protocol 0 are shown too', () => {
    expect(textsOf(frame().eth().ip4({ proto: 0 }).build())).toEqual(['192.0.2.1', '198.51.100.2']);
    const cut = frame().eth().ip6().hopopts().build().subarray(0, 54);
    expect(textsOf(cut)).toEqual(['2001:db8::1', '2001:db8::2']);
  });
});

import { describe, expect, it } from 'vitest';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { dhcp4, dhcp6, IP6, joined, times } from '../support/app-samples.ts';
import { askApp, askCuts } from '../support/ask-app.ts';

describe('app dhcp over IPv4', () => {
  it('takes requests and replies of any hardware, whatever their l4Ports', () => {
    expect(askApp('dhcp', dhcp4([1, 1, 6, 0]))).toBe(ANSWER.yes);
    expect(askApp('dhcp', dhcp4([2, 32, 16, 16]), { ports: [67, 67] })).toBe(ANSWER.yes);
  });

  it.each([
    ['op 0', dhcp4([0, 1, 6, 0])],
    ['op 3', dhcp4([3, 1, 6, 0])],
    ['a hardware address of 17 bytes', dhcp4([1, 1, 17, 0])],
    ['17 hops', dhcp4([1, 1, 6, 17])],
    ['another cookie', dhcp4([1, 1, 6, 0], 0x63825364)],
    ['a datagram that ends inside the cookie', dhcp4().slice(0, 239)],
  ])('refuses %s', (_, bytes) => {
    expect(askApp('dhcp', bytes)).toBe(ANSWER.no);
  });

  it.each([
    [[3, 1, 6, 0], 1],
    [[1, 1, 17, 0], 3],
    [[1, 1, 6, 17], 4],
  ])('says no to a cut frame as soon as it disagrees: %j', (fields, needed) => {
    const cuts = askCuts('dhcp', dhcp4(fields));
    expect(cuts.slice(0, needed)).toEqual(times(needed, ANSWER.unknown));
    expect(new Set(cuts.slice(needed))).toEqual(new Set([ANSWER.no]));
  });

  it('says unknown until the cookie was captured', () => {
    expect(askCuts('dhcp', dhcp4())).toEqual([...times(240, ANSWER.unknown), ...times(4, ANSWER.yes)]);
  });
});

describe('app dhcp over IPv6', () => {
  const client = { ...IP6, ports: [546, 547] as const };

  it('takes messages to and from the l4Ports of clients and servers only', () => {
    for (const ports of [
      [546, 547],
      [547, 546],
      [20000, 547],
      [20000, 546],
      [546, 20000],
      [547, 20000],
    ] as const) {
      expect(askApp('dhcp', dhcp6(1, 4), { ...IP6, ports })).toBe(ANSWER.yes);
    }
    for (const ports of [
      [545, 548],
      [67, 68],
    ] as const) {
      expect(askApp('dhcp', dhcp6(1, 4), { ...IP6, ports })).toBe(ANSWER.no);
    }
  });

  it('takes the types 1 to 36, relays with their longer header', () => {
    const taken = Array.from({ length: 256 }, (_, type) => type).filter(
      (type) => askApp('dhcp', dhcp6(type, type === 12 || type === 13 ? 34 : 4), client) === ANSWER.yes,
    );
    expect(taken).toEqual(Array.from({ length: 36 }, (_, i) => i + 1));
  });

  it.each([
    ['no option', joined(1, times(3))],
    ['nothing but a header', joined(1, times(3), [0, 1])],
    ['half an option header', joined(1, times(3), [0, 1, 0])],
    ['option 0', dhcp6(1, 4, [0, [1]])],
    ['option 256', dhcp6(1, 4, [256, [1]])],
    ['an option that does not fit', dhcp6(1, 4, [1, [1, 2, 3]]).slice(0, -1)],
    ['a relay without an option', dhcp6(12, 34).slice(0, 37)],
  ])('refuses %s', (_, bytes) => {
    expect(askApp('dhcp', bytes, client)).toBe(ANSWER.no);
  });

  it('says unknown until the first option was captured', () => {
    expect(askCuts('dhcp', dhcp6(1, 4), client)).toEqual([...times(8, ANSWER.unknown), ANSWER.yes, ANSWER.yes]);
    expect(askCuts('dhcp', dhcp6(37, 4), client)).toEqual([ANSWER.unknown, ...times(9, ANSWER.no)]);
    expect(askApp('dhcp', dhcp6(1, 4, [1, []]), client)).toBe(ANSWER.yes);
    expect(askCuts('dhcp', dhcp6(12, 34), client).lastIndexOf(ANSWER.unknown)).toBe(37);
  });

  it('does not take the format of the other version', () => {
    expect(askApp('dhcp', dhcp6(1, 4), { ports: [546, 547] })).toBe(ANSWER.no);
    expect(askApp('dhcp', dhcp4(), IP6)).toBe(ANSWER.no);
  });
});

import { describe, expect, it } from 'vitest';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { TLS_TYPES } from '../../rules/apps.ts';
import { joined, TCP, times, tls } from '../support/app-samples.ts';
import { askApp, askCuts } from '../support/ask-app.ts';

const {
  'change-cipher-spec': changeCipherSpec,
  alert,
  handshake,
  'application-data': applicationData,
  mixed,
} = TLS_TYPES;
const MAX = 16384 + 2048;

describe('app tls', () => {
  it.each([
    [20, changeCipherSpec, 1],
    [21, alert, 2],
    [22, handshake, 4],
    [23, applicationData, 1],
  ])('takes content type %i from its least length to the most there is', (content, type, least) => {
    expect(askApp('tls', tls(content, least), TCP)).toBe(type);
    expect(askApp('tls', tls(content, MAX, 1400), TCP)).toBe(type);
    expect(askApp('tls', tls(content, least - 1, 100), TCP)).toBe(ANSWER.no);
    expect(askApp('tls', tls(content, MAX + 1, 1400), TCP)).toBe(ANSWER.no);
  });

  it.each([0, 19, 24, 0x80, 255])('refuses content type %i', (content) => {
    expect(askApp('tls', tls(content, 40), TCP)).toBe(ANSWER.no);
  });

  it('takes the versions 3.0 to 3.3', () => {
    for (const minor of [0, 1, 2, 3]) expect(askApp('tls', tls(22, 40, 40, [3, minor]), TCP)).toBe(handshake);
    for (const version of [
      [3, 4],
      [2, 0],
      [4, 3],
    ]) {
      expect(askApp('tls', tls(22, 40, 40, version), TCP)).toBe(ANSWER.no);
    }
  });

  it('knows alerts and change_cipher_specs in clear by their content, protected ones by their length', () => {
    expect(askApp('tls', joined([21, 3, 3, 0, 2], [1, 0]), TCP)).toBe(alert);
    expect(askApp('tls', joined([21, 3, 3, 0, 2], [2, 40]), TCP)).toBe(alert);
    expect(askApp('tls', joined([21, 3, 3, 0, 2], [3, 40]), TCP)).toBe(ANSWER.no);
    expect(askApp('tls', joined([21, 3, 3, 0, 2], [0, 40]), TCP)).toBe(ANSWER.no);
    expect(askApp('tls', joined([20, 3, 3, 0, 1], 2), TCP)).toBe(ANSWER.no);
    expect(askApp('tls', tls(21, 8), TCP)).toBe(ANSWER.no);
    expect(askApp('tls', tls(21, 9), TCP)).toBe(alert);
    expect(askApp('tls', tls(20, 9), TCP)).toBe(changeCipherSpec);
    expect(askApp('tls', tls(20, 2), TCP)).toBe(ANSWER.no);
  });

  it('names the type of several records where they agree, else mixed', () => {
    expect(askApp('tls', joined(tls(23, 30), tls(23, 500, 100)), TCP)).toBe(applicationData);
    expect(askApp('tls', joined(tls(22, 70), tls(20, 1), tls(22, 40)), TCP)).toBe(mixed);
    expect(askApp('tls', joined(tls(23, 30), tls(21, 26)), TCP)).toBe(mixed);
  });

  it('takes a segment that ends inside a record, or inside its header', () => {
    expect(askApp('tls', tls(22, 512, 0), TCP)).toBe(handshake);
    expect(askApp('tls', joined(tls(22, 40), [20, 3, 3, 0]), TCP)).toBe(mixed);
    expect(askApp('tls', joined(tls(22, 40), [21]), TCP)).toBe(mixed);
    expect(askApp('tls', joined(tls(22, 40), [22]), TCP)).toBe(handshake);
    expect(askApp('tls', joined(tls(22, 40), [20, 3, 3, 0, 1]), TCP)).toBe(mixed);
  });

  it('refuses a segment whose second record is none', () => {
    expect(askApp('tls', joined(tls(22, 40), times(5, 22)), TCP)).toBe(ANSWER.no);
    expect(askApp('tls', joined(tls(22, 40), tls(24, 5)), TCP)).toBe(ANSWER.no);
  });

  it('says unknown until the header of every record, and the content of one in clear, was captured', () => {
    expect(askCuts('tls', tls(22, 10), TCP)).toEqual([...times(5, ANSWER.unknown), ...times(10, handshake)]);
    expect(askCuts('tls', tls(20, 1), TCP)).toEqual(times(6, ANSWER.unknown));
    const bytes = joined(tls(23, 10), tls(23, 5));
    expect(askCuts('tls', bytes, TCP)).toEqual([...times(20, ANSWER.unknown), ...times(5, applicationData)]);
  });

  it.each([
    [[24, 3, 3, 0, 40], 1],
    [[22, 2, 3, 0, 40], 2],
    [[22, 3, 4, 0, 40], 3],
    [[22, 3, 3, 0, 3], 5],
    [[20, 3, 3, 0, 1, 2], 6],
  ])('says no to a cut frame as soon as it disagrees: %j', (header, needed) => {
    const cuts = askCuts('tls', joined(header, times(40)), TCP);
    expect(cuts.slice(0, needed)).toEqual(times(needed, ANSWER.unknown));
    expect(new Set(cuts.slice(needed))).toEqual(new Set([ANSWER.no]));
  });

  it('refuses a segment of less than a header, the middle of a record, SSL 2.0 and UDP', () => {
    expect(askApp('tls', [22, 3, 1, 2], TCP)).toBe(ANSWER.no);
    expect(askApp('tls', tls(23, 400).slice(9), TCP)).toBe(ANSWER.no);
    expect(askApp('tls', [0x80, 46, 1, 3, 1, 0, 21, 0, 0, 0, 16, ...times(37)], TCP)).toBe(ANSWER.no);
    expect(askApp('tls', tls(22, 40))).toBe(ANSWER.no);
  });
});

import { describe, expect, it } from 'vitest';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { BGP_TYPES } from '../../rules/apps.ts';
import { bgp, joined, TCP, times } from '../support/app-samples.ts';
import { askApp, askCuts } from '../support/ask-app.ts';

const { open, update, notification, keepalive, 'route-refresh': routeRefresh, mixed } = BGP_TYPES;

describe('app bgp', () => {
  it.each([
    ['open', open, 29, 4096],
    ['update', update, 23, 65535],
    ['notification', notification, 21, 65535],
    ['keepalive', keepalive, 19, 19],
    ['route-refresh', routeRefresh, 23, 65535],
  ])('takes %s with the lengths it can have', (_, type, least, most) => {
    expect(askApp('bgp', bgp(type, least), TCP)).toBe(type);
    expect(askApp('bgp', bgp(type, most, 1460), TCP)).toBe(type);
    expect(askApp('bgp', bgp(type, least - 1, 1460), TCP)).toBe(ANSWER.no);
    if (most < 65535) expect(askApp('bgp', bgp(type, most + 1, 1460), TCP)).toBe(ANSWER.no);
  });

  it.each([0, 6, 255])('refuses type %i', (type) => {
    expect(askApp('bgp', bgp(type, 30), TCP)).toBe(ANSWER.no);
  });

  it('wants every bit of the marker', () => {
    for (let at = 0; at < 16; at++) {
      const message = bgp(keepalive, 19);
      message[at] = 0xfe;
      expect(askApp('bgp', message, TCP)).toBe(ANSWER.no);
    }
  });

  it('names the type of several messages where they agree, else mixed', () => {
    expect(askApp('bgp', joined(bgp(update, 40), bgp(update, 23)), TCP)).toBe(update);
    expect(askApp('bgp', joined(bgp(update, 40), bgp(keepalive, 19)), TCP)).toBe(mixed);
    expect(askApp('bgp', joined(bgp(keepalive, 19), bgp(update, 40), bgp(keepalive, 19)), TCP)).toBe(mixed);
  });

  it('takes a segment that ends inside the last message, or inside its header', () => {
    expect(askApp('bgp', joined(bgp(keepalive, 19), bgp(update, 100, 50)), TCP)).toBe(mixed);
    expect(askApp('bgp', joined(bgp(update, 100), bgp(keepalive, 19, 18)), TCP)).toBe(mixed);
    expect(askApp('bgp', joined(bgp(keepalive, 19), times(1, 0xff)), TCP)).toBe(mixed);
  });

  it('refuses a segment whose second message is none', () => {
    expect(askApp('bgp', joined(bgp(keepalive, 19), times(19, 1)), TCP)).toBe(ANSWER.no);
    expect(askApp('bgp', joined(bgp(keepalive, 19), bgp(keepalive, 20)), TCP)).toBe(ANSWER.no);
  });

  it('says unknown until the header of every message was captured', () => {
    const bytes = joined(bgp(update, 40), bgp(keepalive, 19));
    expect(askCuts('bgp', bytes, TCP)).toEqual(times(59, ANSWER.unknown));
    expect(askCuts('bgp', bgp(update, 40), TCP)).toEqual([...times(19, ANSWER.unknown), ...times(21, update)]);
  });

  it('refuses the middle of a message, a short rest and UDP', () => {
    expect(askApp('bgp', bgp(update, 100).slice(19), TCP)).toBe(ANSWER.no);
    expect(askApp('bgp', bgp(keepalive, 19, 18), TCP)).toBe(ANSWER.no);
    expect(askApp('bgp', bgp(keepalive, 19))).toBe(ANSWER.no);
  });
});

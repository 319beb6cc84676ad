import { describe, expect, it } from 'vitest';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { L4 } from '../../classifier/parsed.ts';
import { SIP_TYPES } from '../../rules/apps.ts';
import { askApp, askCuts } from '../support/ask-app.ts';

const { request, response, mixed } = SIP_TYPES;

const METHODS = 'INVITE ACK BYE CANCEL OPTIONS REGISTER PRACK SUBSCRIBE NOTIFY UPDATE MESSAGE REFER PUBLISH INFO'.split(
  ' ',
);

describe('app sip', () => {
  it.each(METHODS)('takes a %s request, over UDP and TCP, whatever the scheme', (method) => {
    for (const l4 of [L4.udp, L4.tcp]) {
      for (const uri of ['sip:bob@example.com', 'sips:bob@example.com', 'tel:+15551234', 'urn:service:sos', 'SIP:x']) {
        expect(askApp('sip', `${method} ${uri} SIP/2.0\r\nVia: x`, { l4 })).toBe(request);
      }
    }
  });

  it.each([
    ['a status line', 'SIP/2.0 180 Ringing\r\n'],
    ['a status line without a reason', 'SIP/2.0 200\r\n'],
    ['the highest code', 'sip/2.0 699 x\r\n'],
    ['blank lines before the status line', '\r\n\r\nSIP/2.0 200 OK\r\n'],
  ])('takes %s for a response', (_, text) => {
    expect(askApp('sip', text)).toBe(response);
  });

  it.each([
    ['an extension method with a SIP URI', 'BENOTIFY sip:a SIP/2.0\r\n'],
    ['every character that a method may have', "aZ09-.!%*_+`'~ sip:a SIP/2.0\r\n"],
    ['a method of 32 characters', `${'A'.repeat(32)} sip:a SIP/2.0\r\n`],
    ['blank lines before the message', '\r\n\r\nBYE sip:a SIP/2.0\r\n'],
    ['a line that ends in LF alone', 'BYE sip:a SIP/2.0\n'],
  ])('takes %s for a request', (_, text) => {
    expect(askApp('sip', text)).toBe(request);
  });

  it.each([
    ['the keep-alive of two blank lines', '\r\n\r\n'],
    ['an HTTP request', 'GET / HTTP/1.1\r\n'],
    ['an RTSP request with a method that SIP has too', 'OPTIONS rtsp://cam/ RTSP/1.0\r\n'],
    ['an extension method with a foreign URI', 'FOO http://a SIP/2.0\r\n'],
    ['a method in small letters with a foreign URI', 'invite http://a SIP/2.0\r\n'],
    ['another version', 'INVITE sip:a SIP/3.0\r\n'],
    ['a version that goes on', 'INVITE sip:a SIP/2.01\r\n'],
    ['a line that ends in the URI', 'INVITE sip:a\r\nSIP/2.0\r\n'],
    ['a method of 33 characters', `${'A'.repeat(33)} sip:a SIP/2.0\r\n`],
    ['a DEL in the URI', 'INVITE sip:\x7f SIP/2.0\r\n'],
    ['a method with a comma', 'A,B sip:a SIP/2.0\r\n'],
    ['no URI', 'INVITE  SIP/2.0\r\n'],
    ['code 700', 'SIP/2.0 700 x\r\n'],
    ['code 099', 'SIP/2.0 099 x\r\n'],
    ['a code of four digits', 'SIP/2.0 2000 x\r\n'],
    ['a code of two digits', 'SIP/2.0 20 x\r\n'],
    ['a code after no blank', 'SIP/2.0/200 x\r\n'],
    ['a token that never ends', 'A'.repeat(100)],
    ['an empty payload', ''],
    ['a datagram that ends inside the request line', 'INVITE sip:a SIP/2.'],
  ])('refuses %s', (_, text) => {
    expect(askApp('sip', text)).toBe(ANSWER.no);
  });

  it('takes a TCP segment that ends inside the request line, once the scheme is told', () => {
    expect(askApp('sip', 'INVITE sip:bob@exam', { l4: L4.tcp })).toBe(request);
    expect(askApp('sip', 'INVITE sip:bob SIP/', { l4: L4.tcp })).toBe(request);
    expect(askApp('sip', 'INVITE si', { l4: L4.tcp })).toBe(ANSWER.no);
    expect(askApp('sip', 'INVITE http://a', { l4: L4.tcp })).toBe(ANSWER.no);
  });

  it('is not asked of other transports', () => {
    expect(askApp('sip', 'BYE sip:a SIP/2.0\r\n', { l4: L4.sctp })).toBe(ANSWER.no);
    expect(askApp('sip', 'BYE sip:a SIP/2.0\r\n', { l4: L4.udplite })).toBe(ANSWER.no);
  });

  it.each(['BYE sip:a SIP/2.0\r\n', 'SIP/2.0 200 OK\r\n', '\r\n\r\nACK tel:1 SIP/2.0\r\n'])(
    'says unknown for every cut of %j that the evidence outlasts, and never changes its mind to no',
    (text) => {
      const type = text.startsWith('SIP') ? response : request;
      const needed = text.startsWith('SIP') ? 'SIP/2.0 200 '.length : text.length - 1;
      for (let captured = 0; captured < text.length; captured++) {
        expect(askApp('sip', text, { captured })).toBe(captured < needed ? ANSWER.unknown : type);
      }
    },
  );

  it('says no for a cut that already disagrees', () => {
    for (let captured = 5; captured < 15; captured++) {
      expect(askApp('sip', 'GET /index HTTP/1.1\r\n', { captured })).toBe(ANSWER.no);
    }
  });

  describe('in a TCP segment of several messages', () => {
    const tcp = { l4: L4.tcp };
    const bye = (fields: string, body = '') => `BYE sip:a SIP/2.0\r\nVia: x\r\n${fields}\r\n${body}`;
    const ok = 'SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n';

    it('says mixed where a later one is of the other type', () => {
      expect(askApp('sip', `${bye('Content-Length: 0\r\n')}${ok}`, tcp)).toBe(mixed);
      expect(askApp('sip', `${ok}${ok}${bye('l: 0\r\n')}`, tcp)).toBe(mixed);
      expect(askApp('sip', `${bye('content-length \t:  4\r\nTo: x\r\n', 'body')}\r\n\r\n${ok}`, tcp)).toBe(mixed);
    });

    it('counts the body to the byte', () => {
      for (const length of [9, 10, 99, 100, 1234]) {
        const first = bye(`Content-Length: ${length}\r\n`, 'x'.repeat(length));
        expect(askApp('sip', first + ok, tcp)).toBe(mixed);
        expect(askApp('sip', first, tcp)).toBe(request);
        expect(askApp('sip', `${first}\r\n\r\n`, tcp)).toBe(request);
        expect(askApp('sip', `${first}x${ok}`, tcp)).toBe(mixed);
      }
    });

    it('reads lines that end in LF alone', () => {
      expect(askApp('sip', `BYE sip:a SIP/2.0\nl:0\n\n${ok}`, tcp)).toBe(mixed);
    });

    it('keeps the type where all are of it', () => {
      expect(askApp('sip', `${ok}${ok}${ok}`, tcp)).toBe(response);
      expect(askApp('sip', bye('l: 0\r\n') + bye('l: 0\r\n'), tcp)).toBe(request);
    });

    it.each([
      ['a body that holds a message', bye(`l: ${ok.length}\r\n`, ok)],
      ['a body that goes on in the next segment', bye('l: 999\r\n', ok)],
      ['no length', bye('', ok)],
      ['a length that is no number', bye('l: x\r\n', ok)],
      ['a header that only starts with an l', bye('Lost: 0\r\n', ok)],
      ['a header that goes on in the next segment', 'BYE sip:a SIP/2.0\r\nl: 0\r\nVia: x'],
      ['keep-alives behind it', `${bye('l: 0\r\n')}\r\n\r\n`],
    ])('goes by the first one alone with %s', (_, text) => {
      expect(askApp('sip', text, tcp)).toBe(request);
    });

    it('says unknown where the capture cut it, because the rest may hold one', () => {
      const text = `${ok}${bye('l: 0\r\n')}`;
      expect(new Set(askCuts('sip', text, tcp))).toEqual(new Set([ANSWER.unknown]));
    });
  });

  it('reads one message per datagram: what follows it is body', () => {
    const text = 'BYE sip:a SIP/2.0\r\nl: 0\r\n\r\nSIP/2.0 200 OK\r\n';
    expect(askApp('sip', text)).toBe(request);
  });
});

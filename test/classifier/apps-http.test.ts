import { describe, expect, it } from 'vitest';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { HTTP_TYPES } from '../../rules/apps.ts';
import { TCP, times } from '../support/app-samples.ts';
import { askApp, askCuts } from '../support/ask-app.ts';

const { request, response } = HTTP_TYPES;

describe('app http', () => {
  it.each([
    ['a request', 'GET / HTTP/1.1\r\n'],
    ['a request of HTTP/1.0 whose line ends in LF alone', 'POST /x?y=%20 HTTP/1.0\n'],
    ['an absolute target', 'GET http://example.com/ HTTP/1.1\r\n'],
    ['CONNECT', 'CONNECT example.com:443 HTTP/1.1\r\n'],
    ['OPTIONS of the server itself', 'OPTIONS * HTTP/1.1\r\n'],
    ['a method that no list has', 'M-SEARCH_2 /x HTTP/1.1\r\n'],
    ['a method of 32 characters', `${'A'.repeat(32)} / HTTP/1.1\r\n`],
    ['a known method whose target goes on in the next segment', `GET /${'x'.repeat(1400)}`],
    ['the same with an absolute target', `PROPFIND HTTP://example.com/${'x'.repeat(100)}`],
    ['a line that ends inside the version', 'GET /x HTT'],
    ['a line that ends before the minor version', 'GET /x HTTP/1.'],
    ['a line that ends after the version', 'GET /x HTTP/1.1'],
  ])('takes %s for a request', (_, text) => {
    expect(askApp('http', text, TCP)).toBe(request);
  });

  it.each([
    ['a status line', 'HTTP/1.1 200 OK\r\n'],
    ['a status line without a reason', 'HTTP/1.0 100\r\n'],
    ['the highest code', 'HTTP/1.1 599\n'],
  ])('takes %s for a response', (_, text) => {
    expect(askApp('http', text, TCP)).toBe(response);
  });

  it.each([
    ["HTTP/2's preface", 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a SIP request', 'INVITE sip:a SIP/2.0\r\n'],
    ['an RTSP request', 'OPTIONS rtsp://cam/ RTSP/1.0\r\n'],
    ['HTTP/0.9', 'GET /\r\n'],
    ['an ICY response', 'ICY 200 OK\r\n'],
    ['a version in small letters', 'GET / http/1.1\r\n'],
    ['no minor version', 'GET / HTTP/1.x\r\n'],
    ['a version that goes on', 'GET / HTTP/1.10\r\n'],
    ['a response without a minor version', 'HTTP/1.x 200 OK\r\n'],
    ['a response of HTTP/2', 'HTTP/2 200\r\n'],
    ['a response without a blank', 'HTTP/1.1-200 OK\r\n'],
    ['code 600', 'HTTP/1.1 600 x\r\n'],
    ['code 099', 'HTTP/1.1 099 x\r\n'],
    ['a code of two digits', 'HTTP/1.1 20 x\r\n'],
    ['a code of four digits', 'HTTP/1.1 2000 x\r\n'],
    ['a segment that ends inside the status line', 'HTTP/1.1 20'],
    ['a segment that ends after the code', 'HTTP/1.1 200'],
    ['a segment that ends inside the version', 'HTTP/1.'],
    ['no target', 'GET  HTTP/1.1\r\n'],
    ['no method', ' / HTTP/1.1\r\n'],
    ['a method of 33 characters', `${'A'.repeat(33)} / HTTP/1.1\r\n`],
    ['a DEL in the target', 'GET /\x7f HTTP/1.1\r\n'],
    ['a method with a colon', 'GET: / HTTP/1.1\r\n'],
    ['a method that never ends', 'A'.repeat(100)],
    ['a segment that ends inside the method', 'GE'],
    ['an unknown method whose line goes on', 'HELO /example.com'],
    ['a known method in small letters whose line goes on', 'get /example.com'],
    ['a known method with a target of which nothing tells', 'GET index'],
    ['a known method with nothing behind it', 'GET '],
    ['a tab in the target', 'GET /\tHTTP/1.1\r\n'],
    ['the middle of a body', '<html><body>GET / HTTP/1.1'],
  ])('refuses %s', (_, text) => {
    expect(askApp('http', text, TCP)).toBe(ANSWER.no);
  });

  it('needs a status line as far as the byte behind the code', () => {
    const cuts = askCuts('http', 'HTTP/1.1 200 OK\r\n', TCP);
    expect(cuts).toEqual([...times(13, ANSWER.unknown), ...times(4, response)]);
  });

  it.each([
    ['HTTP/1.x', 8],
    ['HTTP/1.1-', 9],
    ['HTTP/1.1 6', 10],
    ['HTTP/1.1 2x', 11],
    ['HTTP/1.1 20x', 12],
    ['HTTP/1.1 2000', 13],
    ['GET\t', 4],
    ['GET /\x01', 6],
    ['GET / HTTQ', 10],
    ['GET / HTTP/1.x', 14],
    ['GET / HTTP/1.1x', 15],
  ])('says no to a cut frame as soon as it disagrees: %j', (text, needed) => {
    const cuts = askCuts('http', `${text} and more`, TCP);
    expect(cuts.slice(0, needed)).toEqual(times(needed, ANSWER.unknown));
    expect(new Set(cuts.slice(needed))).toEqual(new Set([ANSWER.no]));
  });

  it('leaves HTTP over UDP, which is SSDP, alone', () => {
    expect(askApp('http', 'NOTIFY * HTTP/1.1\r\n')).toBe(ANSWER.no);
  });
});

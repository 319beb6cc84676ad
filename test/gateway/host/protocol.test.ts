import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PARAMS } from '../../../gateway/host/api.ts';
import {
  type Decoded,
  decodeRequest,
  encodeCall,
  encodeError,
  encodeResult,
  MAX_LINE_BYTES,
  RequestError,
  RPC,
} from '../../../gateway/host/protocol.ts';
import { runs, SEED } from '../../support/runs.ts';

function decode(text: string): Decoded {
  return decodeRequest(Buffer.from(text));
}

function refusal(text: string | Uint8Array) {
  const decoded = typeof text === 'string' ? decode(text) : decodeRequest(text);
  if ('request' in decoded) throw new Error('it was accepted');
  const { error, id, isFatal } = decoded;
  return { rpc: error.rpcCode, code: error.code, field: error.field, id, isFatal };
}

function request(method: string, params: unknown): string {
  return encodeCall(method, params, 1).trimEnd();
}

describe('a request', () => {
  test('is an object of version 2.0 with a method, an id and named parameters', () => {
    const params = { vm: 'vm0', term: 1, epoch: 2 };
    const text = JSON.stringify({ jsonrpc: '2.0', id: 'x', method: 'checkpoint.commit', params });
    expect(decode(text)).toEqual({ request: { id: 'x', method: 'checkpoint.commit', params } });
  });

  test('without an id is a notification, and without parameters has none', () => {
    expect(decode('{"jsonrpc":"2.0","method":"status"}')).toEqual({
      request: { id: undefined, method: 'status', params: {} },
    });
  });

  test.each([0, -1, 1.5, 'a', '', null])('may have the id %j', (id) => {
    const text = JSON.stringify({ jsonrpc: '2.0', id, method: 'status' });
    expect(decode(text)).toMatchObject({ request: { id } });
  });
});

describe('what is no JSON ends the connection with -32700', () => {
  test.each([
    ['nothing', ''],
    ['a blank', ' '],
    ['half an object', '{"jsonrpc":"2.0"'],
    ['two objects', '{}{}'],
    ['no JSON at all', 'GET / HTTP/1.1'],
    ['an unfinished string', '"\\'],
    ['deep lists', '['.repeat(100_000)],
    ['deep lists that end', '['.repeat(33) + ']'.repeat(33)],
    ['deep objects', '{"a":'.repeat(100_000)],
    ['more values than anybody needs', `[${'1,'.repeat(300_000)}1]`],
  ])('%s', (_, text) => {
    expect(refusal(text)).toEqual({ rpc: -32700, code: 'parse-error', field: undefined, id: null, isFatal: true });
  });

  test('bytes that are no UTF-8', () => {
    for (const bytes of [[0xff], [0x22, 0xc3, 0x28, 0x22], [0xef, 0xbb, 0xbf, 0x7b, 0x7d]]) {
      expect(refusal(Uint8Array.from(bytes))).toMatchObject({ rpc: -32700, isFatal: true });
    }
  });

  test('a line that is longer than 8 MiB', () => {
    expect(refusal(new Uint8Array(MAX_LINE_BYTES + 1).fill(0x20))).toMatchObject({ rpc: -32700, isFatal: true });
    const longest = `"${'x'.repeat(MAX_LINE_BYTES - 2)}"`;
    expect(refusal(longest)).toMatchObject({ rpc: -32600, isFatal: false });
  });

  test('brackets in strings, and 32 levels, are no depth', () => {
    const text = JSON.stringify({ jsonrpc: '2.0', id: 1, method: '[[{"\\'.repeat(100) });
    expect(refusal(text)).toMatchObject({ rpc: -32601 });
    expect(refusal('['.repeat(32) + ']'.repeat(32))).toMatchObject({ rpc: -32600 });
  });
});

describe('what is JSON but no request is refused with -32600', () => {
  test.each([
    ['a number', '7', null],
    ['null', 'null', null],
    ['a batch', '[{"jsonrpc":"2.0","id":1,"method":"status"}]', null],
    ['an empty object', '{}', null],
    ['no version', '{"id":5,"method":"status"}', 5],
    ['another version', '{"jsonrpc":"1.0","id":5,"method":"status"}', 5],
    ['no method', '{"jsonrpc":"2.0","id":5}', 5],
    ['a method that is no string', '{"jsonrpc":"2.0","id":5,"method":7}', 5],
    ['an answer', '{"jsonrpc":"2.0","id":5,"result":{}}', 5],
    ['an id that is an object', '{"jsonrpc":"2.0","id":{},"method":"status"}', null],
    ['an id without end', `{"jsonrpc":"2.0","id":"${'x'.repeat(300)}","method":"status"}`, null],
    ['an id beyond numbers', '{"jsonrpc":"2.0","id":1e999,"method":"status"}', null],
  ])('%s', (_, text, id) => {
    expect(refusal(text)).toEqual({ rpc: -32600, code: 'invalid-request', field: undefined, id, isFatal: false });
  });
});

test.each(['nothing', 'constructor', '__proto__', 'toString', 'rules.lst', ''])(
  'the method %j is not found: -32601',
  (method) => {
    expect(refusal(request(method, {}))).toMatchObject({
      rpc: -32601,
      code: 'method-not-found',
      id: 1,
      isFatal: false,
    });
  },
);

describe('parameters', () => {
  const good = { vm: 'vm0', term: 1, epoch: 2 };

  test.each([
    ['a field that is missing', { vm: 'vm0', term: 1 }, 'epoch'],
    ['a field too many', { ...good, epochs: 3 }, 'epochs'],
    ['a name that objects have by themselves', { ...good, toString: 1 }, 'toString'],
    ['a string for a number', { ...good, epoch: '2' }, 'epoch'],
    ['a fraction', { ...good, epoch: 1.5 }, 'epoch'],
    ['a negative number', { ...good, term: -1 }, 'term'],
    ['a number beyond the safe ones', { ...good, epoch: 2 ** 53 }, 'epoch'],
    ['the last safe number, which has no next one', { ...good, epoch: Number.MAX_SAFE_INTEGER }, 'epoch'],
    ['null', { ...good, vm: null }, 'vm'],
    ['an empty name', { ...good, vm: '' }, 'vm'],
    ['a name without end', { ...good, vm: 'x'.repeat(65) }, 'vm'],
    ['a list', [1, 2], ''],
    ['a string', 'vm0', ''],
    ['null for all', null, ''],
  ])('that are wrong are refused with -32602 and the field: %s', (_, params, field) => {
    expect(refusal(request('checkpoint.commit', params))).toEqual({
      rpc: -32602,
      code: 'invalid-params',
      field,
      id: 1,
      isFatal: false,
    });
  });

  test('a field of JSON that is called __proto__ is a field that there is not', () => {
    const text = `{"jsonrpc":"2.0","id":1,"method":"status","params":{"__proto__":{"a":1}}}`;
    expect(refusal(text)).toMatchObject({ rpc: -32602, field: '__proto__' });
  });

  test('all that is wrong is told, up to a bound', () => {
    const decoded = decode(request('checkpoint.commit', { vm: 7, term: -1, extra: 0 }));
    expect('error' in decoded && decoded.error.errors).toEqual([
      { field: 'extra', message: 'there is no such field' },
      { field: 'vm', message: 'expected a string of 1 to 64 characters' },
      { field: 'term', message: 'expected an integer from 0 to 9007199254740990' },
      { field: 'epoch', message: 'is missing' },
    ]);
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`f${i}`, i]));
    const flooded = decode(request('status', many));
    expect('error' in flooded && flooded.error.errors).toHaveLength(20);
  });

  test.each([
    [
      'a nested field',
      'flow.declare',
      { vm: 'v', flow: { src: 'a', dst: 'b', protocol: 'xxx' }, timeoutMs: 1 },
      'flow.protocol',
    ],
    ['an element', 'set.add', { set: 's', elements: ['a', 7] }, 'elements[1]'],
    ['a list that is none', 'events.subscribe', { kinds: 'epoch' }, 'kinds'],
    ['a kind of event that there is not', 'events.subscribe', { kinds: ['epoch', 'rain'] }, 'kinds[1]'],
    ['one of two values', 'replication.start', { vm: 'v', holdFrom: 'later' }, 'holdFrom'],
    ['another protocol', 'hello', { client: 'c', protocol: 2 }, 'protocol'],
    ['a takeover of nothing', 'replication.takeover', { vm: 'v', term: 1, epoch: 0 }, 'epoch'],
  ])('%s is named by its path', (_, method, params, field) => {
    expect(refusal(request(method, params))).toMatchObject({ rpc: -32602, field });
  });

  test.each([
    ['flow.declare', { vm: 'v', flow: { src: 'a', dst: 'b', protocol: 132, vlanId: 4095 }, timeoutMs: 1 }],
    ['flow.declare', { vm: 'v', flow: { src: 'a', dst: 'b', protocol: 'tcp', srcPort: 0 }, class: 'c', timeoutMs: 1 }],
    ['replication.start', { vm: 'v', holdFrom: 'first-seal', leaseMs: 0 }],
    ['events.subscribe', { kinds: [] }],
  ])('that are right are taken: %s', (method, params) => {
    expect(decode(request(method, params))).toEqual({ request: { id: 1, method, params } });
  });
});

describe('answers', () => {
  test('are one line each', () => {
    expect(encodeResult(3, { a: 'x\ny' })).toBe('{"jsonrpc":"2.0","id":3,"result":{"a":"x\\ny"}}\n');
    const error = new RequestError(RPC.state, 'stale-term', 'no', 'term', [{ field: 'term', message: 'no' }]);
    expect(JSON.parse(encodeError(null, error))).toEqual({
      jsonrpc: '2.0',
      id: null,
      error: {
        code: -32000,
        message: 'no',
        data: { code: 'stale-term', field: 'term', errors: [{ field: 'term', message: 'no' }] },
      },
    });
  });
});

test('whatever bytes come, they are a request or a refusal', () => {
  const json = fc.json({ maxDepth: 4 });
  const almost = fc
    .record({
      jsonrpc: fc.constantFrom('2.0', '2.0', '2', 2),
      id: fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.constant({})),
      method: fc.oneof(fc.constantFrom(...Object.keys(PARAMS)), fc.string(), fc.integer()),
      params: fc.oneof(
        fc.jsonValue({ maxDepth: 3 }),
        fc.dictionary(fc.constantFrom('vm', 'term', 'epoch', 'flow', 'elements', 'kinds', 'x'), fc.jsonValue()),
      ),
    })
    .map((one) => JSON.stringify(one));
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.oneof(json, almost).map((text) => Uint8Array.from(Buffer.from(text))),
  );
  const codes: number[] = [-32700, -32600, -32601, -32602];
  fc.assert(
    fc.property(bytes, (line) => {
      const decoded = decodeRequest(line);
      if ('request' in decoded) expect(Object.keys(PARAMS)).toContain(decoded.request.method);
      else expect(codes).toContain(decoded.error.rpcCode);
    }),
    { numRuns: runs(1000), ...SEED },
  );
});

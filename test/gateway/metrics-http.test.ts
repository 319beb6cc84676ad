import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { healthProblems } from '../../gateway/health.ts';
import type { PortStatus } from '../../gateway/host/api.ts';
import { MetricsServer, type MetricsServerOptions } from '../../gateway/metrics-http.ts';
import { until } from '../support/host-rig.ts';
import { Scene } from '../support/rig.ts';

const servers: MetricsServer[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) await server.close();
});

async function serve(options: Partial<MetricsServerOptions> = {}): Promise<number> {
  const server = new MetricsServer({ metrics: () => 'a 1\n', health: () => [], ...options });
  servers.push(server);
  return (await server.listen('127.0.0.1', 0)).port;
}

interface Reply {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

function ask(port: number, path: string, method = 'GET', headers: Record<string, string> = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }));
    });
    asked.on('error', reject);
    asked.end();
  });
}

/** A client that sends whatever it likes. */
function raw(
  port: number,
  bytes = '',
  host = '127.0.0.1',
): { readonly socket: Socket; readonly received: () => string; readonly isClosed: () => boolean } {
  const socket = connect({ host, port, allowHalfOpen: true });
  sockets.push(socket);
  let received = '';
  let closed = false;
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    received += chunk;
  });
  socket.on('end', () => socket.end());
  socket.on('close', () => {
    closed = true;
  });
  socket.write(bytes);
  return { socket, received: () => received, isClosed: () => closed };
}

describe('/metrics', () => {
  test('answers with the text, as Prometheus wants it named', async () => {
    const port = await serve({ metrics: () => 'näme 1\n' });
    const { status, headers, body } = await ask(port, '/metrics?x=1');
    expect([status, body]).toEqual([200, 'näme 1\n']);
    expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(headers.connection).toBe('close');
  });

  test('HEAD has no body', async () => {
    const { status, headers, body } = await ask(await serve(), '/metrics', 'HEAD');
    expect([status, headers['content-length'], body]).toEqual([200, '4', '']);
  });

  test('what fails to be made is a status code, and the next one may be made', async () => {
    let fails = true;
    const port = await serve({
      metrics: () => {
        if (fails) throw new Error('out of order');
        return 'b 2\n';
      },
    });
    const failed = await ask(port, '/metrics');
    expect([failed.status, failed.body]).toEqual([500, 'out of order\n']);
    fails = false;
    expect((await ask(port, '/metrics')).body).toBe('b 2\n');
  });

  test('asked again and again, what is slow to make is not made each time', async () => {
    let made = 0;
    const port = await serve({
      metrics: () => {
        made++;
        const end = performance.now() + 100;
        while (performance.now() < end);
        return 'c 3\n';
      },
    });
    const began = performance.now();
    for (let i = 0; i < 20; i++) expect((await ask(port, '/metrics')).body).toBe('c 3\n');
    const spentMs = performance.now() - began;
    expect(made).toBeLessThanOrEqual(1 + Math.ceil(spentMs / 1000));
  });
});

describe('/healthz', () => {
  test('is ok when nothing is wrong', async () => {
    const port = await serve();
    const { status, headers, body } = await ask(port, '/healthz');
    expect([status, body, headers['content-type']]).toEqual([200, 'ok\n', 'text/plain; charset=utf-8']);
    const json = await ask(port, '/healthz', 'GET', { accept: 'application/json' });
    expect([json.status, JSON.parse(json.body), json.headers['content-type']]).toEqual([
      200,
      { ok: true, problems: [] },
      'application/json',
    ]);
  });

  test('is 503 with a line for everything that is wrong', async () => {
    const problems = ['vm0: inside port tap0 is down', 'vm1: something else'];
    const port = await serve({ health: () => problems });
    const { status, body } = await ask(port, '/healthz');
    expect([status, body]).toEqual([503, `${problems.join('\n')}\n`]);
    const json = await ask(port, '/healthz', 'GET', { accept: 'text/html, application/json;q=0.9' });
    expect([json.status, JSON.parse(json.body)]).toEqual([503, { ok: false, problems }]);
  });

  test('a link that is not up is wrong, and so is a lease that has lapsed, also while no frame comes', () => {
    const scene = new Scene({ replicated: true });
    const { vm, rig } = scene;
    const port = { vm: 'vm0', side: 'inside', name: 'tap0', link: 'up', trouble: null } as PortStatus;
    const problems = (...ports: PortStatus[]) =>
      healthProblems({ vms: new Map([['vm0', vm]]), clock: rig.clock, ports: () => ports });
    expect(problems(port)).toEqual([]);
    expect(problems({ ...port, link: 'down' })).toEqual(['vm0: inside port tap0 is down']);
    expect(problems({ ...port, link: 'absent', trouble: 'waiting for it' })).toEqual([
      'vm0: inside port tap0 is absent: waiting for it',
    ]);
    vm.start('now', 2e9);
    rig.clock.advanceTo(1.9e9);
    expect(problems(port)).toEqual([]);
    rig.clock.advanceTo(4.5e9);
    expect(problems(port)).toEqual([
      'vm0: the host has been silent for 4.5 s, longer than its lease: everything is held',
    ]);
    vm.stop(1, 'discard');
    expect(problems(port)).toEqual([]);
  });
});

describe('what else may be asked', () => {
  test.each([
    ['GET', '/', 404],
    ['GET', '/metrics/', 404],
    ['GET', '//metrics', 404],
    ['GET', '/%6detrics', 404],
    ['POST', '/nothing', 404],
    ['POST', '/metrics', 405],
    ['DELETE', '/healthz', 405],
    ['OPTIONS', '/healthz', 405],
  ])('%s %s: %i', async (method, path, status) => {
    const reply = await ask(await serve(), path, method);
    expect([reply.status, reply.headers.allow]).toEqual([status, status === 405 ? 'GET, HEAD' : undefined]);
  });

  test.each([
    ['garbage', '\0\x01\x02 garbage\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['headers without end', `GET /metrics HTTP/1.1\r\n${'a: b\r\n'.repeat(20_000)}`, /^(HTTP\/1\.1 (400|431) |$)/],
    [
      'a protocol switch',
      'GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
      /^HTTP\/1\.1 200 /,
    ],
    [
      'a wish to send a body',
      'POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n',
      /^HTTP\/1\.1 417 /,
    ],
    ['a tunnel', 'CONNECT example.org:80 HTTP/1.1\r\nHost: a\r\n\r\n', /^$/],
    [
      'two requests at once',
      'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2),
      /^HTTP\/1\.1 200 (?!.*HTTP\/1\.1 200)/s,
    ],
  ])('%s: that connection ends, the next one is answered', async (_, bytes, answer) => {
    const port = await serve();
    const client = raw(port, bytes);
    await until(() => client.isClosed());
    expect(client.received()).toMatch(answer);
    expect((await ask(port, '/healthz')).status).toBe(200);
  });
});

describe('clients that mean harm', () => {
  test('connections that say nothing are closed, and then others are answered again', async () => {
    const port = await serve();
    const clients = Array.from({ length: 100 }, () => raw(port));
    await until(() => clients.filter(({ isClosed }) => isClosed()).length >= 84);
    // The rest, after the time that a request has to come.
    await until(() => clients.every(({ isClosed }) => isClosed()));
    expect((await ask(port, '/metrics')).body).toBe('a 1\n');
  });

  test('headers that come a byte at a time do not come to their end', async () => {
    const port = await serve();
    const client = raw(port, 'GET /metrics HTTP/1.1\r\nHost: a\r\nX: ');
    const drip = setInterval(() => client.socket.write('a'), 50);
    try {
      await until(() => client.isClosed());
    } finally {
      clearInterval(drip);
    }
    expect(client.received()).not.toMatch(/ 200 /);
  });

  test('a client that does not read its answer loses its connection', async () => {
    let isAsked = false;
    const metrics = () => {
      isAsked = true;
      return 'x'.repeat(64 * 2 ** 20);
    };
    const client = raw(await serve({ metrics }), 'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n');
    client.socket.pause();
    // The server's timer runs by then: however late it is, it is not later than this one.
    await until(() => isAsked);
    await new Promise((resolve) => setTimeout(resolve, 5100));
    client.socket.resume();
    await until(() => client.isClosed());
    expect(client.received().length).toBeLessThan(64 * 2 ** 20);
  });
});

test('close ends every connection, and the address is free', async () => {
  // Of its own: connections of other programs take ports of 127.0.0.1 meanwhile.
  const host = '127.0.9.1';
  const server = new MetricsServer({ metrics: () => '', health: () => [] });
  servers.push(server);
  const { port } = await server.listen(host, 0);
  const client = raw(port, '', host);
  await until(() => client.socket.readyState === 'open');
  await server.close();
  await until(() => client.isClosed());
  const again = new MetricsServer({ metrics: () => '', health: () => [] });
  servers.push(again);
  expect(await again.listen(host, port)).toEqual({ host, port });
});

test('an address that is taken is an error with its code', async () => {
  const port = await serve();
  const second = new MetricsServer({ metrics: () => '', health: () => [] });
  await expect(second.listen('127.0.0.1', port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

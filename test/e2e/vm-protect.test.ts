/** What else may die around a VM in QEMU, and what its clients see of that with the default rules. */

import { createSocket } from 'node:dgram';
import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { allAnswered, answered, committed } from '../support/answers.ts';
import type { CountingClient } from '../support/counting-client.ts';
import { bootedGuest, noGuestReason, VM_GUEST } from '../support/guest.ts';
import { leaveNetns, noNetnsReason, until } from '../support/netns.ts';
import { Random } from '../support/random.ts';
import { holdfast } from '../support/run-cli.ts';
import { runs } from '../support/runs.ts';
import { VmScene } from '../support/vm-scene.ts';

const seed = Number(process.env.HOLDFAST_SEED ?? 1);
const MINUTE_MS = 60_000;
const PATIENCE_MS = 40_000;

let reason: string | null;
let booted: string;
let scene: VmScene;
let client: CountingClient | null;

beforeAll(async () => {
  reason = noNetnsReason('sysctl', 'ping') ?? noGuestReason();
  if (reason === null) booted = await bootedGuest();
}, 8 * MINUTE_MS);
beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  client = null;
});
afterEach(async () => {
  client?.close();
  await scene?.delete();
}, MINUTE_MS);

test(
  `a driver that is killed in the middle leaves a VM that its successor protects (seed ${seed})`,
  async () => {
    const random = new Random(seed);
    scene = new VmScene({ rules: 'hold-all', standbyFlags: ['--silence', '60s'] });
    await scene.start(booted);
    let driver = scene.protectByCommand();
    await committed(driver, 1);
    client = await scene.counting();
    client.start();
    for (let i = 0; i < runs(5); i++) {
      await answered(client!, 50);
      if (random.below(2) === 0) await scene.sealed();
      else await sleep(random.below(300));
      await driver.kill();
      driver = scene.protectByCommand();
      await committed(driver, 2);
      expect(driver.events).toContainEqual(expect.objectContaining({ event: 'term', term: 1, how: 'attached' }));
    }
    scene.killMachine();
    await scene.moved();
    expect(await driver.ended).toBe(1);
    await scene.startStandby();
    driver = scene.protectByCommand();
    await answered(client!, 200);
    await allAnswered(client!);
  },
  8 * MINUTE_MS,
);

test(
  'a gateway that is killed and started anew goes on with the term, and releases nothing that is not committed',
  async () => {
    scene = new VmScene({ rules: 'hold-all' });
    await scene.start(booted);
    scene.protect();
    await scene.commits(1);
    client = await scene.counting();
    client.start();
    const random = new Random(seed);
    for (let i = 0; i < runs(3); i++) {
      await answered(client!, 50);
      await sleep(random.below(300));
      await scene.gateway.kill();
      scene.gateway = scene.startGateway(0);
      await scene.gateway.says('ready');
      await scene.commits(2);
      expect(scene.driver!.status.term, 'the term is the same').toBe(1);
    }
    scene.killMachine();
    await scene.moved();
    await scene.startStandby();
    scene.protect();
    await answered(client!, 200);
    await allAnswered(client!);
  },
  4 * MINUTE_MS,
);

test(
  'a standby that dies leaves a VM whose frames wait, until there is another standby',
  async () => {
    scene = new VmScene({ rules: 'hold-all' });
    await scene.start(booted);
    scene.protect({ leaseMs: 1000, patienceMs: 4000 });
    await scene.commits(1);
    client = await scene.counting();
    client.start();
    await answered(client!, 100);
    await scene.standby.kill();
    await until(() => scene.driver!.status.state === 'degraded', 'the driver to notice', PATIENCE_MS);
    const before = client.answers;
    await sleep(1000);
    expect(client.answers, 'nothing leaves without a standby').toBe(before);
    expect(await scene.machineStatus()).toBe('running');
    await scene.startStandby();
    await scene.commits(1);
    await answered(client!, 100);
    scene.killMachine();
    await scene.moved();
    await scene.startStandby();
    scene.protect();
    await allAnswered(client!);
  },
  4 * MINUTE_MS,
);

test(
  'a machine that lives while its VM goes on elsewhere is fenced, and told so',
  async () => {
    scene = new VmScene({ rules: 'hold-all' });
    await scene.start(booted);
    const driver = scene.protectByCommand();
    await committed(driver, 1);
    client = await scene.counting();
    client.start();
    await answered(client!, 100);
    const { code, stderr } = await holdfast(['standby', 'failover', `unix:${scene.path('standby1')}`, '--json'], {
      timeoutMs: PATIENCE_MS,
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(await driver.ended).toBe(1);
    expect(driver.events).toContainEqual(expect.objectContaining({ event: 'state', state: 'fenced' }));
    expect(await scene.machineStatus()).toBe('paused');
    await scene.moved();
    await scene.startStandby();
    scene.protect();
    await answered(client!, 200);
    await allAnswered(client!);
  },
  4 * MINUTE_MS,
);

test(
  'a machine that is told to end is no failure',
  async () => {
    scene = new VmScene({ rules: 'hold-all' });
    await scene.start(booted);
    // QEMU may end without saying so while it is being copied.
    scene.protect({ pace: { kind: 'fixed', intervalMs: 10_000 } });
    await scene.commits(1);
    await sleep(500);
    scene.killMachine('SIGTERM');
    expect(await scene.outcome).toBe('ended');
    await scene.standby.says('"state":"ended"');
    expect(scene.standby.stdout).not.toContain('failing-over');
  },
  2 * MINUTE_MS,
);

/** @returns when each answer of `ask` came, until `isOver` */
async function ask(isOver: () => boolean, one: () => Promise<boolean>): Promise<number[]> {
  const times: number[] = [];
  while (!isOver()) {
    if (await one()) times.push(performance.now());
    await sleep(5);
  }
  return times;
}

function gapsAcross(times: readonly number[], kills: readonly number[]): number[] {
  return kills.map((at) => {
    const next = times.find((time) => time > at + 20) ?? Number.POSITIVE_INFINITY;
    const last = times.findLast((time) => time <= at + 20) ?? at;
    return Math.round(next - last);
  });
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}

test(
  'under the default rules HTTP with keep-alive, UDP requests and ping go on',
  async () => {
    scene = new VmScene({ rules: 'default' });
    await scene.start(booted);
    scene.protect({ pace: { kind: 'adaptive', leastMs: 25, mostMs: 500 } });
    await scene.commits(1);
    let isOver = false;
    const bodies: number[] = [];
    const problems: string[] = [];
    let connections = 0;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const http = ask(
      () => isOver,
      () =>
        new Promise((resolve) => {
          if (connections === 0) scene.network.enter();
          const request = get({ host: VM_GUEST.ip4, port: VM_GUEST.http, agent }, (response) => {
            let body = '';
            response.on('data', (text) => (body += text));
            response.on('end', () => {
              bodies.push(Number(body));
              resolve(true);
            });
          });
          request.on('socket', (socket) => {
            if (socket.listenerCount('connect') > 0 || connections === 0) connections++;
            setImmediate(leaveNetns);
          });
          request.on('error', (error) => {
            problems.push(error.message);
            resolve(false);
          });
        }),
    );
    await until(() => bodies.length > 0, 'the first answer by HTTP', PATIENCE_MS);
    scene.network.enter();
    const socket = createSocket('udp6');
    socket.bind(0);
    await new Promise((resolve) => socket.once('listening', resolve));
    leaveNetns();
    let udpAnswer: (() => void) | null = null;
    socket.on('message', () => udpAnswer?.());
    const udp = ask(
      () => isOver,
      () =>
        new Promise((resolve) => {
          const timer = setTimeout(() => resolve(false), 1500);
          udpAnswer = () => {
            clearTimeout(timer);
            resolve(true);
          };
          socket.send('request', VM_GUEST.datagrams, VM_GUEST.ip6);
        }),
    );
    const ping = scene.network.start('ping', '-i', '0.05', '-D', VM_GUEST.ip4);
    const kills: number[] = [];
    const wallKills: number[] = [];
    for (let i = 0; i < runs(5); i++) {
      const before = bodies.length;
      await until(() => bodies.length > before + 5, 'answers by HTTP', PATIENCE_MS);
      kills.push(performance.now());
      wallKills.push(Date.now());
      scene.killMachine();
      await scene.moved();
      await scene.startStandby();
      scene.protect({ pace: { kind: 'adaptive', leastMs: 25, mostMs: 500 } });
      await scene.commits(1);
    }
    const before = bodies.length;
    await until(() => bodies.length > before + 5, 'answers by HTTP', PATIENCE_MS);
    isOver = true;
    const [httpTimes, udpTimes] = await Promise.all([http, udp]);
    socket.close();
    agent.destroy();
    const pingTimes = [...(await ping.stop()).matchAll(/\[(\d+\.\d+)\].*time=/g)].map(([, at]) => Number(at) * 1000);
    expect(problems).toEqual([]);
    expect(bodies.every((number, i) => i === 0 || number > bodies[i - 1]!)).toBe(true);
    for (const [name, gaps] of [
      ['HTTP', gapsAcross(httpTimes, kills)],
      ['UDP', gapsAcross(udpTimes, kills)],
      ['ping', gapsAcross(pingTimes, wallKills)],
    ] as const) {
      expect(gaps.every(Number.isFinite), `${name} goes on: ${gaps.join(', ')} ms`).toBe(true);
      console.log(
        `${name}: gap p50 ${percentile(gaps, 0.5)} ms, p99 ${percentile(gaps, 0.99)} ms (${gaps.join(', ')})`,
      );
    }
  },
  8 * MINUTE_MS,
);

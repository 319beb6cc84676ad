import { readdirSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { SystemdNotifier } from '../../gateway/systemd.ts';
import { DatagramReceiver } from '../support/datagrams.ts';
import { until } from '../support/host-rig.ts';
import { temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();
const toClose: { close(): void }[] = [];
let made = 0;
afterEach(() => {
  for (const one of toClose.splice(0)) one.close();
});

function receiver(name = folder.path(`notify-${made++}`)): { name: string; socket: DatagramReceiver } {
  const socket = new DatagramReceiver(name);
  toClose.push(socket);
  return { name, socket };
}

function notifier(env: NodeJS.ProcessEnv): SystemdNotifier {
  const made = SystemdNotifier.fromEnvironment(env);
  if (made === null) throw new Error('nobody asked to be told');
  toClose.push(made);
  return made;
}

/** Keeps the event loop from turning. */
function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

const fds = () => readdirSync('/proc/self/fd').length;

describe.skipIf(process.platform !== 'linux')('systemd is told', () => {
  test.each(['a path', 'an abstract name'])('that frames flow, how it is, and the end: %s', (kind) => {
    const { name, socket } = receiver(kind === 'a path' ? undefined : `@holdfast-test-${process.pid}`);
    const systemd = notifier({ NOTIFY_SOCKET: name });
    systemd.ready('2 VMs, ä');
    systemd.status('one\nREADY=0');
    systemd.stopping();
    expect(socket.take()).toEqual(['READY=1\nSTATUS=2 VMs, ä', 'STATUS=one READY=0', 'STOPPING=1']);
  });

  test('what is longer than a message may be is cut, not refused', () => {
    const { name, socket } = receiver();
    notifier({ NOTIFY_SOCKET: name }).status('x'.repeat(10_000));
    expect(socket.take()).toEqual([`STATUS=${'x'.repeat(4096 - 'STATUS='.length)}`]);
  });

  test('nothing, where nobody asked', () => {
    for (const NOTIFY_SOCKET of [undefined, '', 'relative', '/', 'vsock:2:1', `/${'x'.repeat(200)}`]) {
      const env: NodeJS.ProcessEnv = NOTIFY_SOCKET === undefined ? {} : { NOTIFY_SOCKET };
      expect(SystemdNotifier.fromEnvironment(env)).toBe(null);
    }
  });

  test('nothing by programs that this one starts', () => {
    const env = { NOTIFY_SOCKET: receiver().name, WATCHDOG_USEC: '1000000', WATCHDOG_PID: '1', PATH: '/bin' };
    notifier(env);
    expect(env).toEqual({ PATH: '/bin' });
  });

  test('and nothing breaks when it is gone, or does not read', async () => {
    const systemd = notifier({ NOTIFY_SOCKET: folder.path('nobody') });
    systemd.ready('');
    systemd.stopping();
    const { name, socket } = receiver();
    const flooding = notifier({ NOTIFY_SOCKET: name });
    for (let i = 0; i < 1000; i++) flooding.status(String(i));
    flooding.ready('after all');
    const before = socket.take();
    expect(before.length).toBeLessThan(1000);
    expect(before).not.toContain('READY=1\nSTATUS=after all');
    // Only this one has to arrive, and does once there is room.
    const later: string[] = [];
    await until(() => later.push(...socket.take()) > 0);
    expect(later).toEqual(['READY=1\nSTATUS=after all']);
  });

  test('the socket is closed in the end, and nothing more is said', () => {
    const { name, socket } = receiver();
    const before = fds();
    const systemd = SystemdNotifier.fromEnvironment({ NOTIFY_SOCKET: name })!;
    expect(fds()).toBe(before + 1);
    systemd.close();
    systemd.close();
    expect(fds()).toBe(before);
    systemd.status('too late');
    expect(socket.take()).toEqual([]);
  });
});

describe.skipIf(process.platform !== 'linux')('the watchdog', () => {
  const WATCHDOG_USEC = '100000';

  test('is fed from when frames flow, at half of its time', async () => {
    const { name, socket } = receiver();
    const systemd = notifier({ NOTIFY_SOCKET: name, WATCHDOG_USEC, WATCHDOG_PID: String(process.pid) });
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(socket.take()).toEqual([]);
    const began = performance.now();
    systemd.ready('');
    const messages: string[] = [];
    await until(() => {
      messages.push(...socket.take());
      return messages.filter((message) => message === 'WATCHDOG=1').length >= 5;
    });
    expect(messages[0]).toMatch(/^READY=1/);
    // One at once, then four of 50 ms: a busy machine may take longer, none less.
    expect(performance.now() - began).toBeGreaterThan(190);
  });

  test('is not fed while the event loop does not turn', async () => {
    const { name, socket } = receiver();
    notifier({ NOTIFY_SOCKET: name, WATCHDOG_USEC }).ready('');
    socket.take();
    block(300);
    expect(socket.take()).toEqual([]);
    await until(() => socket.take().includes('WATCHDOG=1'));
  });

  test.each([
    ['another process is meant', { WATCHDOG_USEC, WATCHDOG_PID: '1' }],
    ['its time is none', { WATCHDOG_USEC: '0' }],
    ['its time is no number', { WATCHDOG_USEC: '1e3' }],
    ['nobody asked for it', {}],
  ])('is not fed where %s', async (_, env) => {
    const { name, socket } = receiver();
    notifier({ NOTIFY_SOCKET: name, ...env }).ready('x');
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(socket.take()).toEqual(['READY=1\nSTATUS=x']);
  });
});

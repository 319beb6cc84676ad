/** A gateway that is stopped, as its whole machine may be, while a word of its host is on the way. */
import { spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { HostClient } from '../../gateway/host/client.ts';
import { frame } from '../../pcaps/build.ts';
import { CliProcess } from '../support/cli-process.ts';
import { until } from '../support/netns.ts';
import { HOLDFAST, temporaryFolder } from '../support/run-cli.ts';

const files = temporaryFolder();
const LEASE_MS = 1000;
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A data frame, as a stream has them. */
function data(): Buffer {
  const bytes = frame().eth({}).ip4({}).udp(1, 2).payload('data').build();
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function peer(name: string): Socket {
  const socket = connect(files.path(name)).on('error', () => {});
  closing.push(() => socket.destroy());
  return socket.resume();
}

it('does not take a word that was sent before for a sign of life: its lease has lapsed', async () => {
  const ports = ['inside', 'outside'].flatMap((name) => [`--${name}`, `stream-listen:unix:${files.path(name)}`]);
  const control = files.path('control');
  const rules = files.write('all.rules', 'outbound { default pass }\n');
  const paths = ['--rules', rules, '--control', control, '--state', files.path('state')];
  const gateway = new CliProcess(
    spawn(process.execPath, [HOLDFAST, 'run', ...ports, ...paths, '--log-level', 'error']),
  );
  closing.push(() => gateway.kill());
  await gateway.says('ready');
  const host = new HostClient({ path: control, client: 'test', timeoutMs: 60_000 });
  closing.push(() => host.close());
  const guest = peer('inside');
  const network = peer('outside');
  const counters = async () => (await host.call('status', {})).vms[0]!.counters;
  const held = async () => (await counters()).held;
  const vm = host.vm('vm0');
  await vm.start({ leaseMs: LEASE_MS });
  let arrived = 0;
  network.on('data', (bytes) => (arrived += bytes.length));
  await until(() => guest.readyState === 'open' && network.readyState === 'open', 'the links');
  // As often as it takes: on a busy computer a lease may lapse in between.
  let sent = 0;
  while (arrived === 0) {
    await vm.resume();
    guest.write(data());
    sent++;
    await sleep(5);
  }
  // None of them is in the gateway's hands when it is stopped.
  let before = await counters();
  while (before.outbound < sent || arrived < before.passed * data().length) {
    await sleep(5);
    before = await counters();
  }

  const heldBefore = before.held;
  gateway.child.kill('SIGSTOP');
  const late = vm.resume();
  await sleep(1.5 * LEASE_MS);
  expect(await Promise.race([late.then(() => 'answered'), sleep(0, 'silent')])).toBe('silent');
  arrived = 0;
  gateway.child.kill('SIGCONT');
  await late;
  guest.write(data());
  await until(() => guest.writableLength === 0, 'the frame to be sent');
  const deadline = performance.now() + 60_000;
  while ((await held()) === heldBefore && arrived === 0 && performance.now() < deadline) await sleep(5);
  expect(await held()).toBeGreaterThan(heldBefore);
  expect(arrived).toBe(0);

  // What is sent now counts; the frame waits for its epoch, and others of its flow behind it.
  await vm.seal();
  await vm.commit(1);
  await until(() => arrived > 0, 'the release');
});

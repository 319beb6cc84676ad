/**
 * A VM dies while one watches: `make demo`, or npx tsx test/demo/vm.ts. Needs QEMU, and no root: the network is QEMU's own (slirp), and
 * the client is this process. The guest's kernel is fetched once, after asking; DEMO_VM=1 says yes.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { CountingClient } from '../support/counting-client.ts';
import { bootedGuest, guestCommand, hasGuest, NO_CONSOLE, noGuestReason, VM_GUEST } from '../support/guest.ts';
import { until } from '../support/netns.ts';
import { Random } from '../support/random.ts';
import { HOLDFAST } from '../support/run-cli.ts';

const NUMBER_OF_KILLS = 2;
const WAIT_MS = 60_000;
const PORT = 20_000 + (process.pid % 10_000);

const folder = mkdtempSync(join(tmpdir(), 'holdfast-demo-'));
const children: ChildProcess[] = [];
const startedAt = performance.now();

function say(text: string): void {
  console.log(`${((performance.now() - startedAt) / 1000).toFixed(2).padStart(7)} s  ${text}`);
}

const path = (name: string) => join(folder, name);

class Started {
  output = '';
  readonly child: ChildProcess;

  constructor(program: string, parameters: readonly string[]) {
    this.child = spawn(program, parameters, { stdio: ['ignore', 'pipe', 'pipe'] });
    children.push(this.child);
    this.child.stdout!.on('data', (text) => (this.output += text));
    this.child.stderr!.on('data', (text) => (this.output += text));
  }

  async says(text: string): Promise<void> {
    await until(() => this.output.includes(text) || this.child.exitCode !== null, text, WAIT_MS);
    if (!this.output.includes(text)) throw new Error(`it ended: ${this.output}`);
  }

  events(): Record<string, unknown>[] {
    const lines = this.output.split('\n').slice(0, -1);
    return lines.filter((line) => line.startsWith('{"event"')).map((line) => JSON.parse(line));
  }
}

const holdfast = (...parameters: readonly string[]) => new Started(process.execPath, [HOLDFAST, ...parameters]);

function standbyIn(place: number): Started {
  return holdfast(
    ...['standby', '--json', '--listen', `unix:${path(`standby${place}`)}`, '--images', path(`images${place}`)],
    ...['--control', path('control'), '--inside', `stream-connect:unix:${path(`wire${place}`)}`],
    ...['--qmp', path(`qmp${place}`), '--', ...guestCommand(path(`wire${place}`)), ...NO_CONSOLE],
  );
}

function driverOf(place: number): Started {
  return holdfast(
    ...['protect', '--json', '--interval', '50ms', '--control', path('control'), '--qmp', path(`qmp${place}`)],
    ...['--standby', `unix:${path(`standby${place + 1}`)}`, '--patience', '10s'],
  );
}

/** The epochs around the end of a machine. */
function tellEpochs(driver: Started): void {
  for (const one of driver.events().slice(-6)) {
    if (one.event === 'sealed') say(`  epoch ${one.epoch} sealed: ${one.heldFrames} frames wait for it`);
    if (one.event === 'committed') {
      say(
        `  epoch ${one.epoch} committed: paused ${one.pauseMs} ms, ${Math.round(Number(one.bytes) / 1e6)} MB, frames leave`,
      );
    }
    if (one.event === 'state') say(`  the driver: ${one.state}: ${one.why}`);
  }
}

async function demo(): Promise<void> {
  say('a Linux guest of 128 MB in QEMU, in which a program counts requests; booting it takes a while, once');
  const booted = await bootedGuest();
  const [program, ...parameters] = guestCommand(path('wire0'));
  const qmp = ['-qmp', `unix:${path('qmp0')},server=on,wait=off`, '-incoming', `exec:exec cat ${booted}`];
  let machinePid = new Started(program!, [...parameters, ...NO_CONSOLE, ...qmp]).child.pid!;
  new Started(program!, [
    ...['-machine', 'none', '-nodefaults', '-display', 'none'],
    ...[
      '-netdev',
      `user,id=net,net=10.77.0.0/24,host=10.77.0.2,hostfwd=tcp:127.0.0.1:${PORT}-${VM_GUEST.ip4}:${VM_GUEST.lines}`,
    ],
    ...['-netdev', `stream,id=wire,server=on,addr.type=unix,addr.path=${path('network')}`],
    ...['-netdev', 'hubport,id=a,hubid=0,netdev=net', '-netdev', 'hubport,id=b,hubid=0,netdev=wire'],
  ]);
  await sleep(500);
  const gateway = holdfast(
    ...['run', '--replicated', '--rules', 'hold-all', '--control', path('control')],
    ...['--inside', `stream-connect:unix:${path('wire0')}`, '--outside', `stream-connect:unix:${path('network')}`],
  );
  await gateway.says('ready');
  say('the gateway is ready: every frame of the VM waits for the checkpoint that contains its cause');
  let standby = standbyIn(1);
  await standby.says('ready');
  let driver = driverOf(0);
  await driver.says('"committed"');
  say('the VM is protected: it is copied to its standby again and again');
  const client = await CountingClient.connect(
    '127.0.0.1',
    PORT,
    () => {},
    () => {},
  );
  client.start();
  await until(() => client.answers > 500, 'answers', WAIT_MS);
  say(`one TCP connection, 1000 requests a second: ${client.answers} answers so far, each number once`);
  const dice = new Random(Date.now());
  for (let place = 0; place < NUMBER_OF_KILLS; place++) {
    await sleep(300 + dice.below(500));
    const before = client.answers;
    process.kill(machinePid, 'SIGKILL');
    const killedAt = performance.now();
    say(`SIGKILL to the VM's machine, process ${machinePid}; the client had ${before} answers`);
    await standby.says('"event":"failover"');
    tellEpochs(driver);
    const { epoch, runningMs, discardedFrames } = standby.events().find(({ event }) => event === 'failover')!;
    say(
      `the VM goes on at its standby from epoch ${epoch}, ${runningMs} ms later; ${discardedFrames} frames never left and never will`,
    );
    machinePid = await pidOf(place + 1);
    standby = standbyIn(place + 2);
    await standby.says('ready');
    driver = driverOf(place + 1);
    await until(() => client.violation !== null || client.answers > before + 500, 'answers', WAIT_MS);
    const gap = Math.round(client.gapSince(killedAt));
    say(
      `protected again; the client has ${client.answers} answers, and waited ${gap} ms, a new standby's start included`,
    );
  }
  client.pause();
  await until(() => client.violation !== null || client.answers === client.sent, 'the last answers', WAIT_MS);
  say(
    client.violation === null
      ? `${client.sent} requests, ${client.answers} answers, each number exactly once, in order`
      : client.violation,
  );
  client.close();
  process.kill(machinePid, 'SIGKILL');
  if (client.violation !== null) process.exitCode = 1;
}

async function pidOf(place: number): Promise<number> {
  const asked = holdfast('standby', 'status', `unix:${path(`standby${place}`)}`, '--json');
  await asked.says('"pid"');
  return JSON.parse(asked.output).pid;
}

async function isWanted(): Promise<boolean> {
  if (process.env.DEMO_VM === '1') return true;
  if (!process.stdin.isTTY) {
    console.log('A VM that dies while one watches: DEMO_VM=1 make demo');
    return false;
  }
  const what = hasGuest()
    ? ''
    : ' It fetches a kernel image package of Debian, 26 MB, into a folder for temporary files.';
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(`Show a VM that dies, for half a minute?${what} [y/N] `);
  terminal.close();
  return answer.trim().toLowerCase().startsWith('y');
}

if (await isWanted()) {
  const reason = noGuestReason();
  if (reason !== null) console.log(`no VM is shown: ${reason}`);
  else {
    try {
      await demo();
    } finally {
      for (const child of children) child.kill('SIGTERM');
      await Promise.all(
        children.map((child) => child.exitCode ?? child.signalCode ?? new Promise((end) => child.once('exit', end))),
      );
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

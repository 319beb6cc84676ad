/** What clients of a VM in QEMU see of its machine's death, by protocol: HTTP, UDP, ping and SIP, over IPv4 and IPv6, in a VLAN and without. */
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { AnswerHistory } from '../support/answer-history.ts';
import { VM_GUEST } from '../support/guest.ts';
import { type Program, until } from '../support/netns.ts';
import { Random } from '../support/random.ts';
import { runs } from '../support/runs.ts';
import { type Family, HttpClient, PingClient, type ServiceClient, UdpClient } from '../support/service-clients.ts';
import { SipCaller, type SipRun } from '../support/sip-caller.ts';
import { addVlanTap } from '../support/vlan-tap.ts';
import type { VmScene } from '../support/vm-scene.ts';
import { VmTest } from '../support/vm-test.ts';

const seed = Number(process.env.HOLDFAST_SEED ?? 1);
const MINUTE_MS = 60_000;
const PATIENCE_MS = 60_000;
/** Answers that each client waits for before and after a failover. */
const SOME = 5;
const VLAN = 7;
const FAMILIES: readonly Family[] = ['ip4', 'ip6'];
/** The client's. */
const ADDRESSES = { ip4: '10.77.0.2', ip6: 'fd77::2' } as const;
const PACE = { kind: 'adaptive', leastMs: 25, mostMs: 500 } as const;

/** Method, CSeq and Number of each answer: the guest has answered each request once, and knows of all before. */
const WHOLE_CALL = ['INVITE 1 1', ...Array.from({ length: 10 }, (_, n) => `INFO ${n + 2} ${n + 2}`), 'BYE 12 12'];

/** The first ones have each of everything; HOLDFAST_RUNS=2 takes all. */
const COMBINATIONS = [
  { rules: 'default', vlan: null },
  { rules: 'hold-all', vlan: VLAN },
  { rules: 'hold-all', vlan: null },
  { rules: 'default', vlan: VLAN },
] as const;

/** Of the frames of TCP those that begin or end a connection. */
const TURNING_POINTS = 'tcp[tcpflags] & (tcp-syn | tcp-fin | tcp-rst) != 0 or (ip6 proto 6 and ip6[53] & 7 != 0)';

const vm = new VmTest('ping', 'sipp', 'gcc', 'tcpdump');
let history: AnswerHistory;
let clients: ServiceClient[];
/** What a client's trouble was shows in the connections' ends, as they passed, and in what the others were told meanwhile. */
let connections: Program | null;

beforeEach(() => {
  clients = [];
  connections = null;
  history = new AnswerHistory();
});

/** A VM under these rules, that is protected, and clients who ask it. */
async function start(rules: string, vlan: number | null): Promise<VmScene> {
  const scene = await vm.started({ rules }, vlan);
  const { network } = scene;
  if (vlan !== null) {
    await addVlanTap(network, 'br0', 'vlan0', vlan, scene.folder);
    network.run('sysctl', '-qw', 'net.ipv6.conf.vlan0.disable_ipv6=0');
    for (const family of ['-4', '-6']) network.run('ip', family, 'addr', 'flush', 'dev', 'br0');
    network.run('ip', 'addr', 'add', `${ADDRESSES.ip4}/24`, 'dev', 'vlan0');
    network.run('ip', '-6', 'addr', 'add', `${ADDRESSES.ip6}/64`, 'dev', 'vlan0', 'nodad');
    for (const family of FAMILIES) {
      network.run('ip', 'neigh', 'add', VM_GUEST[family], 'lladdr', VM_GUEST.mac, 'nud', 'permanent', 'dev', 'vlan0');
    }
  }
  await protect(scene);
  const device = vlan === null ? 'br0' : 'vlan0';
  connections = network.start('tcpdump', '-l', '-n', '-i', device, TURNING_POINTS);
  await connections.says('listening', PATIENCE_MS);
  for (const family of FAMILIES) {
    clients.push(new HttpClient(network, family, history));
    clients.push(await UdpClient.open(network, family, history));
    clients.push(new PingClient(network, family, rules === 'hold-all'));
  }
  return scene;
}

async function protect(scene: VmScene): Promise<void> {
  scene.protect({ pace: PACE });
  await scene.commits(1);
}

/** Each client gets some more answers. */
async function moreAnswers(): Promise<void> {
  const wanted = clients.map((client) => client.times().length + SOME);
  for (const [i, client] of clients.entries()) {
    const isThere = () => client.times().length >= wanted[i]! || client.problems.length > 0;
    await until(isThere, `answers to ${client.name}`, PATIENCE_MS);
  }
}

/** Both callers are in the middle of a call. One that was over before the other had begun is made again. */
async function inCalls(callers: readonly SipCaller[]): Promise<SipRun[]> {
  for (;;) {
    const calls = callers.map((caller) => caller.call());
    await until(() => calls.every(({ lines }) => lines.length > 2), 'both calls to begin', PATIENCE_MS);
    if (calls.every(({ lines }) => lines.every((line) => !line.startsWith('BYE')))) return calls;
    await Promise.all(calls.map((call) => call.done()));
  }
}

/** @param lines of a call @returns the longest time between two of its answers, ms */
function longestGap(lines: readonly string[]): number {
  const times = lines.map((line) => Number(line.slice(line.lastIndexOf(' '))));
  return Math.max(...times.slice(1).map((time, i) => time - times[i]!));
}

/** From the last answer before each death to the first one after. */
function gapsAcross(times: readonly number[], deaths: readonly number[]): number[] {
  return deaths.map((at) => {
    const next = times.find((time) => time > at) ?? Number.POSITIVE_INFINITY;
    return Math.round(next - (times.findLast((time) => time <= at) ?? at));
  });
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}

function expectNoProblems(): void {
  const troubles = clients.flatMap(({ name, problems }) => problems.map((problem) => `${name}: ${problem}`));
  const told = { troubles, violation: history.violation };
  expect(told, connections?.output).toEqual({ troubles: [], violation: null });
}

test.each(COMBINATIONS.slice(0, runs(2)).map((one) => ({ ...one, where: one.vlan === null ? 'no VLAN' : 'a VLAN' })))(
  `under $rules, in $where, every client goes on and none sees the guest go back (seed ${seed})`,
  async ({ rules, vlan }) => {
    const random = new Random(seed);
    const scene = await start(rules, vlan);
    const callers = FAMILIES.map((family) => new SipCaller(scene.network, family, ADDRESSES[family], scene.folder));
    const contacts = await Promise.all(callers.map((caller) => caller.register()));
    const deaths: number[] = [];
    const sipGaps: number[] = [];
    await moreAnswers();
    for (let i = 0; i < runs(3); i++) {
      const calls = await inCalls(callers);
      await sleep(random.below(300));
      const before = calls.map((call) => call.lines.length);
      deaths.push(performance.now());
      scene.killMachine();
      await scene.moved();
      await scene.startStandby();
      await protect(scene);
      await moreAnswers();
      for (const [c, call] of calls.entries()) {
        const lines = await call.done();
        const answers = lines.map((line) => line.slice(0, line.lastIndexOf(' ')));
        expect(answers, `the call over ${FAMILIES[c]}, ${before[c]} answers before failover ${i + 1}`).toEqual(
          WHOLE_CALL,
        );
        sipGaps.push(longestGap(lines));
      }
      expect(await Promise.all(callers.map((caller) => caller.registered()))).toEqual(contacts);
      expectNoProblems();
    }
    await Promise.all(clients.map((client) => client.stop()));
    expectNoProblems();
    const gaps = new Map([['SIP', sipGaps]]);
    for (const client of clients) {
      const [service] = client.name.split(' ') as [string];
      gaps.set(service, [...(gaps.get(service) ?? []), ...gapsAcross(client.times(), deaths)]);
    }
    const where = vlan === null ? 'no VLAN' : 'a VLAN';
    for (const [service, all] of gaps) {
      expect(all.every(Number.isFinite), `${service} goes on: ${all.join(', ')} ms`).toBe(true);
      const shares = `p50 ${percentile(all, 0.5)} ms, p99 ${percentile(all, 0.99)} ms`;
      console.log(`${rules}, ${where}: ${service}: client gap ${shares} (${all.join(', ')})`);
    }
    console.log(`${rules}, ${where}: ${history.untold} answers were lost, none was told twice`);
  },
  (5 + runs(3)) * MINUTE_MS,
);

test(
  'control: where nothing is held, two clients are told the same number',
  async () => {
    const scene = await vm.started({ rules: 'outbound { default pass }' });
    clients = [
      await UdpClient.open(scene.network, 'ip4', history),
      await UdpClient.open(scene.network, 'ip6', history),
    ];
    for (let i = 0; i < 10 && history.violation === null; i++) {
      await protect(scene);
      await moreAnswers();
      await scene.says('committed');
      // What is asked and answered now is in no checkpoint.
      await sleep(50);
      scene.killMachine();
      await scene.moved();
      await scene.startStandby();
      await moreAnswers();
    }
    await Promise.all(clients.map((client) => client.stop()));
    expect(history.violation).toContain('told');
    console.log(`nothing held: ${history.violation}`);
  },
  5 * MINUTE_MS,
);

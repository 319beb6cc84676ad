import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VirtualClock } from '../../gateway/clock.ts';
import { addElements } from '../../gateway/host/methods-set.ts';
import { RuleCompiler } from '../../gateway/live-rules/compiler.ts';
import { LiveRules } from '../../gateway/live-rules/live-rules.ts';
import { DEFAULT_LIMITS } from '../../gateway/occupancy.ts';
import { Vm } from '../../gateway/vm.ts';
import { shippedRulesPath } from '../../rules/load.ts';
import { generationOfText } from '../support/replay-frames.ts';
import type { Reporter } from './figures.ts';
import { BenchPort, tcpFrames } from './ports.ts';

const FRAME_BYTES = 64;
const FLOWS = 512;
const BATCH = 64;
/** Batches that one turn of the event loop forwards, as a live port's reader does. */
const BATCHES = 4;
const EDITS = 300;
const EDITS_OF_MANY = 5;
const ENTRIES = 100_000;
const ADDED_AT_ONCE = 1000;
const ADDS_PER_SECOND = 10_000;
const SETS_MS = 2000;
const ME = { who: 'bench', what: 'an edit' };

/** Rules that are edited while frames are forwarded in the same process: what that costs, and for how long nothing moves. */
export async function rulesBench(report: Reporter): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  const compiler = new RuleCompiler();
  try {
    const ordinary = readFileSync(shippedRulesPath('default'), 'utf8');
    await edits(report, folder, compiler, 'the default rules', ordinary, EDITS);
    for (const count of [1000, 10_000]) {
      await edits(report, folder, compiler, `${count} rules`, manyRules(count), EDITS_OF_MANY);
    }
    await sets(report);
  } finally {
    await compiler.close();
    rmSync(folder, { recursive: true });
  }
}

function manyRules(count: number): string {
  const rule = (i: number) => `  ip saddr 10.${i >> 8}.${i & 255}.1 udp dport ${1000 + i} class data`;
  const rules = Array.from({ length: count }, (_, i) => rule(i)).join('\n');
  return `class data pass\nclass control hold\noutbound {\n${rules}\n  default class control\n}\n`;
}

async function edits(
  report: Reporter,
  folder: string,
  compiler: RuleCompiler,
  name: string,
  text: string,
  count: number,
): Promise<void> {
  const path = join(folder, 'vm.rules');
  writeFileSync(path, text);
  const log = { info: () => {}, warn: console.error, error: console.error };
  const historyPath = join(folder, `${count} ${name}`);
  const rules = await LiveRules.open({ vm: 'vm0', path, historyPath, compiler, log });
  const inside = new BenchPort('inside', tcpFrames(FRAME_BYTES, FLOWS));
  const vm = new Vm(inside, new BenchPort('outside', []), rules.generation, new VirtualClock(), {
    slotBytes: FRAME_BYTES,
    limits: DEFAULT_LIMITS,
    batchFrames: BATCH,
  });
  rules.attach(vm);
  const edit = async () => {
    for (let i = 0; i < count; i++) {
      const [first] = rules.generation.ruleSet.outbound;
      const rule = `udp dport ${20_000 + i} class data`;
      // The first rule is the shipped set's own before the first edit, and the one of the edit before after it.
      if (first!.text.startsWith('udp dport 2')) await rules.edit({ kind: 'replace', handle: first!.handle, rule }, ME);
      else await rules.edit({ kind: 'insert', rule }, ME);
    }
  };
  await forwarding(vm, inside, edit());
  const idle = await forwarding(vm, inside, new Promise((resolve) => setTimeout(resolve, 2000)));
  const edited = await forwarding(vm, inside, edit());
  await rules.close();
  report.figure({
    metric: `frames forwarded while rules are edited without a pause, ${name}`,
    value: edited.perSecond,
    unit: 'frames/s',
    baseline: { name: 'no edits', value: idle.perSecond },
  });
  report.figure({ metric: `edits a second, ${name}`, value: count / edited.seconds, unit: 'edits/s' });
  report.figure({
    metric: `longest time in which no frame moved, ${name}`,
    value: edited.longestMs,
    unit: 'ms',
    baseline: { name: 'no edits', value: idle.longestMs },
  });
}

/** Forwards as fast as it goes until `work` is done. */
async function forwarding(vm: Vm, inside: BenchPort, work: Promise<unknown>) {
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  const before = vm.counters.get('outbound');
  const start = performance.now();
  let last = start;
  let longestMs = 0;
  while (!isDone) {
    inside.waiting = BATCHES * BATCH;
    while (vm.turn() > 0);
    const now = performance.now();
    longestMs = Math.max(longestMs, now - last);
    last = now;
    await new Promise((resolve) => setImmediate(resolve));
  }
  await done;
  const seconds = (performance.now() - start) / 1000;
  return { perSecond: (vm.counters.get('outbound') - before) / seconds, seconds, longestMs };
}

/** Media ports that an application adds one by one, while a set of a hundred thousand is asked for every frame. */
async function sets(report: Reporter): Promise<void> {
  const text = `class data pass
set media { type ipv4_addr . inet_service; flags timeout; timeout 1h; size ${2 * ENTRIES} }
outbound {
  ip saddr . tcp sport @media class data
  default hold
}`;
  const inside = new BenchPort('inside', tcpFrames(FRAME_BYTES, FLOWS));
  const clock = new VirtualClock();
  const vm = new Vm(inside, new BenchPort('outside', []), generationOfText(text), clock, {
    slotBytes: FRAME_BYTES,
    limits: DEFAULT_LIMITS,
    batchFrames: BATCH,
  });
  const element = (i: number) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255} . ${1024 + (i % 60_000)}`;
  const start = performance.now();
  for (let i = 0; i < ENTRIES; i += ADDED_AT_ONCE) {
    const texts = Array.from({ length: ADDED_AT_ONCE }, (_, k) => element(i + k));
    addElements(vm, 'media', texts, null, clock.nowNs());
  }
  const fillSeconds = (performance.now() - start) / 1000;
  report.figure({
    metric: `elements added a second, up to ${ENTRIES}`,
    value: ENTRIES / fillSeconds,
    unit: 'elements/s',
  });
  const pause = () => new Promise((resolve) => setTimeout(resolve, SETS_MS));
  await forwarding(vm, inside, pause());
  const idle = await forwarding(vm, inside, pause());
  let added = 0;
  const adding = async () => {
    const begin = performance.now();
    while (performance.now() - begin < SETS_MS) {
      const due = ((performance.now() - begin) / 1000) * ADDS_PER_SECOND;
      // One a request, as an application does it; added again an element's time begins anew.
      while (added < due) addElements(vm, 'media', [element(added++ % ENTRIES)], null, clock.nowNs());
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const busy = await forwarding(vm, inside, adding());
  report.figure({
    metric: `frames forwarded with ${ENTRIES} elements, while ${ADDS_PER_SECOND} a second are added`,
    value: busy.perSecond,
    unit: 'frames/s',
    baseline: { name: 'none added', value: idle.perSecond },
  });
}

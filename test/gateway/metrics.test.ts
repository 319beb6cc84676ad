import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { REASON_NAMES } from '../../classifier/verdict.ts';
import { VirtualClock } from '../../gateway/clock.ts';
import { HOLD_BUCKETS_SECONDS } from '../../gateway/hold-times.ts';
import type { PortStatus } from '../../gateway/host/api.ts';
import { metricsText } from '../../gateway/metrics.ts';
import { PORT_COUNT, PortCounters } from '../../gateway/port/port-counters.ts';
import { ProcessMetrics } from '../../gateway/process-metrics.ts';
import type { Vm } from '../../gateway/vm.ts';
import { type Family, readExposition, seriesValue } from '../support/read-exposition.ts';
import { generationOfText } from '../support/replay-frames.ts';
import { Scene } from '../support/rig.ts';
import { HOLD, PASS, SYN, started } from '../support/scene.ts';

const RULES = `class data pass
class control hold
outbound {
  udp dport 5000 class data
  udp dport 5001 class control
  udp dport 5002 drop
  udp dport 5000-5003 class data
  default class control
}
inbound {
  udp dport 9 drop
  default class data
}`;

const ofProcess = new ProcessMetrics(new VirtualClock());
afterAll(() => ofProcess.close());

function portOf(more: Partial<PortStatus> = {}): PortStatus {
  const counters = new PortCounters();
  Object.values(PORT_COUNT).forEach((index, i) => {
    counters.values[index] = 100 + i;
  });
  return {
    vm: 'vm0',
    pair: 0,
    side: 'inside',
    name: 'tap0',
    backend: 'packet',
    link: 'up',
    trouble: null,
    mtu: 1500,
    counters: counters.byName(),
    ...more,
  };
}

function textOf(vms: Readonly<Record<string, Scene>>, ports: readonly PortStatus[] = [], of = ofProcess): string {
  const [first] = Object.values(vms);
  return metricsText(
    {
      vms: new Map<string, Vm>(Object.entries(vms).map(([name, { vm }]) => [name, vm])),
      clock: first!.rig.clock,
      version: '1.2.3',
      ports: () => ports,
    },
    of,
  );
}

function read(scene: Scene, ports?: readonly PortStatus[]): ReadonlyMap<string, Family> {
  return readExposition(textOf({ vm0: scene }, ports));
}

const ofVm = (families: ReadonlyMap<string, Family>, name: string) =>
  seriesValue(families, `holdfast_${name}`, { vm: 'vm0' });

describe('the text', () => {
  const scene = new Scene({}, generationOfText(RULES));
  scene.vm.start();
  scene.send(1, PASS);
  scene.send(2, HOLD);
  const text = textOf({ vm0: scene, 'näm"e\\\n': started() }, [portOf(), portOf({ side: 'outside', mtu: null })]);

  test('is what the format says', () => {
    expect([...readExposition(text).keys()].length).toBeGreaterThan(40);
  });

  test("promtool has nothing to say against it (Debian's package prometheus)", ({ skip }) => {
    const bad = spawnSync('promtool', ['check', 'metrics'], { input: 'a_total{ 1\n', encoding: 'utf8' });
    skip(bad.error !== undefined, 'promtool is not installed: Debian has it in the package prometheus');
    expect(bad.status).not.toBe(0);
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    expect([stdout, stderr, status]).toEqual(['', '', 0]);
  });

  test('has the metrics that METRICS.md lists, with their types, labels and meaning, and no others', () => {
    const page = readFileSync(new URL('../../gateway/METRICS.md', import.meta.url), 'utf8');
    const listed = page.split('\n').filter((line) => /^\| `/.test(line));
    const told = [...readExposition(text).values()].map(({ name, type, help, samples }) => {
      const labels = [...(samples[0]?.labels.keys() ?? [])].filter((label) => label !== 'le');
      return `| \`${name}\` | ${type} | ${labels.join(', ')} | ${help} |`;
    });
    expect(told.toSorted()).toEqual(listed.toSorted());
  });

  test("METRICS.md names the histogram's buckets", () => {
    const page = readFileSync(new URL('../../gateway/METRICS.md', import.meta.url), 'utf8');
    const sentence = /Its buckets are ([^s]*s[^s]*s[^s]*s.*?)\.\s/s.exec(page)![1]!;
    const scale: Readonly<Record<string, number>> = { µs: 1e-6, ms: 1e-3, s: 1 };
    let unit = 1;
    const bounds = sentence
      .split(', ')
      .reverse()
      .map((item) => {
        const [number, own] = item.split(' ') as [string, string?];
        if (own !== undefined) unit = scale[own.trim()]!;
        return Number((Number(number) * unit).toPrecision(6));
      });
    expect(bounds.reverse()).toEqual([...HOLD_BUCKETS_SECONDS]);
  });
});

describe('of a VM', () => {
  test('every reason is there before it occurs, so that its rate is known from the first time on', () => {
    const families = read(new Scene());
    const reasons = families.get('holdfast_reason_frames_total')!.samples.map(({ labels }) => labels.get('reason'));
    expect(reasons).toEqual(REASON_NAMES.slice(1));
  });

  test('frames are counted as status counts them, and the sums hold', () => {
    const scene = new Scene({ insideCapacity: 1 }, generationOfText(RULES));
    scene.vm.start();
    for (const [i, spec] of [PASS, HOLD, SYN, HOLD, { ...HOLD, colour: 2 }].entries()) scene.send(i, spec);
    const { vm } = scene;
    vm.seal(1, 1);
    vm.commit(1, 1);
    scene.send(7, HOLD);
    vm.rollback(1, 1);
    scene.send(8, HOLD);
    const families = read(scene);
    for (const [metric, count] of Object.entries({
      outbound: 7,
      passed: vm.counters.get('passed'),
      held: vm.counters.get('held'),
      released: vm.counters.get('released'),
      discarded: 1,
      dropped: 1,
    })) {
      expect([metric, ofVm(families, `${metric}_frames_total`)]).toEqual([metric, count]);
    }
    const [passed, released, discarded, dropped, stillHeld] = [
      ...['passed', 'released', 'discarded', 'dropped'].map((name) => ofVm(families, `${name}_frames_total`)),
      ofVm(families, 'still_held_frames'),
    ] as [number, number, number, number, number];
    expect(passed + released + discarded + dropped + stillHeld).toBe(7);
    const reasons = families.get('holdfast_reason_frames_total')!.samples.map(({ value }) => value);
    expect(reasons.reduce((sum, value) => sum + value)).toBe(7);
    expect(ofVm(families, 'hold_seconds_count')).toBe(released);
  });

  test('state, term, epochs and the host are told', () => {
    const scene = new Scene({ replicated: true });
    const { vm, rig } = scene;
    const stateOf = (families: ReadonlyMap<string, Family>) =>
      families.get('holdfast_state')!.samples.map(({ labels, value }) => [labels.get('state'), value]);
    let families = read(scene);
    expect(stateOf(families)).toEqual([
      ['off', 0],
      ['waiting', 1],
      ['on', 0],
    ]);
    expect(ofVm(families, 'host_silent_seconds')).toBeNaN();
    vm.start('now', 3e9);
    vm.seal(1, 1);
    vm.seal(1, 2);
    vm.commit(1, 1);
    vm.quiesce(1, 9e9);
    rig.clock.advanceTo(2.5e9);
    families = read(scene);
    expect(stateOf(families)[2]).toEqual(['on', 1]);
    const told = (...names: string[]) => Object.fromEntries(names.map((name) => [name, ofVm(families, name)]));
    expect(
      told(
        'term',
        'open_epoch',
        'committed_epoch',
        'epochs_in_flight',
        'host_silent_seconds',
        'lease_lapsed',
        'quiesced',
      ),
    ).toEqual({
      term: 1,
      open_epoch: 3,
      committed_epoch: 1,
      epochs_in_flight: 1,
      host_silent_seconds: 2.5,
      lease_lapsed: 0,
      quiesced: 1,
    });
    // No frame has come since: the lease is looked at when somebody asks.
    rig.clock.advanceTo(3e9);
    families = read(scene);
    expect(told('lease_lapsed', 'vm_failed')).toEqual({ lease_lapsed: 1, vm_failed: 0 });
    vm.fail();
    rig.clock.advanceTo(9e9);
    families = read(scene);
    expect(told('quiesced', 'vm_failed')).toEqual({ quiesced: 0, vm_failed: 1 });
  });

  test('how full the transmit buffer is, what it takes, and how old its oldest frame is', () => {
    const scene = started();
    scene.send(1, HOLD);
    scene.rig.clock.advanceTo(1.5e9);
    scene.send(2, HOLD);
    let families = read(scene);
    const { limits } = scene.vm.txBuffer.occupancy;
    const told = (...names: string[]) => names.map((name) => ofVm(families, name));
    expect(told('buffer_frames', 'buffer_peak_frames', 'buffer_limit_frames', 'buffer_limit_bytes')).toEqual([
      2,
      2,
      limits.limitFrames,
      limits.limitBytes,
    ]);
    expect(told('buffer_bytes', 'buffer_peak_bytes')).toEqual([scene.vm.txBuffer.bytes, scene.vm.txBuffer.bytes]);
    expect(told('oldest_held_seconds')).toEqual([1.5]);
    scene.vm.rollback(1, 0);
    families = read(scene);
    expect(told('buffer_frames', 'buffer_peak_frames', 'oldest_held_seconds')).toEqual([0, 2, 0]);
  });

  test('a rule has its frames and bytes under its handle, a class the sum of its rules in each direction', () => {
    const scene = new Scene({}, generationOfText(RULES));
    scene.send(1, PASS);
    scene.send(2, { ...PASS, colour: 3, pad: 9 });
    scene.send(3, { ...PASS, colour: 2 });
    const families = read(scene);
    const rules = scene.vm.ruleCounters.list();
    expect(ofVm(families, 'rules')).toBe(7);
    expect(ofVm(families, 'rules_left_out')).toBe(0);
    expect(ofVm(families, 'rules_generation')).toBe(scene.vm.generation.number);
    for (const { handle, direction, frames, bytes } of rules) {
      const labels = { vm: 'vm0', direction, handle: String(handle) };
      expect(seriesValue(families, 'holdfast_rule_frames_total', labels)).toBe(frames);
      expect(seriesValue(families, 'holdfast_rule_bytes_total', labels)).toBe(bytes);
    }
    const data = rules.filter((rule) => rule.class === 'data' && rule.direction === 'outbound');
    const labels = { vm: 'vm0', direction: 'outbound', class: 'data' };
    expect(seriesValue(families, 'holdfast_class_frames_total', labels)).toBe(2);
    const bytes = data.reduce((sum, rule) => sum + rule.bytes, 0);
    expect(seriesValue(families, 'holdfast_class_bytes_total', labels)).toBe(bytes);
    expect(seriesValue(families, 'holdfast_class_frames_total', { ...labels, direction: 'inbound' })).toBe(0);
  });

  test('of more than a thousand rules the first thousand have series, and a number says how many have not', () => {
    const lines = Array.from({ length: 1004 }, (_, i) => `udp dport ${i + 1} class data`);
    const scene = new Scene({}, generationOfText(`class data pass\noutbound {\n${lines.join('\n')}\n}`));
    const families = read(scene);
    expect(families.get('holdfast_rule_frames_total')!.samples).toHaveLength(1000);
    expect([ofVm(families, 'rules'), ofVm(families, 'rules_left_out')]).toEqual([1004, 4]);
  });
});

describe('of ports', () => {
  const labels = { vm: 'vm0', pair: '0', side: 'inside', port: 'tap0', backend: 'packet' };

  test('link, MTU and every counter', () => {
    const families = read(new Scene(), [portOf()]);
    const names = ['received_frames', 'received_bytes', 'sent_frames', 'sent_bytes', 'lost_frames', 'refused_frames'];
    names.push('link_down_frames', 'too_long_frames', 'invalid_frames');
    expect(names.map((name) => seriesValue(families, `holdfast_port_${name}_total`, labels))).toEqual(
      Object.values(PORT_COUNT).map((_, i) => 100 + i),
    );
    expect(seriesValue(families, 'holdfast_port_link_up', labels)).toBe(1);
    expect(seriesValue(families, 'holdfast_port_mtu_bytes', labels)).toBe(1500);
  });

  test.each(['down', 'absent'] as const)('a link that is %s is not up, and one without an MTU has none', (link) => {
    const families = read(new Scene(), [portOf({ link, mtu: null })]);
    expect(seriesValue(families, 'holdfast_port_link_up', labels)).toBe(0);
    expect(families.get('holdfast_port_mtu_bytes')!.samples).toEqual([]);
  });
});

test('of the process: CPU time, memory, descriptors, when it began, and how late its turns are', async () => {
  // A monitor of its own: among the turns of a whole file a late one is none of the latest hundredth.
  const own = new ProcessMetrics(new VirtualClock());
  // It measures from one of its ticks to the next.
  await new Promise((resolve) => setTimeout(resolve, 60));
  const end = performance.now() + 120;
  // Without a pause in between the loop does not turn.
  while (performance.now() < end);
  await new Promise((resolve) => setTimeout(resolve, 60));
  const families = readExposition(textOf({ vm0: new Scene() }, [], own));
  own.close();
  expect(seriesValue(families, 'holdfast_build_info', { version: '1.2.3', node: process.version })).toBe(1);
  expect(seriesValue(families, 'process_cpu_seconds_total')).toBeGreaterThan(0.1);
  expect(seriesValue(families, 'process_resident_memory_bytes')).toBeGreaterThan(1e7);
  expect(seriesValue(families, 'process_open_fds')).toBeGreaterThan(2);
  expect(seriesValue(families, 'holdfast_event_loop_delay_p99_seconds')).toBeGreaterThan(0.05);
  const age = performance.timeOrigin / 1e3 - seriesValue(families, 'process_start_time_seconds');
  expect(Math.abs(age)).toBeLessThan(0.01);
});

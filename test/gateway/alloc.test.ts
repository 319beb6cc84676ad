import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { slabOf } from '../../classifier/slab.ts';
import { VirtualClock } from '../../gateway/clock.ts';
import { StateDir } from '../../gateway/durable/state-dir.ts';
import type { VmStore } from '../../gateway/durable/vm-store.ts';
import { FrameBatch } from '../../gateway/frame-batch.ts';
import { CaptureFilter } from '../../gateway/host/capture-filter.ts';
import { Trace } from '../../gateway/host/trace.ts';
import { RuleAudit } from '../../gateway/live-rules/audit.ts';
import { DEFAULT_LIMITS } from '../../gateway/occupancy.ts';
import { type MemoryPort, memoryLink } from '../../gateway/port/memory.ts';
import type { Pacing } from '../../gateway/tx-buffer.ts';
import { Vm } from '../../gateway/vm.ts';
import { leastHeapGrowth, leastOfEight } from '../support/heap-growth.ts';
import { generationOfText, MIXED_RULES, type ReplayKind, replayFrame } from '../support/replay-frames.ts';

const FRAMES = 50_000;
const BURST = 50;
const SLOT_BYTES = 2048;
/** What one round may leave behind that has nothing to do with its frames: below a hundredth of a byte each. */
const NOISE_BYTES = 400;
/** A turn that finds something to release asks the clock, whose answer is allocated: per turn, not per frame. */
const CLOCK_BYTES = 32;
const TURNS = FRAMES / BURST;

/** A VM between memory ports, with a batch of frames that is sent again and again. */
class Line {
  readonly clock = new VirtualClock();
  readonly vm: Vm;
  term: number;
  readonly #guest: MemoryPort;
  readonly #net: MemoryPort;
  readonly #frames: FrameBatch;
  readonly #sink: FrameBatch;
  received = 0;
  epoch = 1;

  constructor(kinds: readonly ReplayKind[], pacing: Pacing = 'burst', rules = MIXED_RULES, store?: VmStore) {
    // A time beyond what a small integer holds, as any real one: handed on as a number it would be allocated.
    this.clock.advanceTo(1e15 + 0.5);
    const [guest, inside] = memoryLink('inside', 4 * BURST, SLOT_BYTES, this.clock);
    const [net, outside] = memoryLink('outside', 4 * BURST, SLOT_BYTES, this.clock);
    const generation = generationOfText(rules);
    this.vm = new Vm(inside, outside, generation, this.clock, {
      slotBytes: SLOT_BYTES,
      pacing,
      batchFrames: BURST,
      ...(store === undefined ? {} : { store }),
    });
    this.term = this.vm.start().term;
    this.#guest = guest;
    this.#net = net;
    this.#frames = new FrameBatch(slabOf(new Uint8Array(BURST * SLOT_BYTES)), BURST);
    this.#sink = new FrameBatch(slabOf(new Uint8Array(BURST * SLOT_BYTES)), BURST);
    for (let i = 0; i < BURST; i++) {
      const bytes = replayFrame(kinds[i % kinds.length]!, Math.floor(i / kinds.length) % 3, i);
      this.#frames.offset[i] = i * SLOT_BYTES;
      this.#sink.offset[i] = i * SLOT_BYTES;
      this.#frames.slab.bytes.set(bytes, i * SLOT_BYTES);
      this.#frames.length[i] = bytes.length;
      this.#frames.wireLength[i] = bytes.length;
    }
  }

  /** The VM sends a burst, and the gateway deals with it. */
  send(): void {
    if (this.#guest.transmit(this.#frames, 0, BURST) !== BURST) throw new Error('the inside link is full');
    this.vm.turn();
  }

  /** The network sends a burst. */
  sendIn(): void {
    if (this.#net.transmit(this.#frames, 0, BURST) !== BURST) throw new Error('the outside link is full');
    this.vm.turn();
  }

  /** The network takes what left. */
  take(): void {
    for (let n = 1; n > 0; this.received += n) n = this.#net.receive(this.#sink, 0, BURST, SLOT_BYTES);
  }

  takeIn(): void {
    for (let n = 1; n > 0; this.received += n) n = this.#guest.receive(this.#sink, 0, BURST, SLOT_BYTES);
  }

  commit(): void {
    this.vm.seal(this.term, this.epoch);
    this.vm.commit(this.term, this.epoch);
    this.epoch++;
  }
}

interface Growth {
  /** The fewest by which the heap grew in one of the rounds. */
  readonly bytes: number;
  /** Of all rounds. */
  readonly frames: number;
}

/** @param round of `FRAMES` frames */
function leastGrowth(round: () => void, enough: number, after?: () => void): Growth {
  const { bytes, rounds } = leastHeapGrowth(round, enough, after);
  return { bytes, frames: rounds * FRAMES };
}

function growthOf(burst: () => void, enough = NOISE_BYTES): Growth {
  return leastGrowth(() => {
    for (let i = 0; i < FRAMES / BURST; i++) burst();
  }, enough);
}

describe('from receive to transmit nothing is allocated per frame', () => {
  test('the measurement sees what is allocated: one small object per frame', () => {
    const kept: { n: number }[] = [];
    const round = () => {
      for (let i = 0; i < FRAMES; i++) kept[i & 1023] = { n: i };
    };
    expect(leastOfEight(round)).toBeGreaterThan(FRAMES * 8);
  });

  test('a frame that passes', () => {
    const line = new Line(['media', 'data']);
    const { bytes, frames } = growthOf(() => {
      line.send();
      line.take();
    });
    expect(line.vm.counters.get('passed')).toBe(frames);
    expect(line.received).toBe(frames);
    expect(bytes).toBeLessThan(NOISE_BYTES);
  });

  test('a frame that passes as long as its host has a lease: only what the clock says, once a turn', () => {
    const line = new Line(['media', 'data']);
    line.term = line.vm.start('now', 1e18).term;
    const enough = NOISE_BYTES + TURNS * CLOCK_BYTES;
    const { bytes, frames } = growthOf(() => {
      line.send();
      line.take();
    }, enough);
    expect(line.vm.counters.get('passed')).toBe(frames);
    expect(bytes).toBeLessThan(enough);
  });

  test('a frame that travels to the VM', () => {
    const line = new Line(['media']);
    const { bytes, frames } = growthOf(() => {
      line.sendIn();
      line.takeIn();
    });
    expect(line.vm.counters.get('inboundPassed')).toBe(frames);
    expect(bytes).toBeLessThan(NOISE_BYTES);
  });

  test('a frame that inbound rules judge, by what sets hold and the host has declared', () => {
    const rules = `set media { type ipv4_addr . inet_service; flags interval, timeout; elements = { 192.0.2.8/29 . 16384 timeout 1h } }
set gone { type inet_service; flags timeout; elements = { 4000 timeout 1ms } }
outbound { default hold }
inbound { udp dport @gone drop; udp dport 4000 declared drop; ip saddr . udp sport @media pass; default drop }`;
    const line = new Line(['media', 'syn'], 'burst', rules);
    const { declared } = line.vm.generation.live;
    const flow = { ipVersion: 4, src: 1n, dst: 2n, protocol: 17, srcPort: 3, dstPort: 4, vlanId: null } as const;
    declared.declare(flow, 'data', null, 0);
    line.clock.advanceTo(line.clock.nowNs() + 1e10);
    const { bytes, frames } = growthOf(() => {
      line.sendIn();
      line.takeIn();
    });
    const { counters } = line.vm;
    expect(counters.get('inboundPassed') + counters.get('inboundDropped')).toBe(frames);
    expect(counters.get('inboundPassed')).toBeGreaterThan(frames / 8);
    expect(counters.get('inboundDropped')).toBeGreaterThan(frames / 8);
    expect(bytes).toBeLessThan(NOISE_BYTES);
  });

  test('a frame that rules on trial judge, too, and that a trace looks at', () => {
    const line = new Line(['media', 'data']);
    const trial = generationOfText(
      'outbound { udp dport 53 drop; tcp dport 80 hold; default pass }\ninbound { default drop }',
    );
    const audit = new RuleAudit(trial, false);
    line.vm.beginAudit(trial.live, audit);
    const trace = new Trace({
      name: 'vm0',
      vm: line.vm,
      filter: new CaptureFilter('udp dport 1 frame length 1'),
      perSecond: 1000,
      timeText: String,
      send: () => true,
    });
    const { bytes, frames } = growthOf(() => {
      line.send();
      line.take();
    });
    trace.end();
    const judged = audit.cells().reduce((sum, cell) => sum + cell.frames, 0);
    expect(judged).toBe(frames);
    expect(bytes).toBeLessThan(NOISE_BYTES);
  });

  test('a frame that is dropped, by a rule or because it is no Ethernet', () => {
    const line = new Line(['discard']);
    const { bytes, frames } = growthOf(() => line.send());
    expect(line.vm.counters.get('dropped')).toBe(frames);
    expect(bytes).toBeLessThan(NOISE_BYTES);
  });

  test('a frame that is held', () => {
    const line = new Line(['syn', 'dns', 'arp']);
    const { bytes, frames } = leastGrowth(
      () => {
        for (let i = 0; i < FRAMES / BURST; i++) line.send();
      },
      NOISE_BYTES,
      () => {
        line.term = line.vm.rollback(line.term, 0).term;
      },
    );
    expect(line.vm.counters.get('held')).toBe(frames);
    expect(line.vm.counters.get('discarded')).toBe(frames);
    expect(bytes).toBeLessThan(NOISE_BYTES);
  });

  test('a frame that nothing can classify, held or dropped for want of room', () => {
    const line = new Line(['unknown', 'stub']);
    const { bytes, frames } = growthOf(() => line.send());
    const fit = Math.floor(DEFAULT_LIMITS.limitFrames * DEFAULT_LIMITS.unclassifiedShare);
    expect(line.vm.counters.reasonsByName()).toMatchObject({ truncated: fit, 'unclassified-full': frames - fit });
    expect(bytes).toBeLessThan(NOISE_BYTES);
  });

  test.each([
    ['burst', 'memory'],
    ['paced', 'memory'],
    ['burst', 'file'],
  ] as const)('a frame that is held and released (%s, in %s), and one behind it', (pacing, where) => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-alloc-'));
    const dir = new StateDir(folder, () => 0);
    const line = new Line(['syn', 'data', 'dns'], pacing, MIXED_RULES, dir.openVm('vm0', where));
    let nowNs = 0;
    const sendAll = () => {
      for (let i = 0; i < FRAMES / BURST; i++) {
        line.clock.advanceTo(nowNs++);
        line.send();
        line.take();
      }
    };
    const release = () => {
      for (;;) {
        line.take();
        if (line.vm.stillHeld === 0) return;
        line.clock.advanceTo(nowNs++);
        line.vm.pump();
      }
    };
    // A round holds all its frames and releases them by one commit: what a seal and a commit answer is not per frame.
    const enough = 2 * NOISE_BYTES + TURNS * CLOCK_BYTES;
    const { bytes, frames } = leastGrowth(() => {
      sendAll();
      line.commit();
      release();
    }, enough);
    const { counters } = line.vm;
    expect(counters.get('held')).toBe(counters.get('released'));
    expect(counters.get('released') + counters.get('passed')).toBe(frames);
    expect(counters.get('passed')).toBe(0);
    expect(counters.reasonsByName()['behind-held']).toBeGreaterThan(FRAMES);
    expect(line.received).toBe(frames);
    expect(bytes).toBeLessThan(enough);
    dir.close();
    rmSync(folder, { recursive: true });
  });
});

import { isDeepStrictEqual } from 'node:util';
import { VirtualClock } from '../../gateway/clock.ts';
import { COUNT } from '../../gateway/counters.ts';
import { DirectDoor, type Door } from './door.ts';
import { type Frame, type FrameSpec, makeFrame } from './frames.ts';
import { generationOf } from './judge.ts';
import { Model, type ModelOptions } from './model.ts';
import { Refused } from './model-epochs.ts';
import { hex, Rig } from './rig.ts';
import type { Schedule, Step } from './schedule.ts';

export type Tally = Record<string, number>;

/** Where the gateway and the model disagree. */
export class Disagreement extends Error {
  constructor(step: number, what: string, seen: unknown, expected: unknown) {
    super(`after step ${step}: ${what}: the gateway has ${show(seen)}, the model expects ${show(expected)}`);
  }
}

function show(value: unknown): string {
  return typeof value === 'number' ? String(value) : JSON.stringify(value);
}

/** One VM, its model, and which frames are whose. */
class Pair {
  readonly rig: Rig;
  readonly model: Model;
  readonly #door: Door;
  readonly #serialOf = new Map<string, number>();
  readonly #seen: number[] = [];
  /** How often each answer was given: errors by code. */
  readonly answers: Tally = {};
  #step = 0;

  constructor(chosen: ModelOptions, clock: VirtualClock, doorOf: (rig: Rig) => Door) {
    this.rig = new Rig(chosen, clock);
    this.#door = doorOf(this.rig);
    this.model = new Model(chosen);
  }

  apply(index: number, step: Step, serial: () => number): void {
    const { model, rig } = this;
    this.#step = index;
    model.nowNs = rig.clock.nowNs();
    switch (step.do) {
      case 'send':
      case 'burst':
        for (const frame of this.#make(step.frames, serial)) {
          this.#same('accepted', rig.guest.send(frame), model.sendFromVm(frame));
        }
        if (step.do === 'send') this.#same('turn', rig.vm.turn(), model.turn());
        break;
      case 'inbound':
        for (const frame of this.#make(step.frames, serial)) {
          this.#same('accepted', rig.net.send(frame), model.sendFromNet(frame));
        }
        break;
      case 'turn':
        this.#same('turn', rig.vm.turn(), model.turn());
        break;
      case 'pump':
      case 'wait':
        rig.vm.pump();
        model.pump();
        break;
      case 'drain':
        this.#drain(step.frames);
        break;
      case 'drainInside':
        this.#same('inbound', this.#serials(rig.guest.take(step.frames)), serialsOf(model.toVm.splice(0, step.frames)));
        break;
      case 'start':
        this.#ask(
          'start',
          () => this.#door.start(step.holdFrom, step.leaseMs),
          () => model.start(step.holdFrom, step.leaseMs),
        );
        break;
      case 'takeover': {
        const term = Math.max(0, model.epochs.term + step.term);
        this.#ask(
          'takeover',
          () => this.#door.takeOver(term, step.epoch, step.leaseMs),
          () => model.takeOver(term, step.epoch, step.leaseMs),
        );
        break;
      }
      case 'quiesce': {
        const term = Math.max(0, model.epochs.term + step.term);
        this.#ask(
          'quiesce',
          () => this.#door.quiesce(term, step.leaseMs),
          () => model.quiesce(term, step.leaseMs),
        );
        break;
      }
      case 'resume': {
        const term = Math.max(0, model.epochs.term + step.term);
        this.#ask(
          'resume',
          () => this.#door.resume(term),
          () => model.resume(term),
        );
        break;
      }
      case 'fail':
        this.#ask(
          'fail',
          () => rig.vm.fail(),
          () => model.fail(),
        );
        break;
      case 'swap':
        rig.vm.swapRules(generationOf(step.ruleSet));
        model.swapRules(step.ruleSet);
        break;
      case 'stop': {
        const term = Math.max(0, model.epochs.term + step.term);
        this.#ask(
          'stop',
          () => this.#door.stop(term, step.held),
          () => model.stop(term, step.held),
        );
        break;
      }
      default:
        this.#request(step);
    }
  }

  /** Compares all that can be seen from outside without touching anything. */
  compare(): void {
    const { model, rig } = this;
    const { vm } = rig;
    for (const name of Object.keys(COUNT) as (keyof typeof COUNT)[]) {
      this.#same(name, vm.counters.get(name), model.count[name] ?? 0);
    }
    const { values } = vm.counters;
    const sum = values[COUNT.passed]! + values[COUNT.released]! + values[COUNT.discarded]! + values[COUNT.dropped]!;
    this.#same('sum of outbound', sum + vm.stillHeld, values[COUNT.outbound]);
    const inbound = values[COUNT.inboundPassed]! + values[COUNT.inboundDropped]! + vm.forwarder.queuedInbound;
    this.#same('sum of inbound', inbound, values[COUNT.inbound]);
    const stored = values[COUNT.released]! + values[COUNT.discarded]! + vm.txBuffer.frames;
    this.#same('sum of held', stored, values[COUNT.held]);
    this.#same('reasons', vm.counters.reasonsByName(), model.reasons);
    const reasons = vm.counters.reasons.reduce((a, b) => a + b, 0);
    this.#same('sum of reasons', reasons, values[COUNT.outbound]! + values[COUNT.inbound]!);
    this.#same('rules', rulesOf(rig), model.rules);
    this.#same('stillHeld', vm.stillHeld, model.stillHeld);
    this.#same('queued inbound', vm.forwarder.queuedInbound, model.refusedIn.length);
    const { txBuffer, epochs } = vm;
    this.#same('stored frames', txBuffer.frames, model.stored.length);
    this.#same('stored bytes', txBuffer.bytes, model.storedBytes);
    this.#same('leaving', txBuffer.leavingFrames, model.stored.filter((s) => s.dueNs !== null).length);
    this.#same(
      'peak',
      [txBuffer.occupancy.peakFrames, txBuffer.occupancy.peakBytes],
      [model.peakFrames, model.peakBytes],
    );
    this.#same('next due', vm.nextDueNs(), model.nextDueNs);
    this.#same('oldest', txBuffer.oldestArrivalNs(), model.stored[0]?.arrivalNs ?? Number.NaN);
    this.#same('waiting towards the net', rig.net.port.waiting, model.toNet.length);
    this.#same('waiting towards the VM', rig.guest.port.waiting, model.toVm.length);
    const seen = [epochs.state, epochs.term, epochs.openEpoch, epochs.committedEpoch, epochs.sealedEpochs];
    const { state, term, open, committed, sealed } = model.epochs;
    this.#same('epochs', seen, [state, term, open, committed, sealed]);
  }

  /** Takes all that left, and checks the promises on it that need no model. */
  finish(): void {
    this.#drain(Number.POSITIVE_INFINITY);
    this.#same(
      'left',
      this.#seen,
      this.model.left.map((l) => l.serial),
    );
    this.#same('left twice', new Set(this.#seen).size, this.#seen.length);
    const last = new Map<string, number>();
    for (const { serial, flow } of this.model.left) {
      if (flow === null) continue;
      this.#same(`overtaken in ${flow}`, serial > (last.get(flow) ?? -1), true);
      last.set(flow, serial);
    }
  }

  #drain(frames: number): void {
    const taken = this.#serials(this.rig.net.take(frames));
    this.#seen.push(...taken);
    this.#same('outbound', taken, serialsOf(this.model.toNet.splice(0, frames)));
  }

  #request(step: Extract<Step, { isLate: boolean }>): void {
    const { model } = this;
    const door = this.#door;
    // A number below 0 is no term and no epoch: nobody gets it past the codec.
    const term = Math.max(0, model.epochs.term + step.term);
    const { open, sealed } = model.epochs;
    const { epoch: target } = step;
    const epoch =
      'fromOpen' in target ? Math.max(0, open + target.fromOpen) : (sealed[target.nthSealed % sealed.length] ?? open);
    const name = `${step.do}(${term}, ${epoch})`;
    if (step.do === 'seal') {
      this.#ask(
        name,
        () => door.seal(term, epoch, step.isLate),
        () => model.seal(term, epoch, step.isLate),
      );
    } else {
      const what = step.do;
      this.#ask(
        name,
        () => door[what](term, epoch),
        () => model[what](term, epoch),
      );
    }
  }

  #ask(name: string, gateway: () => unknown, model: () => unknown): void {
    const seen = gateway();
    let expected: unknown;
    try {
      expected = model();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      expected = { code: error.code };
    }
    this.#same(name, seen, expected);
    const isError = typeof expected === 'object' && expected !== null && 'code' in expected;
    const what = isError ? String((expected as { code: unknown }).code) : name.replace(/\(.*/, '');
    this.answers[what] = (this.answers[what] ?? 0) + 1;
  }

  #make(specs: readonly FrameSpec[], serial: () => number): Frame[] {
    return specs.map((spec) => {
      const frame = makeFrame(spec, serial());
      this.#serialOf.set(hex(frame.bytes), frame.serial);
      return frame;
    });
  }

  #serials(taken: readonly string[]): number[] {
    return taken.map((bytes) => {
      const serial = this.#serialOf.get(bytes);
      if (serial === undefined) throw new Disagreement(this.#step, 'a frame that this VM never sent', bytes, 'its own');
      return serial;
    });
  }

  #same(what: string, seen: unknown, expected: unknown): void {
    if (Object.is(seen, expected)) return;
    if (typeof seen === 'object' && isDeepStrictEqual(seen, expected)) return;
    throw new Disagreement(this.#step, what, seen, expected);
  }
}

function serialsOf(list: readonly Frame[]): number[] {
  return list.map((frame) => frame.serial);
}

function rulesOf(rig: Rig): Record<string, number> {
  const hit = rig.vm.ruleCounters.list().filter((row) => row.frames > 0);
  return Object.fromEntries(hit.map((row) => [row.text, row.frames]));
}

/**
 * Runs a schedule on two VMs side by side and on their models.
 * @param tally is told how often each counter counted, each reason was given and each answer
 * @param doorOf how the hosts reach their VMs
 * @throws Disagreement
 */
export function runSchedule(
  schedule: Schedule,
  tally: Tally = {},
  doorOf: (rig: Rig) => Door = (rig) => new DirectDoor(rig),
): void {
  const clock = new VirtualClock();
  const pairs = [new Pair(schedule.options, clock, doorOf), new Pair(schedule.options, clock, doorOf)];
  let serial = 0;
  schedule.steps.forEach((step, i) => {
    if (step.do === 'wait') clock.advanceTo(clock.nowNs() + step.ns);
    for (const pair of pairs) pair.model.nowNs = clock.nowNs();
    pairs[step.vm]!.apply(i, step, () => serial++);
    for (const pair of pairs) pair.compare();
  });
  for (const { model, answers } of pairs) {
    for (const counts of [model.count, model.reasons, answers]) {
      for (const [name, count] of Object.entries(counts)) tally[name] = (tally[name] ?? 0) + count;
    }
  }
  for (const pair of pairs) pair.finish();
}

import { compileGeneration, type Generation } from '../../classifier/classifier.ts';
import type { ReplayCommandOptions, ReplayResult } from '../../gateway/cli/replay.ts';
import { VmAddresses } from '../../gateway/vm-addresses.ts';
import { CaptureCursor } from '../../pcaps/cursor.ts';
import { CaptureRecord } from '../../pcaps/record.ts';
import { type ShippedSet, shippedRules } from '../../rules/load.ts';
import { Judge, type JudgedFrame, NaiveReplay } from './naive-replay.ts';

const generations = new Map<ShippedSet, Promise<Generation>>();

export function shippedGeneration(name: ShippedSet): Promise<Generation> {
  let generation = generations.get(name);
  if (generation === undefined) {
    generation = shippedRules(name).then(({ ruleSet }) => compileGeneration(1, ruleSet));
    generations.set(name, generation);
  }
  return generation;
}

/** What the command takes where nothing is said. */
export async function replayOptions(
  changes: Partial<ReplayCommandOptions> & { readonly set?: ShippedSet; readonly vmTexts?: readonly string[] } = {},
): Promise<ReplayCommandOptions> {
  const { set = 'default', vmTexts = [], ...rest } = changes;
  return {
    generation: await shippedGeneration(set),
    vm: new VmAddresses(vmTexts),
    epochNs: 100e6,
    commitDelayNs: 20e6,
    failAtNs: null,
    pacing: 'burst',
    drain: true,
    overflow: 'drop',
    limitBytes: 64 * 2 ** 20,
    limitFrames: 65_536,
    verifyChecksums: false,
    out: null,
    rulesName: set,
    json: true,
    ...rest,
  };
}

/** @returns a copy of every record before the end, or before damage */
export async function recordsIn(path: string): Promise<CaptureRecord[]> {
  const cursor = await CaptureCursor.open(path);
  const records: CaptureRecord[] = [];
  while (await cursor.advance()) {
    const { record } = cursor;
    const bytes = record.bytes.slice(record.offset, record.offset + record.capturedLength);
    const view = new DataView(bytes.buffer);
    // `frameLength` is computed, not copied.
    records.push(Object.assign(new CaptureRecord(), record, { bytes, view, offset: 0 }));
  }
  await cursor.close();
  return records;
}

/** @returns the records of all captures in the order of time, ties in the order of captures */
export function merged(captures: readonly (readonly CaptureRecord[])[]): CaptureRecord[] {
  const all = captures.flatMap((records, capture) => {
    let ns = Number.NEGATIVE_INFINITY;
    let seconds = Number.NEGATIVE_INFINITY;
    return records.map((record, place) => {
      if (record.hasTime && (record.seconds > seconds || (record.seconds === seconds && record.nanoseconds > ns))) {
        seconds = record.seconds;
        ns = record.nanoseconds;
      }
      return { record, capture, place, seconds, ns };
    });
  });
  const difference = (a: number, b: number) => (a === b ? 0 : a - b);
  all.sort(
    (a, b) => difference(a.seconds, b.seconds) || difference(a.ns, b.ns) || a.capture - b.capture || a.place - b.place,
  );
  return all.map(({ record }) => record);
}

export function predicted(
  records: readonly CaptureRecord[],
  options: ReplayCommandOptions,
): { frames: JudgedFrame[]; naive: NaiveReplay } {
  const judge = new Judge(options.generation, options.vm);
  const frames = records.map((record) => judge.judge(record));
  return { frames, naive: new NaiveReplay(frames, options) };
}

/** @returns the sums of DESIGN section 9 that do not come out, in words */
export function brokenSums(result: ReplayResult): string[] {
  const { frames, inbound, outbound, passed, held, released, discarded, dropped, stillHeld } = result;
  const reasons = Object.values(result.reasons).reduce((sum, count) => sum + count, 0);
  const ofRules = result.rules.reduce((sum, rule) => sum + rule.frames, 0);
  const broken: string[] = [];
  const must = (holds: boolean, words: string) => {
    if (!holds) broken.push(`${words}: ${JSON.stringify({ ...result, rules: [] })}`);
  };
  must(frames === inbound + outbound, 'frames = inbound + outbound');
  must(outbound === passed + released + discarded + dropped + stillHeld, 'outbound = passed + … + stillHeld');
  must(held === released + discarded + stillHeld, 'held = released + discarded + stillHeld');
  must(inbound === result.inboundPassed + result.inboundDropped, 'inbound = inboundPassed + inboundDropped');
  must(reasons === frames, 'reasons sum to frames');
  must(ofRules <= outbound, 'rules judge outbound frames');
  must((result.delayUs === null) === (released === 0), 'delayUs is null if none was released');
  const { opened, sealed, committed, aborted } = result.epochs;
  must(opened >= sealed && sealed >= committed && aborted === 0, 'epochs open, are sealed and commit in order');
  must(result.peakHeldFrames <= held && result.peakHeldFrames >= stillHeld, 'the peak is between now and ever');
  return broken;
}

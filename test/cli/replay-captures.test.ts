import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type ReplayCommandOptions, runReplay } from '../../gateway/cli/replay.ts';
import type { CaptureRecord } from '../../pcaps/record.ts';
import { CAPTURES, captureFiles, NO_CAPTURES } from '../support/captures.ts';
import { commentedPackets } from '../support/pcapng-comments.ts';
import { brokenSums, merged, predicted, recordsIn, replayOptions } from '../support/replay-files.ts';
import { TRACE_VM, TRACES, temporaryFolder } from '../support/run-cli.ts';

const MS = 1e6;
const folder = temporaryFolder();
const out = folder.path('out.pcapng');

/** What is tried on every capture; the one of the index is tried on it with a prediction of every departure. */
const MIXES: readonly (Parameters<typeof replayOptions>[0] & { readonly failAt?: number })[] = [
  {},
  { epochNs: 10 * MS, commitDelayNs: 35 * MS, pacing: 'paced' },
  { epochNs: 25 * MS, commitDelayNs: 0, failAt: 0.5, set: 'telephony' },
  { epochNs: 1000 * MS, commitDelayNs: 5000 * MS, drain: false, pacing: 'paced', set: 'hold-all' },
  { epochNs: 7 * MS, limitFrames: 16, set: 'hold-all' },
  { epochNs: 100 * MS, commitDelayNs: 250 * MS, failAt: 0, set: 'telephony' },
  { epochNs: 40 * MS, commitDelayNs: 90 * MS, failAt: 1, pacing: 'paced', set: 'telephony' },
];

function spanNs(records: readonly CaptureRecord[]): number {
  const timed = records.filter((record) => record.hasTime);
  const first = timed[0];
  if (first === undefined) return 0;
  const since = ({ seconds, nanoseconds }: CaptureRecord) =>
    (seconds - first.seconds) * 1e9 + nanoseconds - first.nanoseconds;
  return timed.reduce((most, record) => Math.max(most, since(record)), 0);
}

async function optionsOf(
  mix: (typeof MIXES)[number],
  records: readonly CaptureRecord[],
  vmTexts: readonly string[],
): Promise<ReplayCommandOptions> {
  const { failAt, ...rest } = mix;
  const failAtNs = failAt === undefined ? null : Math.floor(spanNs(records) * failAt);
  return replayOptions({ ...rest, failAtNs, vmTexts });
}

/** Runs the replay and compares everything with the naive prediction. */
async function expectPredicted(paths: string[], records: readonly CaptureRecord[], options: ReplayCommandOptions) {
  const { result, run } = await runReplay(paths, { ...options, out });
  expect(brokenSums(result)).toEqual([]);
  const { frames, naive } = predicted(records, options);
  const { passed, held, released, discarded, dropped, inbound, stillHeld, reasons, peakHeldFrames, peakHeldBytes } =
    result;
  expect({
    passed,
    held,
    released,
    discarded,
    dropped,
    inbound,
    stillHeld,
    reasons,
    peakHeldFrames,
    peakHeldBytes,
  }).toEqual({
    ...naive.counts,
    stillHeld: naive.waiting.length,
    reasons: naive.reasons,
    peakHeldFrames: naive.peakFrames,
    peakHeldBytes: naive.peakBytes,
  });
  expect(result.delayUs).toEqual(naive.delayUs());
  expect(result.epochs).toMatchObject({ sealed: naive.sealed, committed: naive.committed });
  const first = records.find((record) => record.hasTime);
  const origin = BigInt(first?.seconds ?? 0) * 1_000_000_000n + BigInt(first?.nanoseconds ?? 0);
  const classes = new Map(options.generation.ruleSet.outbound.map((rule) => [rule.handle, rule.className]));
  const left = commentedPackets(readFileSync(out));
  const want = naive.departures.map(({ frame, atNs, epoch, reason }) => {
    const { bytes, rule, verdict } = frames[frame]!;
    const why = `rule=${rule || '-'} class=${classes.get(rule) ?? '-'} verdict=${['hold', 'drop', 'pass'][verdict]}`;
    return `${origin + BigInt(atNs)} ${bytes.toString('hex')} ${why} epoch=${epoch} reason=${reason}`;
  });
  expect(left.map(({ ns, bytes, comment }) => `${ns} ${bytes.toString('hex')} ${comment}`)).toEqual(want);
  expect(Math.max(...run.timeline.frames)).toBe(peakHeldFrames);
  return result;
}

describe("the project's own captures", () => {
  const traces = readdirSync(TRACES).filter((name) => !name.endsWith('.ndjson'));

  it.each(traces)('%s: counts, delays and every departure are as predicted, whatever the options', async (name) => {
    const records = await recordsIn(TRACES + name);
    for (const mix of MIXES) {
      await expectPredicted([TRACES + name], records, await optionsOf(mix, records, [TRACE_VM]));
    }
  });

  it('several merge by time, ties in the order of arguments', async () => {
    const names = ['sip-rtp-call.pcapng', 'sip-tcp-call.pcapng', 'sip-rtp-call.pcapng', 'http.pcap'];
    const paths = names.map((name) => TRACES + name);
    const records = merged(await Promise.all(paths.map(recordsIn)));
    for (const mix of [MIXES[0]!, MIXES[1]!]) {
      const result = await expectPredicted(paths, records, await optionsOf(mix, records, [TRACE_VM]));
      expect(result.frames).toBe(719 + 19 + 719 + 27);
    }
  });

  it('with a tiny buffer and backpressure lose no frame', async () => {
    for (const name of ['sip-rtp-call.pcapng', 'iperf3.pcap', 'offload.pcap.gz', 'fragments.pcapng']) {
      for (const limits of [{ limitFrames: 2 }, { limitBytes: 2 ** 19 }]) {
        const options = await replayOptions({
          ...limits,
          overflow: 'backpressure',
          set: 'hold-all',
          vmTexts: [TRACE_VM],
        });
        const { result } = await runReplay([TRACES + name], options);
        expect(brokenSums(result)).toEqual([]);
        expect([name, result.dropped, result.stillHeld]).toEqual([name, 0, 0]);
      }
    }
  });
});

describe('captures of others', () => {
  // Damaged ones are told on stderr.
  beforeAll(() => {
    vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  });
  afterAll(() => {
    vi.restoreAllMocks();
  });

  it.each(captureFiles().map((name, i) => [name, i] as const))(
    '%s: the sums come out and the prediction holds',
    async (name, i) => {
      const path = join(CAPTURES!, name);
      let records: CaptureRecord[];
      try {
        records = await recordsIn(path);
      } catch {
        await expect(runReplay([path], await replayOptions())).rejects.toMatchObject({ exitCode: 2 });
        return;
      }
      // The prediction counts every epoch and is quadratic in frames: long captures are tried for their sums.
      const mixes = [MIXES[0]!, MIXES[1 + (i % (MIXES.length - 1))]!];
      for (const mix of mixes) {
        const options = await optionsOf(mix, records, []);
        const isShort = records.length <= 1500 && spanNs(records) / options.epochNs <= 50_000;
        if (isShort) await expectPredicted([path], records, options);
        else expect(brokenSums((await runReplay([path], options)).result)).toEqual([]);
      }
    },
  );

  it('all merged into one', async ({ skip }) => {
    if (CAPTURES === null) skip(NO_CAPTURES);
    const paths = captureFiles()
      .slice(0, 40)
      .map((name) => join(CAPTURES!, name));
    const { result } = await runReplay(paths, await replayOptions({ vmTexts: ['10.0.0.0/8'] }));
    expect(brokenSums(result)).toEqual([]);
    expect(result.inbound).toBeGreaterThan(0);
    expect(result.outbound).toBeGreaterThan(0);
  });
});

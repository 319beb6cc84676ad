import { Replay, type ReplayOptions } from '../replay.ts';
import { Failure } from './failure.ts';
import { Output } from './output.ts';
import { Progress } from './progress.ts';
import { MergedCaptures } from './replay-merge.ts';
import { ReplayOut } from './replay-out.ts';
import { replayReport } from './replay-report.ts';

export interface ReplayCommandOptions extends ReplayOptions {
  /** Seal and commit what is held at the end. */
  readonly drain: boolean;
  readonly out: string | null;
  /** As the user named them. */
  readonly rulesName: string;
  readonly json: boolean;
}

/** Frames between two looks at the progress. */
const PROGRESS_FRAMES = 4096;

/** `holdfast replay`. @returns the exit code */
export async function replay(paths: readonly string[], options: ReplayCommandOptions): Promise<number> {
  const { run, result, exitCode } = await runReplay(paths, options);
  const output = new Output();
  output.line(options.json ? JSON.stringify(result) : replayReport(result, run, options));
  output.flush();
  return exitCode;
}

/**
 * Replays without printing what came of it; damage is reported on stderr.
 * @throws Failure
 */
export async function runReplay(
  paths: readonly string[],
  options: ReplayCommandOptions,
): Promise<{ run: Replay; result: ReplayResult; exitCode: number }> {
  const captures = await MergedCaptures.open(paths);
  const progress = new Progress();
  try {
    const run = new Replay(options);
    // Only now: options that cannot work leave a file of that name as it is.
    const out = options.out === null ? null : new ReplayOut(options.out, paths, options.generation);
    if (out !== null) run.sink = out.sink;
    for (;;) {
      const next = captures.next();
      const record = next instanceof Promise ? await next : next;
      if (record === null) break;
      run.frame(record);
      if (run.frames % PROGRESS_FRAMES === 0) progress.show(captures.bytesRead, captures.totalBytes, run.frames);
    }
    if (options.drain) run.drain();
    out?.close();
    return { run, result: replayResult(run), exitCode: captures.exitCode };
  } catch (error) {
    // Limits that cannot work.
    throw error instanceof RangeError ? new Failure(`--buffer-bytes, --buffer-frames: ${error.message}`) : error;
  } finally {
    progress.end();
    await captures.close();
  }
}

export type ReplayResult = ReturnType<typeof replayResult>;

/** What `--json` prints. Times are µs. */
function replayResult(run: Replay) {
  const { counters, txBuffer, epochs, ruleCounters } = run.vm;
  const delays = run.delaysNs.percentiles(0.5, 0.99, 1);
  return {
    frames: run.frames,
    inbound: counters.get('inbound'),
    outbound: counters.get('outbound'),
    passed: counters.get('passed'),
    held: counters.get('held'),
    released: counters.get('released'),
    discarded: counters.get('discarded'),
    dropped: counters.get('dropped'),
    stillHeld: run.vm.stillHeld,
    inboundPassed: counters.get('inboundPassed'),
    inboundDropped: counters.get('inboundDropped'),
    peakHeldFrames: txBuffer.occupancy.peakFrames,
    peakHeldBytes: txBuffer.occupancy.peakBytes,
    delayUs: delays === null ? null : { p50: delays[0]! / 1e3, p99: delays[1]! / 1e3, max: delays[2]! / 1e3 },
    reasons: counters.reasonsByName(),
    rules: ruleCounters.list().map(({ lastHitNs, ...rule }) => ({
      ...rule,
      lastHitUs: lastHitNs === null ? null : lastHitNs / 1e3,
    })),
    epochs: {
      opened: run.host.opened,
      sealed: run.host.sealed,
      committed: run.host.committed,
      aborted: 0,
    },
    term: epochs.term,
  };
}

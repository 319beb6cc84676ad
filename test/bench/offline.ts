import { fileURLToPath } from 'node:url';
import { writeBenchCapture } from './capture.ts';
import type { Reporter, Target } from './figures.ts';
import { traceFrames } from './frames.ts';
import { find, type ProcessTime, timeProcess } from './processes.ts';
import { median } from './rounds.ts';

const ROUNDS = 5;
const STARTS = 9;
const FRAMES = 500_000;
const HOLDFAST = [process.execPath, fileURLToPath(new URL('../../dist/gateway/cli/main.js', import.meta.url))];
const ONE_CALL = fileURLToPath(new URL('../../pcaps/traces/dns.pcapng', import.meta.url));

type Times = Map<string, ProcessTime[]>;

/** Runs every command once in each round. */
function inRounds(rounds: number, commands: ReadonlyMap<string, readonly string[]>): Times {
  const times: Times = new Map(Array.from(commands.keys(), (name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, command] of commands) times.get(name)!.push(timeProcess(command));
  }
  return times;
}

function medianOf(times: Times, name: string, what: keyof ProcessTime): number {
  return median(times.get(name)!.map((time) => time[what]));
}

/**
 * Explain and replay as processes, beside tcpdump and tshark on the same file. The rates count frames by the clock on
 * the wall; the CPU time is the steadier figure where the machine is shared.
 */
export async function offlineBench(report: Reporter): Promise<void> {
  const capture = writeBenchCapture(await traceFrames(), FRAMES);
  try {
    const { path } = capture;
    const commands = new Map<string, readonly string[]>([
      ['explain --json', [...HOLDFAST, 'explain', path, '--json']],
      ['replay --json', [...HOLDFAST, 'replay', path, '--json']],
    ]);
    const baselines = new Map<string, Target | undefined>();
    const tcpdump = find('tcpdump');
    if (tcpdump !== null) {
      commands.set('tcpdump -n -r', [tcpdump, '-n', '-r', path]);
      commands.set('tcpdump -r -w', [tcpdump, '-r', path, '-w', '/dev/null']);
      baselines.set('tcpdump -n -r', { of: 'ratio', atLeast: 0.5 });
      baselines.set('tcpdump -r -w', undefined);
    } else {
      report.skipped('beside tcpdump', 'tcpdump is not installed');
    }
    const tshark = find('tshark');
    if (tshark !== null) {
      const fields = ['frame.number', 'ip.src', 'ip.dst', 'tcp.srcport', 'udp.srcport'].flatMap((name) => ['-e', name]);
      commands.set('tshark -T fields', [tshark, '-r', path, '-T', 'fields', ...fields]);
      baselines.set('tshark -T fields', { of: 'ratio', atLeast: 20 });
    } else {
      report.skipped('beside tshark', 'tshark is not installed');
    }
    console.log(`  ${FRAMES.toLocaleString('en')} frames, ${(capture.bytes / 1e6).toFixed(0)} MB, ${ROUNDS} rounds`);
    const times = inRounds(ROUNDS, commands);
    for (const name of ['explain --json', 'replay --json']) compare(report, times, name, baselines);
  } finally {
    capture.remove();
  }
}

function compare(
  report: Reporter,
  times: Times,
  name: string,
  baselines: ReadonlyMap<string, Target | undefined>,
): void {
  const rate = (of: string) => FRAMES / (medianOf(times, of, 'wallMs') / 1e3);
  const cpuNs = (of: string) => (medianOf(times, of, 'cpuMs') * 1e6) / FRAMES;
  report.figure({ metric: name, value: rate(name), unit: 'frames/s' });
  for (const [other, target] of baselines) {
    const baseline = { name: other, value: rate(other) };
    report.figure({ metric: name, value: rate(name), unit: 'frames/s', baseline, ...(target && { target }) });
    report.figure({
      metric: `${name}, CPU time`,
      value: cpuNs(name),
      unit: 'ns/frame',
      baseline: { name: other, value: cpuNs(other) },
    });
  }
}

/** What a short capture waits for: the program's start. */
export async function startupBench(report: Reporter): Promise<void> {
  const commands = new Map<string, readonly string[]>([
    ['--version', [...HOLDFAST, '--version']],
    ['explain of a small capture', [...HOLDFAST, 'explain', ONE_CALL, '--json']],
    ['node', [process.execPath, '-e', '0']],
  ]);
  const tshark = find('tshark');
  if (tshark !== null) commands.set('tshark of the same capture', [tshark, '-r', ONE_CALL]);
  const times = inRounds(STARTS, commands);
  const figure = (name: string, other: string) =>
    report.figure({
      metric: `holdfast ${name}`,
      value: medianOf(times, name, 'wallMs'),
      unit: 'ms',
      baseline: { name: other, value: medianOf(times, other, 'wallMs') },
    });
  figure('--version', 'node');
  figure('explain of a small capture', 'node');
  if (tshark !== null) figure('explain of a small capture', 'tshark of the same capture');
  else report.skipped('beside tshark', 'tshark is not installed');
}

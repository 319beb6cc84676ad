import type { Direction } from '../../classifier/classifier.ts';
import { REASON_NAMES, REASON_TEXTS } from '../../classifier/verdict.ts';
import type { Replay } from '../replay.ts';
import type { Timeline } from '../timeline.ts';
import { styles } from './output.ts';
import type { ReplayCommandOptions, ReplayResult } from './replay.ts';
import { grouped, printable, span, table } from './table.ts';

const BAR = 40;

/** @returns the report for people */
export function replayReport(result: ReplayResult, run: Replay, options: ReplayCommandOptions): string {
  const style = styles(process.stdout.isTTY === true);
  const heading = (text: string) => style('bold', text);
  const way = hasInboundRules(result) ? ['way'] : [];
  const lines = [
    heading(`replayed ${grouped(result.frames)} frames: ${summary(options, run)}`),
    '',
    heading('what became of the frames'),
    ...table(['', 'frames'], fates(result)),
    '',
    heading('classes'),
    ...table([...way, 'class', 'verdict', 'frames', 'bytes'], classes(result)),
    '',
    heading('rules'),
    ...table(
      [...way, 'rule', 'line', 'frames', 'bytes', 'text'],
      result.rules.map((rule) => [
        ...wayOf(rule, result),
        rule.handle,
        rule.line,
        rule.frames,
        rule.bytes,
        printable(rule.text),
      ]),
    ),
    '',
    heading('reasons'),
    ...table(['reason', 'frames', ''], reasons(result)),
    '',
    heading('held'),
  ];
  if (result.delayUs === null) {
    lines.push('  no frame was released');
  } else {
    const { p50, p99, max } = result.delayUs;
    lines.push(`  held for: half up to ${span(p50 * 1e3)}, 99 % up to ${span(p99 * 1e3)}, longest ${span(max * 1e3)}`);
  }
  lines.push(
    `  fullest: ${grouped(result.peakHeldFrames)} frames, ${grouped(result.peakHeldBytes)} bytes`,
    `  epochs: ${grouped(result.epochs.opened)} opened, ${grouped(result.epochs.sealed)} sealed, ` +
      `${grouped(result.epochs.committed)} committed`,
  );
  if (result.peakHeldFrames > 0) lines.push('', heading('transmit buffer over time'), ...timeline(run.timeline));
  return lines.join('\n');
}

function summary(
  { epochNs, commitDelayNs, failAtNs, pacing, rulesName, vm }: ReplayCommandOptions,
  run: Replay,
): string {
  const parts = [`rules '${rulesName}'`, `epochs of ${span(epochNs)}`, `commit after ${span(commitDelayNs)}`];
  if (pacing === 'paced') parts.push('paced release');
  if (failAtNs !== null && run.host.failed) parts.push(`the VM fails at ${span(failAtNs)}`);
  else if (failAtNs !== null) parts.push(`all is committed before the VM fails at ${span(failAtNs)}`);
  if (vm.isEmpty) parts.push('every frame is outbound (no --vm)');
  return parts.join(', ');
}

function fates(result: ReplayResult): [string, number][] {
  const rows: [string, number][] = [
    ['outbound', result.outbound],
    ['  passed at once', result.passed],
    ['  held, then released', result.released],
    ['  held, then discarded', result.discarded],
    ['  still held', result.stillHeld],
    ['  dropped', result.dropped],
    ['inbound', result.inbound],
    ['  passed to the inside port', result.inboundPassed],
    ['  dropped', result.inboundDropped],
  ];
  return rows.filter(([name, frames]) => frames > 0 || !name.startsWith(' ') || name.includes('passed'));
}

function hasInboundRules({ rules }: ReplayResult): boolean {
  return rules.some(({ direction }) => direction === 'inbound');
}

/** @returns a cell that tells the direction, where there are rules for both */
function wayOf({ direction }: { readonly direction: Direction }, result: ReplayResult): string[] {
  if (!hasInboundRules(result)) return [];
  return [direction === 'outbound' ? 'out' : 'in'];
}

function classes(result: ReplayResult): (string | number)[][] {
  type Sum = { direction: Direction; name: string; verdict: string; frames: number; bytes: number };
  const sums = new Map<string, Sum>();
  for (const { direction, class: name, verdict, frames, bytes } of result.rules) {
    const key = `${direction} ${name} ${verdict}`;
    const sum = sums.get(key) ?? { direction, name: name ?? '-', verdict, frames: 0, bytes: 0 };
    sum.frames += frames;
    sum.bytes += bytes;
    sums.set(key, sum);
  }
  const rows: (string | number)[][] = [...sums.values()].map((sum) => [
    ...wayOf(sum, result),
    sum.name,
    sum.verdict,
    sum.frames,
    sum.bytes,
  ]);
  const ways = hasInboundRules(result) ? (['outbound', 'inbound'] as const) : (['outbound'] as const);
  for (const direction of ways) {
    const decided = result.rules.filter((rule) => rule.direction === direction);
    const others = result[direction] - decided.reduce((sum, rule) => sum + rule.frames, 0);
    // What no rule decided: see the reasons.
    if (others > 0) rows.push([...wayOf({ direction }, result), '-', 'no rule', others, '']);
  }
  return rows;
}

function reasons(result: ReplayResult): (string | number)[][] {
  return REASON_NAMES.flatMap((name, code) => {
    const frames = result.reasons[name];
    return frames === undefined ? [] : [[name, frames, REASON_TEXTS[code]!]];
  });
}

/** The fullest that the buffer was in each span; spans in a row that held nothing take one line. */
function timeline({ frames, bytes, widthNs, length }: Timeline): string[] {
  const most = Math.max(...frames);
  const rows: (string | number)[][] = [];
  let idle = 0;
  for (let i = 0; i < length; i++) {
    if (frames[i] === 0) {
      idle++;
      continue;
    }
    if (idle > 0) rows.push(['', 0, 0, `(${idle} × ${span(widthNs)} empty)`]);
    idle = 0;
    const width = Math.max(1, Math.round((frames[i]! / most) * BAR));
    rows.push([span(i * widthNs), frames[i]!, bytes[i]!, '#'.repeat(width)]);
  }
  if (idle > 0) rows.push(['', 0, 0, `(${idle} × ${span(widthNs)} empty)`]);
  return table(['from', 'frames', 'bytes', `the fullest within ${span(widthNs)}`], rows);
}

import { parse } from '../../classifier/parse.ts';
import { Parsed } from '../../classifier/parsed.ts';
import type { Reporter } from './figures.ts';
import { traceFrames } from './frames.ts';
import { interleaved } from './rounds.ts';

const ROUNDS = 9;
const PASSES = 200;

/** Nanoseconds to parse a frame: those of the project's captures, one after the other. */
export async function parseBench(report: Reporter): Promise<void> {
  const { slab, count, offset, length, wireLength } = await traceFrames();
  const parsed = new Parsed();
  let sum = 0;
  const [ns, touchNs] = interleaved(ROUNDS, [
    {
      perRun: PASSES * count,
      run() {
        for (let pass = 0; pass < PASSES; pass++) {
          for (let i = 0; i < count; i++) {
            parse(parsed, slab.view, offset[i]!, length[i]!, wireLength[i]!);
            sum += parsed.l4;
          }
        }
      },
    },
    {
      perRun: PASSES * count,
      run() {
        for (let pass = 0; pass < PASSES; pass++) {
          for (let i = 0; i < count; i++) for (let at = 0; at < 12; at += 4) sum += slab.view.getInt32(offset[i]! + at);
        }
      },
    },
  ]);
  if (Number.isNaN(sum)) throw new Error('the parser left no number');
  report.figure({
    metric: `parse, ${count} mixed frames`,
    value: ns!,
    unit: 'ns/frame',
    baseline: { name: 'reading the MAC addresses only', value: touchNs! },
  });
}

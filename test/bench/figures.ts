import { appendFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const NAME_WIDTH = 96;
const RESULTS = fileURLToPath(new URL('../../bench-results.ndjson', import.meta.url));

/** A bound on a figure's value, or on its ratio to the baseline; inclusive. */
export interface Target {
  readonly of: 'value' | 'ratio';
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Measured {
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
  /** What it is compared with, in the same unit, measured in the same run. */
  readonly baseline?: { readonly name: string; readonly value: number };
  readonly target?: Target;
}

/** One line of `bench-results.ndjson`; what does not apply is null. `ratio` is value / baseline. */
export interface Figure {
  readonly bench: string;
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline: number | null;
  readonly ratio: number | null;
  readonly target: string | null;
  readonly met: boolean | null;
}

/** Takes one bench's figures: prints each as it comes and appends it to the results. */
export class Reporter {
  readonly #bench: string;

  constructor(bench: string) {
    this.#bench = bench;
    console.log(`\n${bench}`);
  }

  figure({ metric, value, unit, baseline, target }: Measured): void {
    const ratio = baseline === undefined ? null : value / baseline.value;
    const judged = target?.of === 'ratio' ? ratio : value;
    const met =
      target === undefined || judged === null
        ? null
        : judged >= (target.atLeast ?? Number.NEGATIVE_INFINITY) &&
          judged <= (target.atMost ?? Number.POSITIVE_INFINITY);
    const figure: Figure = {
      bench: this.#bench,
      metric: baseline === undefined ? metric : `${metric}, beside ${baseline.name}`,
      value: rounded(value),
      unit,
      baseline: baseline === undefined ? null : rounded(baseline.value),
      ratio: ratio === null ? null : rounded(ratio),
      target: target === undefined ? null : targetText(target),
      met,
    };
    appendFileSync(RESULTS, `${JSON.stringify(figure)}\n`);
    const cells = [
      figure.metric.padEnd(NAME_WIDTH),
      `${shown(value)} ${unit}`.padStart(22),
      ratio === null ? ''.padStart(10) : `${shown(ratio)} ×`.padStart(10),
      figure.target === null ? '' : `  ${figure.target}: ${met ? 'met' : 'MISSED'}`,
    ];
    console.log(`  ${cells.join('').trimEnd()}`);
  }

  /** Says why something was not measured. */
  skipped(metric: string, reason: string): void {
    console.log(`  ${metric.padEnd(NAME_WIDTH)} skipped: ${reason}`);
  }
}

function targetText({ of, atLeast, atMost }: Target): string {
  return [
    ...(atLeast === undefined ? [] : [`${of} >= ${atLeast}`]),
    ...(atMost === undefined ? [] : [`${of} <= ${atMost}`]),
  ].join(', ');
}

/** Four digits are more than a measurement on a shared machine is worth. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

function shown(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
}

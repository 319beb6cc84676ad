export type MetricType = 'counter' | 'gauge' | 'histogram';

/** What is known of a metric before it has a value. */
export interface MetricFamily {
  readonly name: string;
  readonly type: MetricType;
  /** One sentence, without a full stop. */
  readonly help: string;
  /** Names of its labels, in the order in which values are given. */
  readonly labels: readonly string[];
}

/** Of a response that carries such text. */
export const EXPOSITION_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Text for Prometheus in its exposition format 0.0.4: each family once, all its samples together. */
export class Exposition {
  #text = '';
  #family: MetricFamily | null = null;

  /** The samples that follow are of this family, until the next. */
  family(family: MetricFamily): this {
    this.#family = family;
    this.#text += `# HELP ${family.name} ${escaped(family.help)}\n# TYPE ${family.name} ${family.type}\n`;
    return this;
  }

  /** @param labels values, one for each label of the family */
  sample(labels: readonly string[], value: number): this {
    const pairs = this.#pairs(labels);
    this.#line('', pairs, value);
    return this;
  }

  /**
   * One histogram of a family of this type.
   * @param bounds upper bounds of the buckets, inclusive, rising, without infinity
   * @param counts of each bucket by itself, and of what is above the last bound
   */
  histogram(labels: readonly string[], bounds: readonly number[], counts: ArrayLike<number>, sum: number): this {
    const pairs = this.#pairs(labels);
    const before = pairs === '' ? '' : `${pairs},`;
    let total = 0;
    for (let i = 0; i <= bounds.length; i++) {
      total += counts[i]!;
      const bound = i < bounds.length ? numberText(bounds[i]!) : '+Inf';
      this.#line('_bucket', `${before}le="${bound}"`, total);
    }
    this.#line('_sum', pairs, sum);
    this.#line('_count', pairs, total);
    return this;
  }

  text(): string {
    return this.#text;
  }

  #pairs(values: readonly string[]): string {
    const { name, labels } = this.#family!;
    if (values.length !== labels.length) throw new RangeError(`${name} has the labels ${labels.join(', ') || 'none'}`);
    let pairs = '';
    for (let i = 0; i < labels.length; i++) {
      if (i > 0) pairs += ',';
      pairs += `${labels[i]!}="${SPECIAL.test(values[i]!) ? quoted(values[i]!) : values[i]!}"`;
    }
    return pairs;
  }

  #line(suffix: string, pairs: string, value: number): void {
    const labels = pairs === '' ? '' : `{${pairs}}`;
    this.#text += `${this.#family!.name}${suffix}${labels} ${numberText(value)}\n`;
  }
}

/** Rare: a scrape has thousands of values. */
const SPECIAL = /[\\\n"]/;

function quoted(text: string): string {
  return escaped(text).replaceAll('"', '\\"');
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

/** As Go's ParseFloat reads it. */
function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  return String(value);
}

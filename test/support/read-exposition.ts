/** A reader of Prometheus' text format 0.0.4 that accepts only what the format's description says, written from it. */

export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: Sample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
/** Label value: everything but a bare quote, backslash or line feed; those escaped. */
const PAIR = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"/;
const VALUE = /^(?:[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|NaN|[-+]?Inf)$/;

/** @throws Error with the line that is wrong */
export function readExposition(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, Family>();
  const series = new Set<string>();
  let help: { name: string; text: string } | null = null;
  let current: Family | null = null;
  for (const line of text.slice(0, -1).split('\n')) {
    const fail = (why: string): never => {
      throw new Error(`${why}: ${line}`);
    };
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (comment !== null) {
      const [, kind, name, rest] = comment as unknown as [string, string, string, string];
      if (!NAME.test(name)) fail('no metric name');
      if (kind === 'HELP') {
        if (/\\(?![\\n])/.test(rest.replaceAll('\\\\', ''))) fail('an unknown escape');
        help = { name, text: unescaped(rest) };
        continue;
      }
      if (!['counter', 'gauge', 'histogram', 'summary', 'untyped'].includes(rest)) fail('no type');
      if (help?.name !== name) fail('TYPE without its HELP before');
      if (families.has(name)) fail('a family twice');
      current = { name, help: help!.text, type: rest, samples: [] };
      families.set(name, current);
      continue;
    }
    if (current === null) throw new Error(`a sample before any family: ${line}`);
    const sample = readSample(line, fail);
    if (!belongs(sample.name, current)) fail(`not of ${current.name}`);
    const id = `${sample.name} ${JSON.stringify([...sample.labels].sort())}`;
    if (series.has(id)) fail('a series twice');
    series.add(id);
    current.samples.push(sample);
  }
  for (const family of families.values()) checkFamily(family);
  return families;
}

/** @returns the value of a series, given by name and labels in any order @throws if there is none */
export function seriesValue(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  for (const { samples } of families.values()) {
    for (const sample of samples) {
      const same = sample.name === name && sample.labels.size === Object.keys(labels).length;
      if (same && Object.entries(labels).every(([label, value]) => sample.labels.get(label) === value)) {
        return sample.value;
      }
    }
  }
  throw new Error(`there is no ${name} with ${JSON.stringify(labels)}`);
}

function readSample(line: string, fail: (why: string) => never): Sample {
  const name = /^[^{ ]*/.exec(line)![0];
  if (!NAME.test(name)) fail('no metric name');
  let rest = line.slice(name.length);
  const labels = new Map<string, string>();
  if (rest.startsWith('{')) {
    rest = rest.slice(1);
    while (!rest.startsWith('}')) {
      const pair = PAIR.exec(rest);
      if (pair === null) return fail('no label');
      const [all, label, value] = pair as unknown as [string, string, string];
      if (!LABEL.test(label) || labels.has(label)) fail('a label twice');
      labels.set(label, unescaped(value));
      rest = rest.slice(all.length);
      if (rest.startsWith(',')) rest = rest.slice(1);
      else if (!rest.startsWith('}')) fail('no comma');
    }
    rest = rest.slice(1);
  }
  if (!rest.startsWith(' ') || !VALUE.test(rest.slice(1))) fail('no value');
  return { name, labels, value: Number(rest.slice(1).replace('Inf', 'Infinity')) };
}

function belongs(sample: string, { name, type }: Family): boolean {
  return type === 'histogram' ? ['_bucket', '_sum', '_count'].some((end) => sample === name + end) : sample === name;
}

function checkFamily({ name, type, samples }: Family): void {
  const fail = (why: string) => {
    throw new Error(`${name}: ${why}`);
  };
  if (type === 'counter' && !name.endsWith('_total')) fail('a counter ends in _total');
  if (type !== 'counter' && name.endsWith('_total')) fail('only a counter ends in _total');
  if (type === 'counter' && samples.some(({ value }) => !(value >= 0))) fail('a counter below 0');
  if (type !== 'histogram') return;
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = JSON.stringify([...sample.labels].filter(([label]) => label !== 'le'));
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  for (const group of groups.values()) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => Number(labels.get('le')?.replace('+Inf', 'Infinity')));
    if (bounds.at(-1) !== Number.POSITIVE_INFINITY) fail('no last bucket');
    if (bounds.some((bound, i) => i > 0 && !(bound > bounds[i - 1]!))) fail('bounds do not rise');
    if (buckets.some(({ value }, i) => i > 0 && value < buckets[i - 1]!.value)) fail('buckets are not cumulative');
    const count = group.filter((sample) => sample.name === `${name}_count`);
    if (count.length !== 1 || count[0]!.value !== buckets.at(-1)!.value) fail('count is not the last bucket');
    if (group.filter((sample) => sample.name === `${name}_sum`).length !== 1) fail('no sum');
  }
}

function unescaped(text: string): string {
  return text.replace(/\\([\\"n])/g, (_, char: string) => (char === 'n' ? '\n' : char));
}

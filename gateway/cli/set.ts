import type { ListedElement, SetSummary } from '../host/api.ts';
import type { ControlOptions } from './control-option.ts';
import { EXIT } from './failure.ts';
import { grouped, span, table } from './table.ts';
import { chosenVm, withHost } from './with-host.ts';

const NS_PER_MS = 1e6;
/** Elements in one request, or one answer. */
const PAGE = 4096;

export interface SetOptions extends ControlOptions {
  readonly vm?: string;
  /** Nanoseconds. */
  readonly timeout?: number;
  readonly limit?: number;
}

export function setAdd(set: string, elements: readonly string[], options: SetOptions): Promise<number> {
  return withHost(options, async (host) => {
    const { name: vm } = await chosenVm(host, options.vm ?? null);
    const timeout = options.timeout === undefined ? {} : { timeoutMs: Math.ceil(options.timeout / NS_PER_MS) };
    let added = 0;
    let refused = 0;
    for (let at = 0; at < elements.length; at += PAGE) {
      const page = elements.slice(at, at + PAGE);
      const answer = await host.call('set.add', { vm, set, elements: page, ...timeout });
      added += answer.added;
      refused += answer.refused;
    }
    const full = refused === 0 ? '' : `, ${grouped(refused)} refused: the set is full`;
    tell(options, { added, refused }, `${set}: ${grouped(added)} added${full}`);
    return refused === 0 ? EXIT.ok : EXIT.no;
  });
}

export function setDelete(set: string, elements: readonly string[], options: SetOptions): Promise<number> {
  return withHost(options, async (host) => {
    const { name: vm } = await chosenVm(host, options.vm ?? null);
    let deleted = 0;
    for (let at = 0; at < elements.length; at += PAGE) {
      deleted += (await host.call('set.delete', { vm, set, elements: elements.slice(at, at + PAGE) })).deleted;
    }
    const missing = elements.length - deleted;
    const rest = missing === 0 ? '' : `, ${grouped(missing)} not there`;
    tell(options, { deleted }, `${set}: ${grouped(deleted)} deleted${rest}`);
    return missing === 0 ? EXIT.ok : EXIT.no;
  });
}

/** @param set null: only which sets there are */
export function setList(set: string | null, options: SetOptions): Promise<number> {
  const most = options.limit ?? Number.POSITIVE_INFINITY;
  return withHost(options, async (host) => {
    const { name: vm } = await chosenVm(host, options.vm ?? null);
    if (set === null) {
      const { sets } = await host.call('set.list', { vm });
      tell(options, { sets }, sets.length === 0 ? 'the rules have no sets' : table(HEADER, sets.map(row)).join('\n'));
      return EXIT.ok;
    }
    const elements: ListedElement[] = [];
    let next: number | null = 0;
    let summary: SetSummary | undefined;
    while (next !== null && elements.length < most) {
      const limit = Math.min(PAGE, most - elements.length);
      const page: Awaited<ReturnType<typeof host.call<'set.list'>>> = await host.call('set.list', {
        vm,
        set,
        from: next,
        limit,
      });
      elements.push(...page.elements);
      next = page.next;
      summary = page.sets[0];
    }
    const lines = elements.map(({ element, remainingMs }) =>
      remainingMs === null ? element : `${element}  for ${span(remainingMs * NS_PER_MS)}`,
    );
    const total = `${set}: ${grouped(summary?.elements ?? 0)} elements${next === null ? '' : `, ${grouped(elements.length)} listed`}`;
    tell(options, { ...summary, listed: elements }, [total, ...lines.map((text) => `  ${text}`)].join('\n'));
    return EXIT.ok;
  });
}

const HEADER = ['set', 'types', 'elements', 'size', 'timeout', 'refused'];

function row({ set, types, elements, maxElements, timeoutMs, refused }: SetSummary): (string | number)[] {
  const timeout = timeoutMs === null ? '-' : span(timeoutMs * NS_PER_MS);
  return [set, types.join(' . '), elements, maxElements ?? 'in the rules', timeout, refused];
}

function tell({ json }: SetOptions, result: object, text: string): void {
  process.stdout.write(`${json === true ? JSON.stringify(result) : text}\n`);
}

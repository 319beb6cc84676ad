import { InvalidArgumentError, Option } from 'commander';
import { VmAddresses } from '../vm-addresses.ts';
import { Failure } from './failure.ts';

/** The rule set that is in force where the user names none. */
const DEFAULT_RULES = 'default';

const UNIT_NS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 60e9 };

/** `100ms`, `2.5s`, `250us` to nanoseconds. */
export function duration(text: string): number {
  const [, value, unit] = /^(\d+(?:\.\d+)?)(ns|us|ms|s|m)$/.exec(text) ?? [];
  if (value === undefined) throw new InvalidArgumentError('expected a duration such as 100ms, 2.5s or 250us');
  const ns = Math.round(Number(value) * UNIT_NS[unit!]!);
  if (ns > Number.MAX_SAFE_INTEGER) throw new InvalidArgumentError('expected a duration of at most 104 days');
  return ns;
}

export function positiveDuration(text: string): number {
  const value = duration(text);
  if (value < 1) throw new InvalidArgumentError('expected a duration above 0');
  return value;
}

export function count(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 1 on');
  return Number(text);
}

/** Whole numbers from 0 on. */
export function countOrNone(text: string): number {
  return text === '0' ? 0 : count(text);
}

/** `64M`, `512K` or plain bytes. */
export function bytes(text: string): number {
  const [, value, unit] = /^(\d{1,10})([KMG]?)$/.exec(text) ?? [];
  if (value === undefined) throw new InvalidArgumentError('expected bytes such as 1000000, 512K or 64M');
  return Number(value) * ({ '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[unit!] ?? 1);
}

function collect(text: string, before: string[]): string[] {
  return [...before, text];
}

/** For every command that reads captures. */
export function vmOption(): Option {
  return new Option(
    '--vm <addr>',
    'MAC, IP or prefix of the VM: what it sent is outbound (repeatable; without it all is)',
  )
    .argParser(collect)
    .default([], 'every frame');
}

export function rulesOption(): Option {
  return new Option('--rules <file>', 'rule file, or a shipped set: default, hold-all, telephony, router, web').default(
    DEFAULT_RULES,
  );
}

export function vmAddresses(texts: string[]): VmAddresses {
  try {
    return new VmAddresses(texts);
  } catch (error) {
    throw error instanceof RangeError ? new Failure(`--vm: ${error.message}`) : error;
  }
}

export const jsonOption = () => new Option('--json', 'print JSON for programs');
export const checksumOption = () => new Option('--verify-checksums', 'hold frames with a wrong IPv4 header checksum');

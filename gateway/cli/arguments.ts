import { InvalidArgumentError, Option } from 'commander';
import { parseBytes, parseCount, parseCountOrNone, parseDuration, ValueError } from '../units.ts';
import { VmAddresses } from '../vm-addresses.ts';
import { Failure } from './failure.ts';

/** The rule set that is in force where the user names none. */
const DEFAULT_RULES = 'default';

/** @returns what reads an argument as `parse` does, with errors that the command line shows */
function argument(parse: (text: string) => number): (text: string) => number {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw error instanceof ValueError ? new InvalidArgumentError(error.message) : error;
    }
  };
}

/** `100ms`, `2.5s`, `250us` to nanoseconds. */
export const duration = argument(parseDuration);
/** Whole numbers from 1 on. */
export const count = argument(parseCount);
/** Whole numbers from 0 on. */
export const countOrNone = argument(parseCountOrNone);
/** `64M`, `512K` or plain bytes. */
export const bytes = argument(parseBytes);

export function positiveDuration(text: string): number {
  const value = duration(text);
  if (value < 1) throw new InvalidArgumentError('expected a duration above 0');
  return value;
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

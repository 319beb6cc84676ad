import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Why a test that needs it is skipped; null where tshark is installed. */
export const withoutTshark = spawnSync('tshark', ['--version']).status === 0 ? null : 'tshark is not installed';

/** @returns for each packet what tshark says of each field: every occurrence, outermost first, with commas between */
export async function tsharkFields<Name extends string>(
  path: string,
  names: readonly Name[],
  flags: readonly string[] = [],
): Promise<Record<Name, string>[]> {
  const { stdout } = await run('tshark', [
    '-n',
    '-r',
    path,
    ...flags,
    '-T',
    'fields',
    ...names.flatMap((name) => ['-e', name]),
  ]);
  const lines = stdout === '' ? [] : stdout.replace(/\n$/, '').split('\n');
  return lines.map((line) => {
    const cells = line.split('\t');
    return Object.fromEntries(names.map((name, index) => [name, cells[index] ?? ''])) as Record<Name, string>;
  });
}

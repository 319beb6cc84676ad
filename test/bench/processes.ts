import { spawnSync } from 'node:child_process';

export interface ProcessTime {
  readonly wallMs: number;
  /** User and system time, of all threads. */
  readonly cpuMs: number;
}

/** @returns the program's path, null where it is not installed */
export function find(program: string): string | null {
  const path = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
  const { stdout, status } = spawnSync('bash', ['-c', 'command -v "$1"', 'bash', program], {
    encoding: 'utf8',
    env: { ...process.env, PATH: path },
  });
  return status === 0 ? stdout.trim() : null;
}

/**
 * Runs a program with its output going to /dev/null. Bash takes the times: it alone tells those of a child.
 * @throws if the program fails
 */
export function timeProcess(command: readonly string[]): ProcessTime {
  const { stdout, stderr, status } = spawnSync(
    'bash',
    ['-c', 'TIMEFORMAT="%3R %3U %3S"; exec 3>&1 4>&2; { time "$@" >/dev/null 2>&4; } 2>&3', 'bash', ...command],
    { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C', NODE_OPTIONS: '' } },
  );
  const [wall, user, system] = stdout.trim().split(' ').map(Number);
  if (status !== 0 || system === undefined) throw new Error(`${command.join(' ')}: exit code ${status} ${stderr}`);
  return { wallMs: wall! * 1e3, cpuMs: (user! + system) * 1e3 };
}

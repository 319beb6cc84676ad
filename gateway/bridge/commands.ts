import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { BridgeError } from './bridge-error.ts';

const ENV = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' };
const MOST_BYTES = 64 * 2 ** 20;

/** What looks at links and changes them: the programs ip, bridge, tc and ethtool, and files under /proc/sys. */
export interface Commands {
  /** Nothing is changed, only told. */
  readonly isDry: boolean;
  /** Changes something. @throws BridgeError `command-failed` with what the program says */
  run(program: string, ...parameters: readonly string[]): void;
  /** Changes a setting of the kernel. @throws BridgeError */
  write(path: string, value: string): void;
  /** @returns what the program prints, as JSON; null where it prints nothing @throws BridgeError */
  ask(program: string, ...parameters: readonly string[]): unknown;
  /** @returns the setting, null where the kernel has none of that name */
  read(path: string): string | null;
}

/** The machine's own, in this process's network namespace. */
export class SystemCommands implements Commands {
  readonly isDry: boolean = false;

  run(program: string, ...parameters: readonly string[]): void {
    call(program, parameters);
  }

  write(path: string, value: string): void {
    try {
      writeFileSync(path, value);
    } catch (error) {
      throw new BridgeError('command-failed', `${path}: ${(error as NodeJS.ErrnoException).code}`);
    }
  }

  ask(program: string, ...parameters: readonly string[]): unknown {
    const text = call(program, parameters);
    try {
      return text.trim() === '' ? null : JSON.parse(text);
    } catch {
      throw new BridgeError(
        'command-failed',
        `${shown(program, parameters)}: it prints no JSON; is it an old version?`,
      );
    }
  }

  read(path: string): string | null {
    try {
      return readFileSync(path, 'utf8').trim();
    } catch {
      return null;
    }
  }
}

/** Looks, and tells what it would change. */
export class DryCommands extends SystemCommands {
  override readonly isDry = true;
  readonly #tell: (command: string) => void;

  constructor(tell: (command: string) => void) {
    super();
    this.#tell = tell;
  }

  override run(program: string, ...parameters: readonly string[]): void {
    this.#tell(shown(program, parameters));
  }

  override write(path: string, value: string): void {
    this.#tell(`echo ${value} > ${path}`);
  }
}

function call(program: string, parameters: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, parameters, {
    env: ENV,
    encoding: 'utf8',
    maxBuffer: MOST_BYTES,
  });
  if (status === 0) return stdout;
  const isMissing = (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
  const why = isMissing ? 'it is not installed' : (error?.message ?? stderr.trim().replaceAll(/\s*\n\s*/g, '; '));
  throw new BridgeError('command-failed', `${shown(program, parameters)}: ${why}`);
}

/** @returns the command as a shell takes it */
function shown(program: string, parameters: readonly string[]): string {
  const quoted = parameters.map((one) => (/^[\w./:@%+=,-]+$/.test(one) ? one : `'${one.replaceAll("'", `'\\''`)}'`));
  return [program, ...quoted].join(' ');
}

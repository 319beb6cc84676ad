import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { find } from './processes.ts';

/** Paths of the programs of `test/bench/c`. */
export interface CPrograms {
  readonly forward: string;
  readonly forwardRing: string;
  readonly forwardXdp: string;
  readonly send: string;
  readonly latency: string;
}

/** @returns where they are now, in `folder`; or why they cannot be built */
export function buildCPrograms(folder: string): CPrograms | string {
  const compiler = find('cc') ?? find('gcc');
  if (compiler === null) return 'no C compiler';
  const paths = ['forward', 'forward-ring', 'forward-xdp', 'send', 'latency'].map((name) => {
    const source = fileURLToPath(new URL(`c/${name}.c`, import.meta.url));
    const path = `${folder}/${name}`;
    const { status, stderr } = spawnSync(compiler, ['-O2', '-o', path, source], { encoding: 'utf8' });
    return status === 0 ? path : new Error(stderr);
  });
  const failed = paths.find((path) => path instanceof Error);
  if (failed !== undefined) return `the C programs do not compile: ${failed.message.split('\n')[0]}`;
  const [forward, forwardRing, forwardXdp, send, latency] = paths as string[];
  return { forward: forward!, forwardRing: forwardRing!, forwardXdp: forwardXdp!, send: send!, latency: latency! };
}

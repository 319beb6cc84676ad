import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { PcapWriter, type PcapWriterOptions } from '../../pcaps/pcap-writer.ts';

/** The command as `make build` leaves it. */
export const HOLDFAST = fileURLToPath(new URL('../../dist/gateway/cli/main.js', import.meta.url));
export const TRACES = fileURLToPath(new URL('../../pcaps/traces/', import.meta.url));
/** The VM of every capture in `TRACES`. */
export const TRACE_VM = '52:54:00:00:02:10';

export interface CliResult {
  readonly code: number | null;
  /** Set where the time limit ended the command. */
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly stdin?: Uint8Array | string;
  readonly nodeOptions?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Default: 60 s. */
  readonly timeoutMs?: number;
}

/** Runs `holdfast ARGS` as a process of its own. */
export function holdfast(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...(options.nodeOptions ?? []), HOLDFAST, ...args], {
      env: { ...process.env, NODE_OPTIONS: '', ...options.env },
      timeout: options.timeoutMs ?? 60_000,
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
    // A command that refuses its input ends before it has read it.
    child.stdin.on('error', () => {});
    child.stdin.end(options.stdin ?? '');
  });
}

/** @returns the lines of `--json` output, parsed */
export function jsonLines(stdout: string): Record<string, unknown>[] {
  return stdout
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** A folder that is removed after the test file's last test. */
export function temporaryFolder(): {
  path(name: string): string;
  write(name: string, bytes: Uint8Array | string): string;
} {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const path = (name: string) => join(folder, name);
  return {
    path,
    write(name, bytes) {
      writeFileSync(path(name), bytes);
      return path(name);
    },
  };
}

/** @param frames bytes and when: nanoseconds after `seconds` */
export function pcapOf(
  frames: readonly { readonly bytes: Uint8Array; readonly atNs?: number }[],
  options: PcapWriterOptions & { readonly seconds?: number } = {},
): Uint8Array {
  const chunks: Uint8Array[] = [];
  const writer = new PcapWriter((chunk) => chunks.push(chunk.slice()), { nanoseconds: true, ...options });
  for (const { bytes, atNs = 0 } of frames) {
    const seconds = (options.seconds ?? 1_700_000_000) + Math.floor(atNs / 1e9);
    writer.writePacket(seconds, atNs % 1e9, bytes, 0, bytes.length, bytes.length);
  }
  writer.flush();
  return new Uint8Array(Buffer.concat(chunks));
}

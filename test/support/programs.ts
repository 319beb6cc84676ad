import { spawnSync } from 'node:child_process';

/** @returns why a test that needs these programs is skipped; null where all are installed */
export function withoutPrograms(...names: readonly string[]): string | null {
  const missing = names.filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
  return missing.length === 0 ? null : `not installed: ${missing.join(', ')}`;
}

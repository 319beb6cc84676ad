import { spawnSync } from 'node:child_process';
import { afterEach, expect } from 'vitest';
import { folder } from './folders.ts';

const mounted: string[] = [];

/** @returns a folder that is a file system of this size until the test ends, null where this process may not mount one */
export function small(bytes: number): string | null {
  const where = folder();
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'holdfast-test', where]).status !== 0) return null;
  mounted.push(where);
  return where;
}

export function grow(where: string, bytes: number): void {
  expect(spawnSync('mount', ['-o', `remount,size=${bytes}`, where]).status).toBe(0);
}

afterEach(() => {
  for (const path of mounted.splice(0)) spawnSync('umount', ['-l', path]);
});

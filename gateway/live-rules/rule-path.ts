import { resolve } from 'node:path';
import { SHIPPED_SETS, type ShippedSet } from '../../rules/load.ts';

export function isShipped(path: string): path is ShippedSet {
  return SHIPPED_SETS.some((name) => name === path);
}

/** @returns the file, wherever the process goes; a shipped set's name as it is */
export function absoluteRules(path: string): string {
  return isShipped(path) ? path : resolve(path);
}

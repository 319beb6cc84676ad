import type { DiskStatus } from './disk-options.ts';

/** What may be asked of a disk in another process, and the parameters, all whole numbers. */
export const DISK_METHODS = {
  'disk.status': [],
  'disk.start': ['term', 'epoch'],
  'disk.seal': ['term', 'epoch'],
  'disk.durable': ['term', 'epoch'],
  'disk.commit': ['term', 'epoch'],
  'disk.abort': ['term', 'epoch'],
  'disk.rollback': ['term', 'epoch'],
  'disk.failover': ['term'],
  'disk.stop': ['term'],
  'disk.settle': [],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type DiskMethod = keyof typeof DISK_METHODS;

/** Results; the others have none: null. */
export interface DiskResults extends Record<DiskMethod, unknown> {
  'disk.status': DiskStatus;
  'disk.commit': { readonly isNew: boolean };
  'disk.failover': { readonly epoch: number };
}

/** Without the line end. */
export const MAX_DISK_LINE_BYTES = 65_536;

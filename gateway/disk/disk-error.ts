/** Stable codes of what goes wrong with a disk. */
export type DiskErrorCode =
  | 'image-missing'
  | 'image-unusable'
  | 'log-in-use'
  | 'log-foreign'
  | 'log-damaged'
  | 'log-full'
  | 'write-lost'
  | 'not-settled'
  | 'out-of-range'
  | 'cut-off'
  | 'disk-failed'
  | 'disk-closed'
  | 'not-supported';

/** A disk that cannot be opened, or a request that it cannot carry out. */
export class DiskError extends Error {
  readonly code: DiskErrorCode;

  constructor(code: DiskErrorCode, message: string) {
    super(message);
    this.name = 'DiskError';
    this.code = code;
  }
}

/** Why what outlives a process cannot be kept. */
export type StoreErrorCode =
  /** Another gateway uses the folder. */
  | 'in-use'
  /** The folder is somebody else's, or others may write to it. */
  | 'not-owned'
  /** Frames that were held do not fit the limits that are configured now. */
  | 'too-small'
  | 'no-space'
  | 'system';

/** The state folder cannot be used as it is; the message says what to do. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string) {
    super(message);
    this.name = 'StoreError';
    this.code = code;
  }
}

/** Why a port cannot be opened. */
export type PortErrorCode =
  | 'not-linux'
  | 'no-koffi'
  | 'no-cap'
  | 'not-permitted'
  | 'enslaved'
  | 'has-addresses'
  | 'not-ethernet'
  | 'not-ip'
  | 'several-queues'
  | 'guard-failed'
  | 'bad-name'
  | 'taken'
  | 'no-backpressure'
  | 'system';

/** A port that cannot do what its configuration asks for. */
export class PortError extends Error {
  readonly code: PortErrorCode;

  constructor(code: PortErrorCode, message: string) {
    super(message);
    this.name = 'PortError';
    this.code = code;
  }
}

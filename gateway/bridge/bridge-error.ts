/** Why a gateway cannot be put before a bridge, or taken away again. */
export type BridgeErrorCode =
  | 'no-device'
  | 'wrong-device'
  | 'wrong-bridge'
  | 'in-use'
  | 'not-ours'
  | 'bad-journal'
  | 'busy'
  | 'command-failed'
  | 'not-as-told';

/** What a person has to know; nothing was changed by the step that failed. */
export class BridgeError extends Error {
  readonly code: BridgeErrorCode;

  constructor(code: BridgeErrorCode, message: string) {
    super(message);
    this.name = 'BridgeError';
    this.code = code;
  }
}

/** Exit codes of every command. */
export const EXIT = { ok: 0, no: 1, usage: 2 } as const;

/** Ends a command with one line on stderr. */
export class Failure extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.usage) {
    super(message);
    this.name = 'Failure';
    this.exitCode = exitCode;
  }
}

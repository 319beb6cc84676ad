/** A request that the state of the database does not allow. */
export class DatabaseError extends Error {
  readonly code: 'confirm-pending' | 'nothing-to-confirm' | 'unknown-generation' | 'unknown-handle' | 'no-statement';

  constructor(code: DatabaseError['code'], message: string) {
    super(message);
    this.name = 'DatabaseError';
    this.code = code;
  }
}

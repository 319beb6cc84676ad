import type { RecordType } from './record.ts';

/** What is to be written. `a`, `b`, `flags`: see `RedoRecord`. */
export interface LogEntry {
  /** null: no record, the next one begins a new segment. */
  readonly type: RecordType | null;
  readonly flags: number;
  readonly a: number;
  readonly b: number;
  readonly payload: readonly Uint8Array[];
  /** Called when everything before is written and applied; throws if this entry must not be written after all. */
  readonly check: () => void;
  /** Called when it is written, in the order of the log. @param record address of the record @param at address of its payload */
  readonly apply: (record: number, at: number) => void;
}

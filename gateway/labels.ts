import type { FrameRecords } from './frame-records.ts';

/**
 * How the labels of held frames are read. A record says in which epoch its frame was held, for good; where a new term or a rollback
 * gives frames other labels, that is said here, of all records of earlier eras at once.
 */
export interface Labels {
  /** How often labels were given anew. */
  era: number;
  /** Number of the first record of an earlier era whose frame is not label 0: may leave. */
  boundary: number;
  /** What those from there on have as their label; Infinity: they are to be discarded. */
  firstLabel: number;
}

/** @returns the label of the frame of record `number`, at index `at` */
export function labelOf(labels: Labels, records: FrameRecords, number: number, at: number): number {
  if (records.era[at] === labels.era) return records.epoch[at]!;
  return ((number - labels.boundary) | 0) < 0 ? 0 : labels.firstLabel;
}

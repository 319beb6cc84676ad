import type { Clock } from './clock.ts';
import type { Log, LogFields } from './log.ts';

const SECOND_NS = 1e9;
/** Subjects that are told apart at the same time; what comes beyond shares one. */
const MAX_SUBJECTS = 256;
const OTHERS = '';

type Level = 'debug' | 'info' | 'warn' | 'error';
type Lines = Pick<Log, Level>;

interface Subject {
  sinceNs: number;
  lines: number;
  leftOut: number;
  level: Level;
  fields: LogFields;
  message: string;
}

/** For what may happen again and again: so many lines a second about each subject, and then how many were left out. */
export class LimitedLog {
  readonly #log: Lines;
  readonly #clock: Clock;
  readonly #lines: number;
  readonly #spanNs: number;
  readonly #subjects = new Map<string, Subject>();

  /** @param spanNs in which so many lines are written about each subject, instead of a second */
  constructor(log: Lines, clock: Clock, lines = 3, spanNs = SECOND_NS) {
    this.#log = log;
    this.#clock = clock;
    this.#lines = lines;
    this.#spanNs = spanNs;
  }

  /** @param subject what the line is about: lines about one subject are counted together */
  write(level: Level, subject: string, fields: LogFields, message: string): void {
    const nowNs = this.#clock.nowNs();
    const name = this.#subjects.has(subject) || this.#subjects.size < MAX_SUBJECTS ? subject : OTHERS;
    const before = this.#subjects.get(name);
    if (before !== undefined && nowNs - before.sinceNs < this.#spanNs) {
      Object.assign(before, { level, fields, message });
      if (before.lines >= this.#lines) {
        before.leftOut++;
        return;
      }
      before.lines++;
    } else {
      if (before !== undefined) this.#tell(before);
      this.#subjects.set(name, { sinceNs: nowNs, lines: 1, leftOut: 0, level, fields, message });
    }
    this.#log[level](fields, message);
  }

  /** Says what was left out more than a second ago, and forgets what has been quiet since. To be called about once a second. */
  tick(): void {
    const nowNs = this.#clock.nowNs();
    for (const [name, subject] of this.#subjects) {
      if (nowNs - subject.sinceNs < this.#spanNs) continue;
      this.#subjects.delete(name);
      this.#tell(subject);
    }
  }

  #tell({ level, fields, message, leftOut }: Subject): void {
    if (leftOut > 0) this.#log[level]({ ...fields, lines: leftOut }, `${message} (the last of ${leftOut} left out)`);
  }
}

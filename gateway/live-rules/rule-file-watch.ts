import { RulesInvalidError, type Sources } from '../../rules/errors.ts';
import type { RuleSources } from '../../rules/sources.ts';
import { WatchedFiles, type WatchTimes } from './watched-files.ts';

/** Watches a rule file with those that it includes, or did when it could last be read. */
export class RuleFileWatch {
  /** Called when one of the files has changed and all are quiet. */
  onChange: (() => void) | null = null;
  /** Why the file is not in force; null: it was read without errors. */
  trouble: string | null = null;
  readonly #files: WatchedFiles;

  private constructor(sources: Sources, print: string, times: WatchTimes | undefined) {
    this.#files = new WatchedFiles(sources, print, () => this.onChange?.(), times);
  }

  /** Call it before the file is read, so that no change falls in between. */
  static async begin(path: string, times?: WatchTimes): Promise<RuleFileWatch> {
    const sources = new Map([[path, '']]);
    return new RuleFileWatch(sources, await WatchedFiles.print(sources), times);
  }

  /**
   * The file was read.
   * @param failure what was wrong with it
   * @param sources what was read, if it was fit to be
   * @returns whether what is wrong with it is new
   */
  read(failure: Error | null, sources: RuleSources | null): boolean {
    const isNew = failure !== null && failure.message !== this.trouble;
    this.trouble = failure?.message ?? null;
    const read = sources?.texts ?? (failure instanceof RulesInvalidError ? failure.sources : null);
    if (read !== null) this.#files.follow(read);
    return isNew;
  }

  close(): void {
    this.#files.close();
  }
}

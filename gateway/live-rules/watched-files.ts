import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Sources } from '../../rules/errors.ts';
import { includedPath } from '../../rules/include.ts';

export interface WatchTimes {
  /** For how long files must not have changed before they are read. */
  readonly quietMs: number;
  /** How often they are looked at in any case: not every file system tells of changes. */
  readonly pollMs: number;
}

const USUAL: WatchTimes = { quietMs: 100, pollMs: 1000 };

/**
 * Tells when files have changed and are quiet again. Not the files are watched but their folders, so that a file may be replaced: by an
 * editor that renames, or through a symbolic link that points elsewhere. What notices a change is their identity, size and times.
 */
export class WatchedFiles {
  readonly #onChange: () => void;
  readonly #times: WatchTimes;
  readonly #watchers = new Map<string, FSWatcher>();
  #paths: readonly string[] = [];
  /** What `#paths` were when they were last told of. */
  #told: string;
  #seen: string;
  #seenAtMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #isLooking = false;
  #isClosed = false;

  /**
   * @param print what `print` said before the files were read: a change since then is told
   * @param onChange called once the files are quiet
   */
  constructor(sources: Sources, print: string, onChange: () => void, times: WatchTimes = USUAL) {
    this.#onChange = onChange;
    this.#times = times;
    this.#told = print;
    this.#seen = print;
    this.#paths = pathsOf(sources);
    this.#watchFolders();
    this.#wakeIn(times.pollMs);
  }

  /** How the files of some texts are now: it changes when one of them does, or its folder. */
  static async print(sources: Sources): Promise<string> {
    return printOf(pathsOf(sources));
  }

  /** The files have been read: others may belong to them now, which are looked at at once. */
  follow(sources: Sources): void {
    const paths = pathsOf(sources);
    if (paths.join('\n') === this.#paths.join('\n')) return;
    this.#paths = paths;
    this.#told = '';
    this.#watchFolders();
    this.#wakeIn(0);
  }

  close(): void {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watchFolders(): void {
    const folders = new Set(this.#paths.map((path) => dirname(path)));
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    for (const folder of folders) {
      if (this.#watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, { persistent: false }, () => this.#wakeIn(0));
        // The folder has gone: the clock looks on, and watches it when it is there again.
        watcher.on('error', () => {
          watcher.close();
          this.#watchers.delete(folder);
        });
        this.#watchers.set(folder, watcher);
      } catch {
        // The same, from the start.
      }
    }
  }

  #wakeIn(ms: number): void {
    if (this.#isClosed || this.#isLooking) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(), ms);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    const paths = this.#paths;
    const beganMs = performance.now();
    const now = await printOf(paths);
    this.#isLooking = false;
    if (this.#isClosed) return;
    if (now !== this.#seen) {
      this.#seen = now;
      // Not seen before the look has ended: a loop that stands still in between is no time in which the files stood still.
      this.#seenAtMs = performance.now();
    }
    const waitMs = this.#seenAtMs + this.#times.quietMs - beganMs;
    if (paths !== this.#paths) {
      this.#wakeIn(0);
    } else if (now === this.#told) {
      this.#watchFolders();
      this.#wakeIn(this.#times.pollMs);
    } else if (waitMs > 0) {
      this.#wakeIn(Math.min(waitMs, this.#times.quietMs));
    } else {
      this.#told = now;
      this.#wakeIn(this.#times.pollMs);
      this.#onChange();
    }
  }
}

/** The files, and in place of those that a pattern names their folder. */
function pathsOf(sources: Sources): string[] {
  const paths = new Set<string>();
  for (const [file, text] of sources) {
    paths.add(file);
    for (const [, path] of text.matchAll(/^\s*include\s+"([^"\n]+)"/gm)) {
      const wanted = includedPath(path!, file);
      paths.add(/[*?[]/.test(basename(wanted)) ? dirname(wanted) : wanted);
    }
  }
  return [...paths];
}

async function printOf(paths: readonly string[]): Promise<string> {
  const prints = await Promise.all(
    paths.map(async (path) => {
      try {
        const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
        return `${path} ${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
      } catch {
        return `${path} is not there`;
      }
    }),
  );
  return prints.join('\n');
}

import { lockFolder } from '../durable/mapped-memory.ts';
import { StoreError } from '../durable/store-error.ts';
import { BridgeError } from './bridge-error.ts';
import type { Journals } from './journal.ts';

const RETRY_MS = 50;
const RETRIES = 200;

/**
 * Only one command at a time changes links: hooks of several VMs may come at once, and wait for each other here.
 * @throws BridgeError `busy` where another one does not end
 */
export function locked<T>(journals: Journals, work: () => T): T {
  journals.makeFolder();
  const unlock = waitForLock(journals.folder);
  try {
    return work();
  } finally {
    unlock();
  }
}

function waitForLock(folder: string): () => void {
  for (let n = 0; ; n++) {
    try {
      return lockFolder(folder);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (error.code !== 'in-use') throw new BridgeError('bad-journal', error.message);
      if (n === RETRIES)
        throw new BridgeError('busy', `another 'holdfast bridge' is at work in ${folder}, and does not end`);
      sleep(RETRY_MS);
    }
  }
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

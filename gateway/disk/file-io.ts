import { type FileHandle, open } from 'node:fs/promises';
import { DiskError } from './disk-error.ts';

/** Fills `into` from the file. @throws DiskError `log-damaged` where the file ends before */
export async function readFully(file: FileHandle, into: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await file.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) throw new DiskError('log-damaged', `a file ends ${into.length - done} bytes too early`);
    done += bytesRead;
  }
}

/** Writes all of `chunks`, one behind the other. */
export async function writeFully(file: FileHandle, chunks: readonly Uint8Array[], position: number): Promise<void> {
  let left = chunks;
  let at = position;
  while (left.length > 0) {
    const { bytesWritten } = await file.writev(left as Uint8Array[], at);
    at += bytesWritten;
    left = without(left, bytesWritten);
  }
}

/** Makes names that were created, renamed or removed in the folder last. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function without(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skipped = 0;
  for (let index = 0; index < chunks.length; index++) {
    const chunk = chunks[index]!;
    if (skipped + chunk.length > bytes) return [chunk.subarray(bytes - skipped), ...chunks.slice(index + 1)];
    skipped += chunk.length;
  }
  return [];
}

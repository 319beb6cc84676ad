import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { StateError } from '../epoch.ts';
import { NO_EPOCHS } from './disk-epochs.ts';
import { DiskError } from './disk-error.ts';
import { DiskState } from './disk-state.ts';
import { syncFolder } from './file-io.ts';
import { TAG_BYTES } from './record.ts';
import { RedoLog } from './redo-log.ts';
import { Segment, segmentNumber } from './segment.ts';
import { checkTorn, scan } from './segment-scan.ts';
import { lockFile } from './syscalls.ts';

const LOCK = 'lock';

/** Whose log it is. */
export interface LogOwner {
  /** Real path. */
  readonly image: string;
  readonly sizeBytes: number;
}

/** What was found when a log was opened. */
export interface Recovery {
  readonly records: number;
  /** Behind the last whole record; cut off. */
  readonly tornBytes: number;
}

export interface OpenedLog {
  readonly log: RedoLog;
  readonly state: DiskState;
  readonly recovery: Recovery;
}

/**
 * Opens the log in a folder, or begins one there.
 * @throws DiskError `log-in-use`, `log-foreign`, `log-damaged`; nothing is changed then
 */
export async function openLog(folder: string, owner: LogOwner, segmentBytes: number): Promise<OpenedLog> {
  await makeFolder(resolve(folder));
  const lock = await open(join(folder, LOCK), 'a', 0o600);
  const segments: Segment[] = [];
  try {
    if (!lockFile(lock.fd)) throw new DiskError('log-in-use', `another process has the redo log ${folder} open`);
    const names = (await readdir(folder)).sort();
    checkNames(folder, names);
    for (const name of names) {
      if (segmentNumber(name) !== null) segments.push(await Segment.open(join(folder, name)));
    }
    checkSegments(folder, segments, owner);
    const { state, sequence, recovery } = await replay(segments);
    // Nothing is refused from here on.
    for (const name of names) if (name.endsWith('.new')) await rm(join(folder, name));
    await makeDurable(segments, recovery);
    if (segments.length === 0) segments.push(await firstSegment(folder, owner));
    await syncFolder(folder);
    const log = new RedoLog({ folder, lock, segments, sequence, segmentBytes, epochs: () => state.epochs });
    return { log, state, recovery };
  } catch (error) {
    await closeAll(segments, lock);
    throw error;
  }
}

/** Every folder that is missing; their names are durable. */
async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
}

function checkNames(folder: string, names: readonly string[]): void {
  const foreign = names.find((name) => name !== LOCK && segmentNumber(name.replace(/\.new$/, '')) === null);
  if (foreign === undefined) return;
  throw new DiskError('log-foreign', `${join(folder, foreign)} is no part of a redo log, whose folder is for it alone`);
}

function checkSegments(folder: string, segments: readonly Segment[], owner: LogOwner): void {
  for (const [index, { path, description }] of segments.entries()) {
    const before = segments[index - 1];
    if (description.image !== owner.image) {
      const message = `${path} belongs to the image ${description.image}, not to ${owner.image}`;
      throw new DiskError('log-foreign', message);
    }
    if (description.sizeBytes !== owner.sizeBytes) {
      const message = `${path} belongs to an image of ${description.sizeBytes} bytes; ${owner.image} has ${owner.sizeBytes}`;
      throw new DiskError('log-foreign', message);
    }
    if (segmentNumber(path.slice(folder.length + 1)) !== description.number) {
      throw new DiskError('log-foreign', `${path} has another name than it was written under`);
    }
    if (before === undefined) continue;
    if (description.tag !== before.description.tag) {
      throw new DiskError('log-foreign', `${path} belongs to another log than ${before.path}`);
    }
    // Where one is missing, so are at least the bytes of its description.
    if (description.address !== before.end) {
      throw new DiskError(
        'log-damaged',
        `${path} does not follow ${before.path}: a segment is missing or has another length`,
      );
    }
  }
}

async function replay(
  segments: readonly Segment[],
): Promise<{ state: DiskState; sequence: number; recovery: Recovery }> {
  const first = segments[0]?.description;
  const state = new DiskState(first?.epochs ?? NO_EPOCHS);
  let sequence = first === undefined ? 0 : first.firstSequence - 1;
  let records = 0;
  let tornBytes = 0;
  for (const [index, segment] of segments.entries()) {
    if (segment.description.firstSequence !== sequence + 1) {
      throw new DiskError(
        'log-damaged',
        `${segment.path} begins with record ${segment.description.firstSequence}, not ${sequence + 1}`,
      );
    }
    const good = await scan(segment, sequence, (record, address, at) => {
      applyOrRefuse(() => state.apply(record, address, at), segment, address);
      records++;
    });
    ({ sequence } = good);
    if (good.end === segment.size) continue;
    if (index < segments.length - 1) {
      throw new DiskError(
        'log-damaged',
        `${segment.path}, byte ${good.end}: no whole record, and another segment follows`,
      );
    }
    await checkTorn(segment, sequence, good.end);
    tornBytes = segment.size - good.end;
    segment.size = good.end;
  }
  return { state, sequence, recovery: { records, tornBytes } };
}

function applyOrRefuse(apply: () => void, segment: Segment, address: number): void {
  try {
    apply();
  } catch (error) {
    if (!(error instanceof StateError || error instanceof RangeError)) throw error;
    const place = `${segment.path}, byte ${address - segment.address}`;
    throw new DiskError('log-damaged', `${place}: a record that cannot be: ${error.message}`);
  }
}

/** What a process that was killed wrote is in the kernel's hands; only now does the log rely on it. */
async function makeDurable(segments: readonly Segment[], recovery: Recovery): Promise<void> {
  const last = segments.at(-1);
  if (last === undefined) return;
  if (recovery.tornBytes > 0) await last.file.truncate(last.size);
  await last.file.sync();
}

function firstSegment(folder: string, { image, sizeBytes }: LogOwner): Promise<Segment> {
  const tag = randomBytes(TAG_BYTES).toString('hex');
  return Segment.create(folder, {
    ...{ tag, number: 1, address: 0, firstSequence: 1, image, sizeBytes, epochs: NO_EPOCHS },
  });
}

async function closeAll(segments: readonly Segment[], lock: FileHandle): Promise<void> {
  for (const segment of segments) await segment.release();
  await lock.close();
}

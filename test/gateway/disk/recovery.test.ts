import {
  appendFileSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskBarrier } from '../../../gateway/disk/disk-barrier.ts';
import type { DiskOptions } from '../../../gateway/disk/disk-options.ts';
import { encodeHeader, RECORD } from '../../../gateway/disk/record.ts';
import type { SegmentDescription } from '../../../gateway/disk/segment.ts';
import { folder, openFiles } from './folders.ts';

const SIZE = 65_536;
let where = '';

beforeEach(() => {
  where = folder();
});

afterEach(() => {
  expect(openFiles(where), 'files that nobody has closed').toEqual([]);
});

function open(options: Partial<DiskOptions> = {}): Promise<DiskBarrier> {
  const usual = { image: join(where, 'image'), log: join(where, 'log'), sizeBytes: SIZE, segmentBytes: 4096 };
  return DiskBarrier.open({ ...usual, ...options });
}

const segments = () =>
  readdirSync(join(where, 'log'))
    .filter((name) => name.endsWith('.redo'))
    .sort()
    .map((name) => join(where, 'log', name));

/** What a segment says of itself. */
function description(path: string): SegmentDescription {
  const bytes = readFileSync(path);
  return JSON.parse(bytes.toString('utf8', 16, 16 + bytes.readUInt32BE(8)));
}

/** A log of several segments with durable, uncommitted writes. */
async function fill(writes = 8): Promise<void> {
  const disk = await open();
  await disk.start(1);
  for (let index = 0; index < writes; index++) {
    await disk.write(index * 1024, [Buffer.alloc(1024, index + 1)]);
    await disk.flush();
  }
  await disk.close();
}

function everything(): Record<string, string> {
  const log = readdirSync(join(where, 'log')).map((name) => join(where, 'log', name));
  const paths = [join(where, 'image'), ...log];
  return Object.fromEntries(paths.map((path) => [path, readFileSync(path).toString('base64')]));
}

/** Refused for this reason, and nothing was touched. */
async function expectRefusal(code: string, message: RegExp, options: Partial<DiskOptions> = {}): Promise<void> {
  const before = everything();
  await expect(open(options)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  expect(everything()).toEqual(before);
}

describe('a torn end', () => {
  it('is cut off and told of; everything before it counts', async () => {
    await fill();
    const path = segments().at(-1)!;
    const whole = readFileSync(path);
    truncateSync(path, whole.length - 1);
    const disk = await open();
    expect(disk.status.recovery).toMatchObject({ records: 8, tornBytes: 1079 });
    const bytes = Buffer.alloc(SIZE);
    await disk.read(bytes, 0);
    expect(bytes[6 * 1024]).toBe(7);
    expect(bytes[7 * 1024]).toBe(0);
    await disk.close();
    expect(readFileSync(path).length).toBe(whole.length - 1080);
  });

  it('may be of any kind', async () => {
    await fill();
    const path = segments().at(-1)!;
    const whole = readFileSync(path);
    for (const tail of [Buffer.alloc(1), Buffer.alloc(5000), whole.subarray(-1080), Buffer.from('HFREDO1\n'), whole]) {
      writeFileSync(path, Buffer.concat([whole, tail]));
      const disk = await open();
      expect(disk.status.recovery).toMatchObject({ records: 9, tornBytes: tail.length });
      await disk.close();
    }
  });

  it('may hold whole records that were written after the torn one but never made durable', async () => {
    const disk = await open({ segmentBytes: 65_536 });
    await disk.start(1);
    await disk.write(0, [Buffer.alloc(100, 1)]);
    await disk.write(100, [Buffer.alloc(100, 2)]);
    await disk.write(200, [Buffer.alloc(100, 3)]);
    await disk.close();
    const [path] = segments();
    const bytes = readFileSync(path!);
    bytes[bytes.length - 2 * 156 + 60]! ^= 1;
    writeFileSync(path!, bytes);
    const again = await open();
    expect(again.status.recovery).toEqual({ records: 2, tornBytes: 312 });
    await again.close();
  });

  it('may begin right behind what was durable', async () => {
    const disk = await open({ segmentBytes: 65_536 });
    await disk.start(1);
    for (const fill of [1, 2]) await disk.write(0, [Buffer.alloc(100, fill)]);
    await disk.close();
    const [path] = segments();
    const bytes = readFileSync(path!);
    bytes[bytes.length - 2 * 156]! ^= 1;
    writeFileSync(path!, bytes);
    const again = await open();
    expect(again.status.recovery).toEqual({ records: 1, tornBytes: 312 });
    await again.close();
  });

  it('is one too where a guest has chosen a payload whose checksum is that of none', async () => {
    const payload = Buffer.from('9d0ad96d', 'hex');
    expect(crc32(payload)).toBe(0);
    const disk = await open();
    await disk.write(0, [payload]);
    await disk.close();
    const [path] = segments();
    truncateSync(path!, readFileSync(path!).length - 4);
    const again = await open();
    expect(again.status.recovery).toEqual({ records: 0, tornBytes: 56 });
    await again.close();
  });

  it('is not read as the log where a guest wrote what looks like one', async () => {
    await fill(2);
    const disk = await open({ segmentBytes: 65_536 });
    const copy = readFileSync(segments().at(-1)!);
    copy.fill(0, copy.length - 2 * 1080 + 56 + 1024, copy.length - 2 * 1080 + 56 + 1032);
    await disk.write(0, [Buffer.from('HFREDO1\n'), copy.subarray(0, 600)]);
    await disk.close();
    const again = await open();
    expect(again.status.recovery.tornBytes).toBe(0);
    await again.close();
  });
});

describe('a log is refused and left as it is where', () => {
  it('a record is damaged that was durable', async () => {
    await fill(2);
    const path = segments().at(-1)!;
    const bytes = readFileSync(path);
    bytes[bytes.length - 1080 - 10]! ^= 4;
    writeFileSync(path, bytes);
    await expectRefusal('log-damaged', /no whole record stands here, but was durable once/);
  });

  it('a record is damaged that was durable, and what tells it is far behind', async () => {
    const disk = await open({ sizeBytes: 2 ** 22, segmentBytes: 2 ** 24 });
    await disk.start(1);
    await disk.write(0, [Buffer.alloc(100)]);
    // The record that tells begins before a border of what is read at once and ends behind it.
    await disk.write(0, [Buffer.alloc(2 ** 20 - 20 - 56 - 156)]);
    await disk.flush();
    await disk.write(0, [Buffer.alloc(100)]);
    await disk.close();
    const [path] = segments();
    const bytes = readFileSync(path!);
    bytes[bytes.length - 156 - (2 ** 20 - 20)]! ^= 1;
    writeFileSync(path!, bytes);
    await expectRefusal('log-damaged', /but was durable once/, { sizeBytes: 2 ** 22 });
  });

  it('a record is whole and cannot be', async () => {
    await fill(1);
    const path = segments().at(-1)!;
    const { tag } = description(path);
    const record = { flags: 0, sequence: 3, synced: 0, a: 1, b: 9 };
    appendFileSync(path, encodeHeader(Buffer.from(tag, 'hex'), { type: RECORD.commit, ...record }, []));
    await expectRefusal('log-damaged', /a record that cannot be: epoch 9 is not sealed/);
  });

  it('a segment begins with another record than the one before ends with', async () => {
    await fill();
    const path = segments()[1]!;
    const bytes = readFileSync(path);
    const text = Buffer.from(JSON.stringify(description(path)).replace(/"firstSequence":(\d)/, '"firstSequence":9'));
    // As long as it was, with the line end.
    text.copy(bytes, 16);
    bytes.writeUInt32BE(crc32(bytes.subarray(16, 16 + bytes.readUInt32BE(8))), 12);
    writeFileSync(path, bytes);
    await expectRefusal('log-damaged', /begins with record 9, not \d/);
  });

  it('a record is damaged in an older segment', async () => {
    await fill();
    expect(segments().length).toBeGreaterThan(2);
    const path = segments()[1]!;
    const bytes = readFileSync(path);
    bytes[bytes.length - 10]! ^= 4;
    writeFileSync(path, bytes);
    await expectRefusal('log-damaged', /another segment follows/);
  });

  it('a segment is missing', async () => {
    await fill();
    unlinkSync(segments()[1]!);
    await expectRefusal('log-damaged', /does not follow/);
  });

  it('a segment is shorter than it was', async () => {
    await fill();
    truncateSync(segments()[0]!, readFileSync(segments()[0]!).length - 1080);
    await expectRefusal('log-damaged', /does not follow/);
  });

  it('a description is damaged', async () => {
    await fill();
    const path = segments()[0]!;
    const bytes = readFileSync(path);
    bytes[40]! ^= 1;
    writeFileSync(path, bytes);
    await expectRefusal('log-damaged', /checksum/);
    for (const length of [0xffff_ffff, bytes.length - 15, 2 ** 20 + 1]) {
      const other = Buffer.concat([bytes, Buffer.alloc(length < 2 ** 21 && length > 2 ** 20 ? 2 ** 20 : 0)]);
      other.writeUInt32BE(length, 8);
      writeFileSync(path, other);
      await expectRefusal('log-damaged', new RegExp(`that it has ${length} bytes`));
    }
    truncateSync(path, 7);
    await expectRefusal('log-damaged', /too short/);
  });

  it('a segment is of something else', async () => {
    await fill();
    writeFileSync(join(where, 'log', '0000000099.redo'), 'what is this? it is no segment at all');
    await expectRefusal('log-foreign', /no segment of a redo log/);
  });

  it('a segment was renamed', async () => {
    await fill();
    renameSync(segments().at(-1)!, join(where, 'log', '0000000099.redo'));
    await expectRefusal('log-foreign', /another name/);
  });

  it('segments of two logs are in one folder', async () => {
    await fill();
    const last = segments().at(-1)!;
    const bytes = readFileSync(last);
    const other = join(where, 'other');
    for (const path of segments()) renameSync(path, `${other}-${path.split('/').at(-1)}`);
    await fill();
    writeFileSync(segments().at(-1)!, bytes);
    await expectRefusal('log-foreign', /belongs to another log/);
  });

  it('other files are in its folder', async () => {
    await fill();
    writeFileSync(join(where, 'log', 'notes.txt'), 'mine');
    writeFileSync(join(where, 'log', '0000000099.redo.new'), 'half');
    await expectRefusal('log-foreign', /notes\.txt/);
  });

  it('it belongs to another image', async () => {
    await fill();
    await expectRefusal('log-foreign', /belongs to the image/, { image: join(where, 'other') });
  });

  it('its image has another size now', async () => {
    await fill();
    truncateSync(join(where, 'image'), SIZE / 2);
    await expectRefusal('image-unusable', /has 32768 bytes, not 65536/);
    for (const size of [SIZE / 2, 2 * SIZE]) {
      truncateSync(join(where, 'image'), size);
      const asItIs = DiskBarrier.open({ image: join(where, 'image'), log: join(where, 'log') });
      await expect(asItIs).rejects.toMatchObject({ code: 'log-foreign' });
    }
  });

  it('somebody else has it open, or its image', async () => {
    const disk = await open();
    await expect(open()).rejects.toMatchObject({ code: 'image-unusable', message: expect.stringContaining('in use') });
    await expect(open({ image: join(where, 'other') })).rejects.toMatchObject({ code: 'log-in-use' });
    await disk.close();
    await (await open()).close();
  });
});

it('an image that is not there is made only where its size is told', async () => {
  await expect(DiskBarrier.open({ image: join(where, 'image'), log: join(where, 'log') })).rejects.toMatchObject({
    code: 'image-missing',
  });
  await expect(DiskBarrier.open({ image: where, log: join(where, 'log') })).rejects.toMatchObject({
    code: 'image-unusable',
  });
  await expect(open({ sizeBytes: 0 })).rejects.toMatchObject({ code: 'image-unusable' });
  await expect(open({ sizeBytes: 2 ** 50 })).rejects.toMatchObject({ code: 'image-unusable' });
  expect(readdirSync(where)).toEqual([]);
});

it('a segment that was being made when its process died is made again', async () => {
  await fill();
  writeFileSync(join(where, 'log', '0000000099.redo.new'), 'half');
  const disk = await open();
  expect(readdirSync(join(where, 'log')).some((name) => name.endsWith('.new'))).toBe(false);
  await disk.close();
});

it('a disk is its owner’s alone, and the same by every path', async () => {
  const link = join(where, 'link');
  symlinkSync(join(where, 'image'), link);
  await (await open()).close();
  await (await open({ image: link })).close();
  const mode = (...names: string[]) => statSync(join(where, ...names)).mode & 0o777;
  expect([mode('image'), mode('log'), mode('log', '0000000001.redo')]).toEqual([0o600, 0o700, 0o600]);
});

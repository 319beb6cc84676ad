/** What programs that others wrote see of our disks. */
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { withoutPrograms } from '../../support/programs.ts';
import { Random } from '../../support/random.ts';
import { runs } from '../../support/runs.ts';
import { folder } from './folders.ts';
import { serve } from './nbd-rig.ts';

const MIB = 2 ** 20;
const run = promisify(execFile);
const seed = Number(process.env.HOLDFAST_SEED ?? 1);

const noQemu = withoutPrograms('qemu-io', 'qemu-img');
const noNbd = withoutPrograms('nbdinfo', 'nbdcopy');
const noFio = spawnSync('fio', ['--enghelp']).stdout?.includes('nbd')
  ? null
  : 'fio is not installed, or has no nbd engine';

/** Commands for qemu-io that change a disk. */
function changes(random: Random, sizeBytes: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const length = 1 + random.below(random.pick([16, 4096, 300_000]));
    const place = `${random.below(sizeBytes - length)} ${length}`;
    const fill = `-P ${random.below(256)}`;
    return [
      random.pick([
        `write ${fill} ${place}`,
        `aio_write ${fill} ${place}`,
        `write -f ${fill} ${place}`,
        `write -z ${place}`,
        `write -z -u ${place}`,
        `discard ${place}`,
        'flush',
      ]),
      // What is under way must not overlap what follows: then nobody knows what is right.
      'aio_flush',
      ...(index % 10 === 0 ? [`read 0 ${length}`] : []),
    ];
  })
    .flat()
    .flatMap((command) => ['-c', command]);
}

describe('qemu', () => {
  beforeEach(({ skip }) => {
    skip(noQemu !== null, noQemu ?? '');
  });

  it('finds the same on our disk as in a plain file after the same changes, also across seals and a restart of QEMU', async () => {
    const random = new Random(seed);
    for (let round = 0; round < runs(3); round++) {
      const sizeBytes = 3 * MIB + 512 * random.below(10);
      const { uri, where, disk } = await serve({ sizeBytes, segmentBytes: MIB, flushDelayMs: 5 });
      const plain = join(where, 'plain');
      writeFileSync(plain, '');
      truncateSync(plain, sizeBytes);
      await disk.start(1);
      for (let epoch = 1; epoch <= 3; epoch++) {
        const commands = changes(random, sizeBytes, 60);
        // A plain file may leave what was discarded as it was: `discard=unmap` makes it zeros, as ours are.
        const file = [
          '--image-opts',
          `driver=raw,discard=unmap,file.driver=file,file.discard=unmap,file.filename=${plain}`,
        ];
        await run('qemu-io', [...commands, ...file]);
        await run('qemu-io', ['-f', 'raw', '--discard', 'unmap', ...commands, uri]);
        const { stdout } = await run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', plain, uri]);
        expect(stdout, `HOLDFAST_SEED=${seed}`).toContain('Images are identical.');
        await disk.seal(1, epoch);
        await disk.commit(1, epoch);
      }
      await disk.settle();
      expect(readFileSync(disk.status.image).equals(readFileSync(plain))).toBe(true);
    }
  });

  it('sees after a failover what a plain file had at the seal', async () => {
    const random = new Random(seed);
    const sizeBytes = 2 * MIB;
    const { path, uri, where, disk } = await serve({ sizeBytes });
    const plain = join(where, 'plain');
    writeFileSync(plain, '');
    truncateSync(plain, sizeBytes);
    await disk.start(1);
    const commands = changes(random, sizeBytes, 50);
    const file = [
      '--image-opts',
      `driver=raw,discard=unmap,file.driver=file,file.discard=unmap,file.filename=${plain}`,
    ];
    await run('qemu-io', [...commands, ...file]);
    await run('qemu-io', ['-f', 'raw', '--discard', 'unmap', ...commands, uri]);
    await disk.seal(1, 1);
    await run('qemu-io', ['-f', 'raw', ...changes(random, sizeBytes, 50), uri]);
    await disk.commit(1, 1);
    await disk.failover(1);
    const { stdout } = await run('qemu-img', [
      'compare',
      '-f',
      'raw',
      '-F',
      'raw',
      plain,
      `nbd+unix:///disk@2?socket=${path}`,
    ]);
    expect(stdout).toContain('Images are identical.');
  });

  it('copies an image to our disk and back', async () => {
    const { uri, where } = await serve({ sizeBytes: 16 * MIB });
    const [source, back] = [join(where, 'source'), join(where, 'back')];
    const bytes = Buffer.alloc(16 * MIB);
    for (let at = 0; at < bytes.length; at += 100_000) bytes.fill(at % 251, at, at + 50_000);
    writeFileSync(source, bytes);
    await run('qemu-img', ['convert', '-n', '-f', 'raw', '-O', 'raw', source, uri]);
    await run('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', uri, back]);
    expect(readFileSync(back).equals(bytes)).toBe(true);
  });
});

describe('libnbd', () => {
  beforeEach(({ skip }) => {
    skip(noNbd !== null, noNbd ?? '');
  });

  it('lists what a disk can do', async () => {
    const { uri } = await serve();
    const { stdout } = await run('nbdinfo', ['--json', uri]);
    expect(JSON.parse(stdout)).toMatchObject({
      protocol: 'newstyle-fixed',
      structured: false,
      exports: [
        {
          'export-name': 'disk',
          'export-size': MIB,
          ...{ can_flush: true, can_fua: true, can_trim: true, can_zero: true, can_fast_zero: true },
          ...{ can_multi_conn: true, can_cache: false, can_df: false, is_read_only: false },
          ...{ block_size_minimum: 1, block_size_preferred: 4096, block_size_maximum: 32 * MIB },
        },
      ],
    });
    const listed = await run('nbdinfo', ['--list', '--json', uri.replace('///disk', '///')]);
    expect(JSON.parse(listed.stdout).exports).toHaveLength(1);
  });

  it('copies with many requests on several connections', async () => {
    const { uri, where } = await serve({ sizeBytes: 32 * MIB });
    const [source, back] = [join(where, 'source'), join(where, 'back')];
    const random = new Random(seed);
    const bytes = Buffer.alloc(32 * MIB);
    for (let at = 0; at < bytes.length; at += 4096)
      if (random.below(3) > 0) bytes.fill(random.below(256), at, at + 4096);
    writeFileSync(source, bytes);
    await run('nbdcopy', ['--connections=4', '--requests=64', source, uri]);
    await run('nbdcopy', ['--connections=4', '--requests=64', uri, back]);
    expect(readFileSync(back).equals(bytes)).toBe(true);
  });
});

describe('fio', () => {
  beforeEach(({ skip }) => {
    skip(noFio !== null, noFio ?? '');
  });

  it('reads what it wrote, in any order, while epochs are sealed and committed and flushed', async () => {
    const { uri, disk } = await serve({ sizeBytes: 32 * MIB, segmentBytes: 8 * MIB, flushDelayMs: 5 });
    await disk.start(1);
    let isOver = false;
    const epochs = (async () => {
      let epoch = 1;
      for (; !isOver; epoch++) {
        await disk.seal(1, epoch);
        await disk.commit(1, epoch);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return epoch;
    })();
    const job = ['--name=t', '--ioengine=nbd', `--uri=${uri}`, '--rw=randrw', '--bsrange=512-64k', '--bs_unaligned'];
    const rest = [
      '--iodepth=16',
      '--size=32M',
      '--verify=crc32c',
      '--verify_fatal=1',
      '--fsync=64',
      '--trim_percentage=0',
    ];
    const { stdout } = await run('fio', [...job, ...rest], { cwd: folder() });
    isOver = true;
    expect(stdout).toContain('err= 0');
    expect(await epochs).toBeGreaterThan(2);
  });
});

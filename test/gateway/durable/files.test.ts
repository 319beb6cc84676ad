/** The parts of the state folder's files, each by itself. */
import { spawnSync } from 'node:child_process';
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FILE_KIND, HEADER_BYTES, readHeader, writeHeader } from '../../../gateway/durable/file-header.ts';
import { lockFolder, MappedMemory } from '../../../gateway/durable/mapped-memory.ts';
import { keepAside, nameAside, readOwned } from '../../../gateway/durable/owned-file.ts';
import { StateDir } from '../../../gateway/durable/state-dir.ts';
import {
  readState,
  STATE_FILE_BYTES,
  StateFile,
  salvageTerm,
  type VmState,
} from '../../../gateway/durable/state-file.ts';
import { TermHint } from '../../../gateway/durable/term-hint.ts';
import { Unbelievable } from '../../../gateway/durable/unbelievable.ts';
import { MAX_ABORTED } from '../../../gateway/epoch.ts';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-files-'));
});

afterEach(() => {
  const left = openFds();
  rmSync(folder, { recursive: true, force: true });
  expect(left, 'files that nobody has closed').toEqual([]);
});

/** Descriptors of what is in the folder, and of the folder. */
function openFds(): string[] {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder);
    } catch {
      return false;
    }
  });
}

function flip(view: DataView, bit: number): void {
  view.setUint8(bit >> 3, view.getUint8(bit >> 3) ^ (1 << (bit & 7)));
}

describe('the header of a file', () => {
  const header = {
    ...{ kind: FILE_KIND.buffer, vm: 'vm', id: 2 ** 47, parent: 5, frames: 7 },
    ...{ records: 16, frameBytes: 1514, ringBytes: 4096 },
  };

  it('is read as it was written, and not at all with any other bit', () => {
    const view = new DataView(new ArrayBuffer(HEADER_BYTES));
    writeHeader(view, header);
    expect(readHeader(view, FILE_KIND.buffer, 'vm')).toEqual(header);
    for (let bit = 0; bit < 8 * HEADER_BYTES; bit++) {
      flip(view, bit);
      expect(() => readHeader(view, FILE_KIND.buffer, 'vm'), `bit ${bit}`).toThrow(Unbelievable);
      flip(view, bit);
    }
  });

  it('is of one purpose, one VM, and whole', () => {
    const view = new DataView(new ArrayBuffer(HEADER_BYTES));
    writeHeader(view, header);
    expect(() => readHeader(view, FILE_KIND.state, 'vm')).toThrow('for another purpose');
    for (const vm of ['v', 'vm0', 'vn', '']) {
      expect(() => readHeader(view, FILE_KIND.buffer, vm)).toThrow("another VM's");
    }
    const short = new DataView(view.buffer, 0, HEADER_BYTES - 1);
    expect(() => readHeader(short, FILE_KIND.buffer, 'vm')).toThrow(Unbelievable);
    const longest = 'n'.repeat(256);
    writeHeader(view, { ...header, vm: longest });
    expect(readHeader(view, FILE_KIND.buffer, longest).vm).toBe(longest);
    expect(() => writeHeader(view, { ...header, vm: `${longest}n` })).toThrow(RangeError);
  });
});

describe('the last term in a file of frames', () => {
  const START = 8;
  const BYTES = START + TermHint.BYTES;

  it('is the highest one that is whole: while one is written, the one before is', () => {
    const view = new DataView(new ArrayBuffer(BYTES));
    expect(TermHint.read(view, START)).toBe(0);
    const hint = new TermHint(view, START);
    let before = 0;
    for (const term of [5, 6, 7, 2 ** 40]) {
      const old = new DataView(view.buffer.slice(0));
      hint.write(term);
      expect(TermHint.read(view, START)).toBe(term);
      // Whatever bytes of it are there.
      for (let bytes = START; bytes < BYTES; bytes++) {
        const torn = new Uint8Array(old.buffer.slice(0));
        torn.set(new Uint8Array(view.buffer, 0, bytes));
        expect([before, term]).toContain(TermHint.read(new DataView(torn.buffer), START));
      }
      before = term;
    }
  });

  it('is none where the file ends before, or it is no number that a term can be', () => {
    const view = new DataView(new ArrayBuffer(BYTES));
    const hint = new TermHint(view, START);
    hint.write(Number.POSITIVE_INFINITY);
    expect(TermHint.read(view, START)).toBe(0);
    hint.write(9);
    expect(TermHint.read(view, START)).toBe(9);
    expect(TermHint.read(new DataView(view.buffer, 0, BYTES - 1), START)).toBe(0);
  });
});

describe('the state of a VM', () => {
  const LIST_BYTES = (2 + MAX_ABORTED) * 8 + 8;
  const LISTS_AT = STATE_FILE_BYTES - 2 * LIST_BYTES;

  function state(changes: Partial<VmState['epochs']> = {}): VmState {
    return {
      epochs: {
        ...{ state: 'on', term: 3, openEpoch: 12, committedEpoch: 9, floor: 4, beforeFirstSeal: true },
        ...{ passedAtStart: true, abortedChanges: 0, aborted: new Set<number>(), forgottenEpoch: 2, ...changes },
      },
      ...{ leaseNs: 7e9, bufferId: 77, labels: { era: 5, boundary: -6, firstLabel: 10 } },
    };
  }

  function file(): { view: DataView; stored: StateFile } {
    const view = new DataView(new ArrayBuffer(STATE_FILE_BYTES));
    return { view, stored: new StateFile(view, 'vm', 42) };
  }

  it('is found as it was published last, with every field', () => {
    const { view, stored } = file();
    const lists = [new Set([10]), new Set([10, 11]), new Set<number>(), new Set([4])];
    for (const [i, aborted] of lists.entries()) {
      const {
        live: _,
        id,
        ...found
      } = (() => {
        stored.publish(state({ term: 3 + i, aborted, abortedChanges: 1 + i }));
        return readState(view, 'vm');
      })();
      expect(id).toBe(42);
      expect(found).toEqual(state({ term: 3 + i, aborted }));
    }
  });

  it('is not believed with any bit changed of it, of its mark, or of its list', () => {
    const { view, stored } = file();
    stored.publish(state());
    stored.publish(state({ aborted: new Set([10, 11]), abortedChanges: 1 }));
    // Copy 0 is in force, and list 1.
    const copyAt = HEADER_BYTES + 64;
    const parts = [
      [HEADER_BYTES, HEADER_BYTES + 4],
      [copyAt, copyAt + 15 * 8 + 4],
      [LISTS_AT + LIST_BYTES, LISTS_AT + LIST_BYTES + 4 * 8],
      [LISTS_AT + 2 * LIST_BYTES - 8, LISTS_AT + 2 * LIST_BYTES - 4],
    ] as const;
    for (const [from, to] of parts) {
      for (let bit = 8 * from; bit < 8 * to; bit++) {
        flip(view, bit);
        expect(() => readState(view, 'vm'), `bit ${bit}`).toThrow(Unbelievable);
        flip(view, bit);
      }
    }
    expect(readState(view, 'vm').epochs.aborted).toEqual(new Set([10, 11]));
  });

  it('is not believed with a list of another state, though that is whole', () => {
    const { view, stored } = file();
    stored.publish(state({ aborted: new Set([10]), abortedChanges: 1 }));
    const first = view.buffer.slice(LISTS_AT + LIST_BYTES, LISTS_AT + 2 * LIST_BYTES);
    for (let change = 2; change <= 3; change++) {
      stored.publish(state({ aborted: new Set([11]), abortedChanges: change }));
    }
    new Uint8Array(view.buffer).set(new Uint8Array(first), LISTS_AT + LIST_BYTES);
    expect(() => readState(view, 'vm')).toThrow('aborted epochs');
  });

  it('is not believed where it ends too early, or has more epochs in flight than anybody could have sealed', () => {
    const { view, stored } = file();
    const most = 9 + 2 ** 24;
    stored.publish(state({ openEpoch: most }));
    expect(readState(view, 'vm').epochs.openEpoch).toBe(most);
    expect(() => readState(new DataView(view.buffer, 0, STATE_FILE_BYTES - 1), 'vm')).toThrow('it ends after');
    for (const openEpoch of [most + 1, Number.NaN]) {
      stored.publish(state({ openEpoch }));
      expect(() => readState(view, 'vm')).toThrow('more epochs');
    }
  });

  it('tells its highest term also where it is not believed as a whole', () => {
    const { view, stored } = file();
    expect(salvageTerm(view)).toBeNull();
    for (const [term, highest] of [
      [5, 5],
      [8, 8],
      [6, 8],
      [Number.NaN, null],
    ] as const) {
      stored.publish(state({ term }));
      expect(salvageTerm(view)).toBe(highest);
    }
    stored.publish(state({ term: 9 }));
    stored.publish(state({ term: 10 }));
    flip(view, 8 * (HEADER_BYTES + 64 + 16));
    expect(salvageTerm(view), 'the copy of term 10 is damaged').toBe(9);
    expect(salvageTerm(new DataView(view.buffer, 0, LISTS_AT - 1))).toBeNull();
  });
});

describe('memory that is a file', () => {
  it('is made for a file of its own only, which no other process gets', () => {
    const path = join(folder, 'one');
    const memory = new MappedMemory(path, 0, 5000);
    expect(memory.buffer.byteLength).toBe(5000);
    const [fd] = openFds();
    // O_CLOEXEC
    expect(Number.parseInt(/flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))![1]!, 8)).toSatisfy(
      (flags: number) => (flags & 0o2000000) !== 0,
    );
    new Uint8Array(memory.buffer)[4999] = 7;
    memory.release();
    expect(readFileSync(path)[4999]).toBe(7);
    expect(() => new MappedMemory(path, 0, 5000)).toThrow(/EEXIST/);
    symlinkSync(join(folder, 'elsewhere'), join(folder, 'link'));
    expect(() => new MappedMemory(join(folder, 'link'), 0, 5000)).toThrow(/EEXIST|ELOOP/);
    expect(existsSync(join(folder, 'elsewhere'))).toBe(false);
    expect(() => new MappedMemory(join(folder, 'no', 'folder'), 0, 5000)).toThrow(/cannot make .*ENOENT/);
  });

  it('has all its room from the beginning, or is not made', ({ skip }) => {
    const small = join(folder, 'small');
    mkdirSync(small);
    const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'holdfast-test', small]).status === 0;
    skip(!isMounted, 'no right to mount file systems');
    try {
      expect(() => new MappedMemory(join(small, 'buffer'), 0, 2 ** 22)).toThrow(/no room for the 4194304 bytes/);
      expect(openFds()).toEqual([]);
    } finally {
      spawnSync('umount', ['-l', small]);
    }
  });

  it('a folder is locked for one process, not for one that it starts, and not through a link', () => {
    const unlock = lockFolder(folder);
    expect(() => lockFolder(folder)).toThrow(/another gateway uses/);
    const fds = openFds();
    expect(fds).toHaveLength(1);
    expect(
      Number.parseInt(/flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fds[0]}`, 'latin1'))![1]!, 8),
    ).toSatisfy((flags: number) => (flags & 0o2000000) !== 0);
    unlock();
    const link = join(folder, 'link');
    symlinkSync(folder, link);
    expect(() => lockFolder(link)).toThrow(/cannot open/);
    expect(() => new StateDir(link, () => 0)).toThrow(/is no folder/);
  });
});

describe('a file of an earlier process', () => {
  it('is read as a whole, and not where it is longer than it can be', () => {
    const path = join(folder, 'file');
    expect(readOwned(path, 4)).toBeNull();
    writeFileSync(path, 'four', { mode: 0o600 });
    expect(Buffer.from(readOwned(path, 4)!).toString()).toBe('four');
    expect(() => readOwned(path, 3)).toThrow('it is 4 bytes long');
    expect(() => readOwned(join(path, 'below'), 4)).toThrow(Unbelievable);
  });

  it('is none where it is a pipe: nobody waits for who would write into it', () => {
    const path = join(folder, 'pipe');
    expect(spawnSync('mkfifo', ['-m', '600', path]).status).toBe(0);
    expect(() => readOwned(path, 4)).toThrow('it is no regular file');
  });

  it.skipIf(process.getuid?.() !== 0)('is none where it is of another user', () => {
    const path = join(folder, 'file');
    writeFileSync(path, 'four', { mode: 0o600 });
    chownSync(path, 1, 1);
    expect(() => readOwned(path, 4)).toThrow('it belongs to user 1');
  });

  it('is set aside under a name that none has, the last three of one VM, folders too', () => {
    writeFileSync(join(folder, 'b.state.bad-1'), '');
    const names: string[] = [];
    for (let n = 0; n < 5; n++) {
      mkdirSync(join(folder, 'a.state'));
      writeFileSync(join(folder, 'a.state', 'content'), '');
      names.push(nameAside(folder, 'a.state', '1'));
      keepAside(folder, 'a.state', names.at(-1)!);
      expect(existsSync(join(folder, 'a.state'))).toBe(false);
    }
    expect(names.slice(0, 3)).toEqual(['a.state.bad-1', 'a.state.bad-1-2', 'a.state.bad-1-3']);
    expect(readdirSync(folder).filter((name) => name.startsWith('a.'))).toHaveLength(3);
    expect(existsSync(join(folder, names.at(-1)!, 'content'))).toBe(true);
    expect(existsSync(join(folder, 'b.state.bad-1'))).toBe(true);
  });
});

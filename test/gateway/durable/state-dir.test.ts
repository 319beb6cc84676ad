import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { StateDir } from '../../../gateway/durable/state-dir.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-state-dir-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

it('closed once more it closes nothing, least of all what others have opened meanwhile', () => {
  const dir = new StateDir(folder, () => 0);
  dir.openVm('vm0', 'file');
  dir.close();

  // They get the numbers that are free.
  const files = Array.from({ length: 8 }, () => openSync('/dev/null', 'r'));
  const next = new StateDir(folder, () => 0);
  try {
    dir.close();
    for (const file of files) expect(fstatSync(file).isCharacterDevice()).toBe(true);
    expect(() => new StateDir(folder, () => 0), 'the next one has it').toThrow('another gateway uses');
  } finally {
    next.close();
    for (const file of files) closeSync(file);
  }
});

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { VmConfig } from '../../gateway/config.ts';
import { InsideRecord } from '../../gateway/inside-record.ts';
import { DEFAULT_LIMITS } from '../../gateway/occupancy.ts';
import { PortError } from '../../gateway/port/port-error.ts';
import { parsePortSpec } from '../../gateway/port/spec.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-inside-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const specs = (...names: readonly string[]) => names.map(parsePortSpec);

/** The record of a VM that is configured to be behind these ports. */
function recordOf(...configured: readonly string[]): InsideRecord {
  const config: VmConfig = {
    name: 'vm0',
    replicated: true,
    pairs: specs(...configured).map((inside, n) => ({ inside, outside: parsePortSpec(`eth${n}`) })),
    rules: null,
    limits: DEFAULT_LIMITS,
    buffer: 'memory',
    pacing: 'burst',
    overflow: 'drop',
    announce: [],
  };
  return new InsideRecord(join(folder, 'vm0.inside'), config);
}

test('a VM that never moved is where its configuration says', () => {
  expect(recordOf('tap0').read()).toBeNull();
});

test('a VM that moved is there for the next process too, pair by pair', () => {
  recordOf('tap0', 'tap1').write(specs('tap2', 'stream:unix:/run/vm'));
  expect(recordOf('tap0', 'tap1').read()).toEqual(specs('tap2', 'stream:unix:/run/vm'));
  recordOf('tap0', 'tap1').write(specs('tap4', 'tap1'));
  expect(recordOf('tap0', 'tap1').read()).toEqual(specs('tap4', 'tap1'));
  expect(readdirSync(folder)).toEqual(['vm0.inside']);
});

test('a VM that moved back is where its configuration says, and nothing is left', () => {
  recordOf('tap0').write(specs('tap1'));
  recordOf('tap0').write(specs('packet:tap0'));
  expect([recordOf('tap0').read(), readdirSync(folder)]).toEqual([null, []]);
});

test('another configuration since says where the VM is', () => {
  recordOf('tap0').write(specs('tap1'));
  expect(recordOf('tap1').read()).toBeNull();
  expect(recordOf('tap:tap0').read()).toBeNull();
});

test('a record that cannot be read is no reason to hear the old machine', () => {
  writeFileSync(join(folder, 'vm0.inside'), 'packet:tap0\nfloppy:a\n');
  expect(() => recordOf('tap0').read()).toThrow(PortError);
  rmSync(join(folder, 'vm0.inside'));
  writeFileSync(join(folder, 'vm0.inside'), 'packet:tap0\n');
  expect(() => recordOf('tap0').read()).toThrow(PortError);
});

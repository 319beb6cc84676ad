import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Failure } from '../../gateway/cli/failure.ts';
import { runReplay } from '../../gateway/cli/replay.ts';
import { frame } from '../../pcaps/build.ts';
import { RulesInvalidError } from '../../rules/errors.ts';
import { parseRules } from '../../rules/parse.ts';
import { block, fields, interfaceBlock, join, packetBlock, pcapHeader, sectionHeader } from '../support/pcap-bytes.ts';
import { brokenSums, replayOptions } from '../support/replay-files.ts';
import { holdfast, jsonLines, pcapOf, temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();
const udp = frame().eth().ip4().udp(5, 4000).payload('hi').build();
const tcp = frame().eth().vlan(7).ip6().tcp(80, 4000).payload('hello').build();
const classic = pcapOf([{ bytes: udp }, { bytes: tcp, atNs: 5e6 }, { bytes: udp, atNs: 9e6 }]);
const modern = join(
  sectionHeader(),
  interfaceBlock(),
  packetBlock(udp, { ticks: 5n }),
  packetBlock(tcp, { ticks: 9n }),
  block(3, fields(true, [4, udp.length], udp)),
);

describe('in this process', () => {
  let told = '';

  beforeEach(() => {
    told = '';
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      told += text;
      return true;
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** @returns the exit code and how many frames were taken */
  async function outcome(bytes: Uint8Array): Promise<{ code: number; frames: number }> {
    const path = folder.write('capture', bytes);
    try {
      const { result, exitCode } = await runReplay(
        [path],
        await replayOptions({ set: 'telephony', limitBytes: 2 ** 20, limitFrames: 1024 }),
      );
      expect(brokenSums(result)).toEqual([]);
      if (exitCode !== 0) expect(told).toMatch(/^holdfast: \S+: damaged at byte \d+: [^\n]+\n$/);
      return { code: exitCode, frames: result.frames };
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      expect(error.message).not.toContain('\n');
      return { code: error.exitCode, frames: 0 };
    }
  }

  it.each([
    ['pcap', classic, 24],
    ['pcapng', modern, 4],
  ])('a %s cut at any byte: frames before the cut, or one line and exit 2', async (_, whole, recognisedFrom) => {
    let before = 0;
    for (let length = 0; length < whole.length; length++) {
      told = '';
      const { code, frames } = await outcome(whole.slice(0, length));
      expect(frames).toBeGreaterThanOrEqual(before);
      before = frames;
      if (length < 4) expect(code).toBe(2);
      else if (length > recognisedFrom) expect([0, 1]).toContain(code);
    }
    expect(before).toBe(2);
    expect(await outcome(whole)).toEqual({ code: 0, frames: 3 });
  });

  it('random bytes, alone or after a valid beginning, end in an exit code', async () => {
    const start = fc.constantFrom(new Uint8Array(0), pcapHeader(), classic, sectionHeader(), modern);
    await fc.assert(
      fc.asyncProperty(start, fc.uint8Array({ maxLength: 300 }), async (head, tail) => {
        told = '';
        const { code } = await outcome(join(head, tail));
        expect([0, 1, 2]).toContain(code);
      }),
      { numRuns: 150 },
    );
  });

  it('a valid capture with bytes changed ends in an exit code', async () => {
    const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(classic, modern),
        fc.array(change, { minLength: 1, maxLength: 6 }),
        async (whole, changes) => {
          const bytes = whole.slice();
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          told = '';
          const { code } = await outcome(bytes);
          expect([0, 1, 2]).toContain(code);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('random bytes as frames are judged and counted', async () => {
    const ether = fc.tuple(
      fc.constantFrom(0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x05dc),
      fc.uint8Array({ maxLength: 120 }),
    );
    const typed = ether.map(([type, rest]) => join(new Uint8Array(12), fields(false, [2, type]), rest));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(typed, fc.uint8Array({ maxLength: 80 })), { maxLength: 30 }),
        async (frames) => {
          const { code, frames: taken } = await outcome(pcapOf(frames.map((bytes, i) => ({ bytes, atNs: i * 1e6 }))));
          expect([code, taken]).toEqual([0, frames.length]);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('random bytes and random words as rules are errors with places, never a crash', () => {
    const words = fc.array(
      fc.constantFrom(
        'class',
        'a',
        'hold',
        'pass',
        'outbound',
        '{',
        '}',
        '\n',
        'udp',
        'dport',
        '5060',
        '-',
        ',',
        '!=',
        'default',
        '"',
        '#',
        '@',
        '&',
        '0x',
      ),
      { maxLength: 60 },
    );
    const text = fc.oneof(
      words.map((list) => list.join(' ')),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => new TextDecoder().decode(bytes)),
    );
    fc.assert(
      fc.property(text, (source) => {
        const { ruleSet, errors } = parseRules(source, 'random.rules');
        expect(ruleSet === null).toBe(errors.length > 0);
        const lines = source.split('\n').length;
        for (const { line, column, message } of errors) {
          expect(line).toBeGreaterThanOrEqual(1);
          expect(line).toBeLessThanOrEqual(lines);
          expect(column).toBeGreaterThanOrEqual(1);
          expect(message).not.toContain('\n');
        }
        if (errors.length > 0) expect(new RulesInvalidError(errors, new Map([['x', source]])).message).not.toBe('');
      }),
      { numRuns: 1000 },
    );
  });
});

describe('as a command with a heap of 64 MB', () => {
  const small = { nodeOptions: ['--max-old-space-size=64'] };
  const lie = (length: number) => fields(true, [4, 1], [4, 0], [4, length], [4, length], new Uint8Array(100));

  it.each<[string, Uint8Array]>([
    ['a pcap record of 4 GB', join(classic, lie(0xffff_fff0))],
    ['a pcap record of 100 MB', join(classic, lie(100_000_000))],
    ['a pcapng block of 4 GB', join(modern, fields(true, [4, 6], [4, 0xffff_fff0], new Uint8Array(100)))],
    ['a pcapng packet of 2 GB in a small block', join(modern, packetBlock(udp, { captured: 0x7fff_ffff }))],
  ])('%s is damage after the good frames', async (_, bytes) => {
    const path = folder.write('lie', bytes);
    for (const command of ['explain', 'replay']) {
      const { code, signal, stdout, stderr } = await holdfast([command, '--json', path], small);
      expect([code, signal]).toEqual([1, null]);
      expect(stderr).toMatch(/^holdfast: \S+: damaged at byte \d+: [^\n]+\n$/);
      const lines = jsonLines(stdout);
      expect(command === 'explain' ? lines.length : lines[0]!.frames).toBe(3);
    }
  });

  it('a million times the same bytes, packed to nothing, are read as they come', async () => {
    const { gzipSync } = await import('node:zlib');
    const zeros = gzipSync(join(classic, new Uint8Array(80_000_000)), { level: 1 });
    const { code, signal, stderr } = await holdfast(['replay', '--json', folder.write('bomb.gz', zeros)], {
      ...small,
      timeoutMs: 60_000,
    });
    // Zeros are records of no bytes in 1970.
    expect([code, signal, stderr]).toEqual([expect.any(Number), null, expect.not.stringContaining('heap')]);
    expect([0, 1]).toContain(code);
  });

  it('times that no clock could tell neither hang nor crash', async () => {
    const wild = join(
      sectionHeader(),
      interfaceBlock({ options: fields(true, [2, 9], [2, 1], [1, 0], [3, 0]) }),
      ...[0n, 2n ** 63n, 1n, 2n ** 64n - 1n].map((ticks) => packetBlock(udp, { ticks })),
    );
    const path = folder.write('wild.pcapng', wild);
    for (const args of [
      [],
      ['--epoch', '1ns'],
      ['--pace', 'paced', '--commit-delay', '60m'],
      ['--out', folder.path('wild.out')],
    ]) {
      const { code, signal, stdout } = await holdfast(['replay', '--json', path, ...args], small);
      expect([code, signal]).toEqual([0, null]);
      expect(jsonLines(stdout)[0]).toMatchObject({ frames: 4, released: 4 });
    }
    expect((await holdfast(['replay', path], small)).code).toBe(0);
    expect((await holdfast(['explain', path], small)).code).toBe(0);
  });

  it.each(['', 'outbound {', '\u0000'.repeat(1000), '{'.repeat(100_000), `outbound { ${'udp '.repeat(50_000)} }`])(
    'rules of %j are errors, exit 1',
    async (text) => {
      const { code, signal } = await holdfast(['check', folder.write('strange.rules', text)], small);
      expect([code, signal]).toEqual([1, null]);
    },
  );
});

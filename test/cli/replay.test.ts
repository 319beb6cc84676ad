import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { commentedPackets } from '../support/pcapng-comments.ts';
import { holdfast, jsonLines, pcapOf, TRACE_VM, TRACES, temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();
const CALL = `${TRACES}sip-rtp-call.pcapng`;
const withoutTshark = spawnSync('tshark', ['--version']).status === 0 ? null : 'tshark is not installed';

async function replayed(...args: string[]) {
  const { code, stdout, stderr } = await holdfast(['replay', '--json', '--vm', TRACE_VM, ...args]);
  expect([code, stderr]).toEqual([0, '']);
  return jsonLines(stdout)[0]!;
}

describe('replay --json', () => {
  it('prints one line with every count of the contract', async () => {
    const result = await replayed(CALL);
    expect(result).toMatchObject({
      frames: 719,
      inbound: 360,
      outbound: 359,
      passed: 351,
      held: 8,
      released: 8,
      discarded: 0,
      dropped: 0,
      stillHeld: 0,
      inboundPassed: 360,
      inboundDropped: 0,
      reasons: { inbound: 360 },
      delayUs: { p50: expect.any(Number), p99: expect.any(Number), max: expect.any(Number) },
      epochs: { opened: expect.any(Number), sealed: expect.any(Number), committed: expect.any(Number), aborted: 0 },
    });
    const { p50, p99, max } = result.delayUs as { p50: number; p99: number; max: number };
    expect(p50).toBeGreaterThanOrEqual(20_000);
    expect(max).toBeLessThanOrEqual(120_000);
    expect(p99).toBe(max);
    const rules = result.rules as { handle: number; text: string; frames: number; class: string; verdict: string }[];
    expect(rules.reduce((sum, { frames }) => sum + frames, 0)).toBe(359);
    expect(rules.find(({ text }) => text.startsWith('app rtp'))).toMatchObject({
      frames: 351,
      class: 'data',
      verdict: 'pass',
    });
  });

  it('the same input and flags give the same bytes, printed and in --out', async () => {
    const args = ['replay', CALL, '--vm', TRACE_VM, '--epoch', '37ms', '--commit-delay', '90ms', '--pace', 'paced'];
    for (const json of [['--json'], []]) {
      const [a, b] = [folder.path('a.pcapng'), folder.path('b.pcapng')];
      const first = await holdfast([...args, ...json, '--out', a]);
      const second = await holdfast([...args, ...json, '--out', b]);
      expect(first.code).toBe(0);
      expect(second).toEqual(first);
      expect(readFileSync(b).equals(readFileSync(a))).toBe(true);
    }
  });

  it('says the same of a plain, a gzipped and a piped capture', async () => {
    const bytes = readFileSync(CALL);
    const args = ['replay', '--json', '--vm', TRACE_VM];
    const plain = await holdfast([...args, CALL]);
    const packed = folder.write('call.gz', gzipSync(bytes));
    expect(await holdfast([...args, packed])).toEqual(plain);
    expect(await holdfast([...args, '-'], { stdin: bytes })).toEqual(plain);
  });

  it('of a capture without frames counts nothing', async () => {
    const result = await replayed(folder.write('none.pcap', pcapOf([])), '--out', folder.path('none.pcapng'));
    expect(result).toMatchObject({ frames: 0, held: 0, delayUs: null, reasons: {}, epochs: { opened: 0, sealed: 0 } });
    expect(commentedPackets(readFileSync(folder.path('none.pcapng')))).toEqual([]);
  });

  it('--no-drain leaves held what was not committed by the last frame', async () => {
    const result = await replayed(CALL, '--rules', 'hold-all', '--commit-delay', '60s', '--no-drain');
    expect(result).toMatchObject({ held: 359, released: 0, stillHeld: 359, delayUs: null });
  });
});

describe('--out', () => {
  it('holds nothing of an uncommitted epoch after a failure, and nothing that was sent later', async () => {
    const path = folder.path('failed.pcapng');
    const result = await replayed(CALL, '--fail-at', '1.31s', '--out', path);
    const packets = commentedPackets(readFileSync(path));
    expect(result.dropped).toBeGreaterThan(200);
    expect(packets).toHaveLength((result.passed as number) + (result.released as number));
    const { committed } = result.epochs as { committed: number };
    const startNs = packets[0]!.ns;
    for (const { ns, comment } of packets) {
      const epoch = Number(/ epoch=(\d+) /.exec(comment)![1]);
      if (comment.includes('verdict=hold')) expect(epoch).toBeLessThanOrEqual(committed);
      expect(ns).toBeLessThan(startNs + 1_310_000_000n);
    }
  });

  it('is read by tshark, comments and times and all', async ({ skip }) => {
    if (withoutTshark !== null) skip(withoutTshark);
    const path = folder.path('seen.pcapng');
    const result = await replayed(CALL, '--out', path, '--pace', 'paced');
    const fields = ['frame.time_epoch', 'frame.len', 'frame.comment'].flatMap((name) => ['-e', name]);
    const text = execFileSync('tshark', ['-r', path, '-T', 'fields', ...fields], { encoding: 'utf8', stdio: 'pipe' });
    const rows = text.trimEnd().split('\n');
    expect(rows).toHaveLength((result.passed as number) + (result.released as number));
    const ours = commentedPackets(readFileSync(path)).map(({ ns, wireLength, comment }) => {
      return `${ns / 1_000_000_000n}.${String(ns % 1_000_000_000n).padStart(9, '0')}\t${wireLength}\t${comment}`;
    });
    expect(rows).toEqual(ours);
    expect(rows[0]).toMatch(/rule=\d+ class=\w+ verdict=(pass|hold) epoch=1 reason=\w+$/);
  });
});

describe('the report for people', () => {
  it('has tables of classes, rules and reasons, hold times and a timeline, and no colours in a pipe', async () => {
    const { stdout, code, stderr } = await holdfast(['replay', CALL, '--vm', TRACE_VM]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^replayed 719 frames: rules \S+, epochs of 100 ms, commit after 20 ms\n/);
    for (const heading of ['classes', 'rules', 'reasons', 'held', 'transmit buffer over time']) {
      expect(stdout).toContain(`\n${heading}\n`);
    }
    expect(stdout).toMatch(/ {2}data {2,}pass {2,}351 /);
    expect(stdout).toMatch(/ {2}control {2,}hold {2,}8 /);
    expect(stdout).toMatch(/held for: half up to [\d.]+ ms, 99 % up to [\d.]+ ms, longest [\d.]+ ms/);
    expect(stdout).toMatch(/#####/);
    expect(stdout).not.toContain('\u001b');
  });

  it('is bold on a terminal, but not with NO_COLOR', async ({ skip }) => {
    if (spawnSync('script', ['--version']).status !== 0) skip('script(1) is not installed');
    const command = `${process.execPath} dist/gateway/cli/main.js replay ${CALL}`;
    const onTerminal = (env: Record<string, string>) =>
      execFileSync('script', ['-qec', command, '/dev/null'], {
        encoding: 'utf8',
        env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '', ...env },
        cwd: new URL('../..', import.meta.url),
        stdio: ['ignore', 'pipe', 'pipe'],
      });
    expect(onTerminal({})).toContain('\u001b[1m');
    expect(onTerminal({ NO_COLOR: '1' })).not.toContain('\u001b[1m');
  });
});

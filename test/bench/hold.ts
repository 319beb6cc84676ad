import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileGeneration, type Generation } from '../../classifier/classifier.ts';
import { FLOW_KEY_WORDS } from '../../classifier/flow-key.ts';
import { slabOf } from '../../classifier/slab.ts';
import { VirtualClock } from '../../gateway/clock.ts';
import { StateDir } from '../../gateway/durable/state-dir.ts';
import type { VmStore } from '../../gateway/durable/vm-store.ts';
import { FrameBatch } from '../../gateway/frame-batch.ts';
import { DEFAULT_LIMITS, type TxBufferLimits } from '../../gateway/occupancy.ts';
import { TxBuffer } from '../../gateway/tx-buffer.ts';
import { Vm } from '../../gateway/vm.ts';
import { parseRules } from '../../rules/parse.ts';
import { collectGarbage, heapBytesPerCall } from './allocation.ts';
import type { Reporter } from './figures.ts';
import { BenchPort, tcpFrames } from './ports.ts';
import { interleaved } from './rounds.ts';

const ROUNDS = 7;
/** Frames held before the commit that releases them all. */
const HELD = 100_000;
const FLOWS = 512;
const BATCH = 64;
const SIZES = [64, 1514];
const LARGEST = 1514;

/** Hold and release: through a whole VM, then the transmit buffer alone; its memory, and what a frame allocates. */
export async function holdBench(report: Reporter): Promise<void> {
  for (const bytes of SIZES) throughVm(report, bytes);
  for (const bytes of SIZES) bufferAlone(report, bytes);
  for (const bytes of SIZES) inFile(report, bytes);
  overhead(report);
  allocation(report);
}

function generationOf(rules: string): Generation {
  const { ruleSet, errors } = parseRules(rules, 'bench.rules');
  if (ruleSet === null) throw new Error(errors.map((error) => error.message).join('\n'));
  return compileGeneration(1, ruleSet);
}

function limitsFor(frameBytes: number): TxBufferLimits {
  return { ...DEFAULT_LIMITS, limitFrames: HELD, limitBytes: HELD * frameBytes };
}

/** A replicated VM between two ports, all of whose frames are TCP of many flows and get the same verdict. */
class Rig {
  readonly inside: BenchPort;
  readonly outside = new BenchPort('outside', []);
  readonly vm: Vm;
  #epoch = 0;

  constructor(frameBytes: number, verdict: 'hold' | 'pass', limits: TxBufferLimits, store?: VmStore) {
    this.inside = new BenchPort('inside', tcpFrames(frameBytes, FLOWS));
    this.vm = new Vm(this.inside, this.outside, generationOf(`outbound { default ${verdict} }`), new VirtualClock(), {
      slotBytes: LARGEST,
      limits,
      batchFrames: BATCH,
      replicated: true,
      ...(store === undefined ? {} : { store }),
    });
    this.vm.start();
  }

  read(frames: number): void {
    this.inside.waiting = frames;
    while (this.vm.turn() > 0);
  }

  /** Seals and commits: everything that is held leaves. */
  release(): void {
    const { term } = this.vm.epochs;
    this.#epoch++;
    this.vm.seal(term, this.#epoch);
    this.vm.commit(term, this.#epoch);
  }
}

function throughVm(report: Reporter, frameBytes: number): void {
  const passing = new Rig(frameBytes, 'pass', limitsFor(frameBytes));
  const holding = new Rig(frameBytes, 'hold', limitsFor(frameBytes));
  const [passNs, holdNs, releaseNs] = interleaved(ROUNDS, [
    { perRun: HELD, run: () => passing.read(HELD) },
    { perRun: HELD, run: () => holding.read(HELD) },
    { perRun: HELD, run: () => holding.release() },
  ]);
  const left = holding.vm.counters.get('released');
  if (left !== (ROUNDS + 1) * HELD || holding.outside.accepted !== left)
    throw new Error(`${left} frames were released`);
  if (passing.vm.counters.get('passed') !== left) throw new Error('a frame did not pass');
  report.figure({ metric: `VM: pass a frame of ${frameBytes} B`, value: passNs!, unit: 'ns/frame' });
  report.figure({
    metric: `VM: hold a frame of ${frameBytes} B`,
    value: holdNs!,
    unit: 'ns/frame',
    baseline: { name: 'passing it', value: passNs! },
  });
  report.figure({
    metric: `VM: release ${HELD.toLocaleString('en')} held frames of ${frameBytes} B`,
    value: 1e9 / releaseNs!,
    unit: 'frames/s',
    baseline: { name: 'passing them', value: 1e9 / passNs! },
    target: { of: 'ratio', atLeast: 0.8 },
  });
}

function bufferAlone(report: Reporter, frameBytes: number): void {
  const limits = limitsFor(frameBytes);
  const slab = slabOf(new Uint8Array(FLOWS * frameBytes + TxBuffer.bytesFor(limits, frameBytes)));
  const buffer = new TxBuffer(slab, FLOWS * frameBytes, frameBytes, limits, 'burst');
  const batch = new FrameBatch(slab, FLOWS);
  for (let i = 0; i < FLOWS; i++) {
    batch.offset[i] = i * frameBytes;
    batch.length[i] = frameBytes;
    batch.wireLength[i] = frameBytes;
    batch.epoch[i] = 1;
  }
  const key = new Int32Array(FLOW_KEY_WORDS);
  const leaving = new FrameBatch(slab, BATCH);
  const [copyNs, holdNs, releaseNs] = interleaved(ROUNDS, [
    {
      perRun: HELD,
      run() {
        for (let n = 0; n < HELD; n++) {
          const from = (n & (FLOWS - 1)) * frameBytes;
          slab.bytes.copyWithin(FLOWS * frameBytes + n * frameBytes, from, from + frameBytes);
        }
      },
    },
    {
      perRun: HELD,
      run() {
        for (let n = 0; n < HELD; n++) {
          key[10] = n & (FLOWS - 1);
          if (buffer.hold(batch, n & (FLOWS - 1), key, false, false, false) !== 0)
            throw new Error('the buffer is full');
        }
      },
    },
    {
      perRun: HELD,
      run() {
        buffer.releaseThrough(1, 0);
        for (;;) {
          const count = buffer.collect(leaving, 0);
          if (count === 0) break;
          buffer.left(leaving, count);
        }
        if (buffer.frames > 0) throw new Error('a frame stayed');
      },
    },
  ]);
  const baseline = { name: 'copying its bytes', value: copyNs! };
  report.figure({ metric: `buffer: hold a frame of ${frameBytes} B`, value: holdNs!, unit: 'ns/frame', baseline });
  report.figure({
    metric: `buffer: release a frame of ${frameBytes} B`,
    value: releaseNs!,
    unit: 'ns/frame',
    baseline,
  });
}

/** What it costs a whole VM that its transmit buffer outlives the process. */
function inFile(report: Reporter, frameBytes: number): void {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  const dir = new StateDir(folder, () => 0);
  try {
    const limits = limitsFor(frameBytes);
    const rigs = [new Rig(frameBytes, 'hold', limits), new Rig(frameBytes, 'hold', limits, dir.openVm('vm0', 'file'))];
    const runs = rigs.flatMap((rig) => [
      { perRun: HELD, run: () => rig.read(HELD) },
      { perRun: HELD, run: () => rig.release() },
    ]);
    const [holdNs, releaseNs, holdInFileNs, releaseInFileNs] = interleaved(ROUNDS, runs);
    report.figure({
      metric: `VM: hold a frame of ${frameBytes} B in a file`,
      value: holdInFileNs!,
      unit: 'ns/frame',
      baseline: { name: 'in memory', value: holdNs! },
    });
    report.figure({
      metric: `VM: release ${HELD.toLocaleString('en')} frames of ${frameBytes} B from a file`,
      value: 1e9 / releaseInFileNs!,
      unit: 'frames/s',
      baseline: { name: 'from memory', value: 1e9 / releaseNs! },
    });
  } finally {
    dir.close();
    rmSync(folder, { recursive: true });
  }
}

/**
 * Measured, not computed: what the process's array buffers grow by when a transmit buffer with the default limits and
 * its memory are made, over the bytes of the 1514-byte frames that fill it, each of a flow of its own.
 */
function overhead(report: Reporter): void {
  const before = arrayBufferBytes();
  const slab = slabOf(new Uint8Array(TxBuffer.bytesFor(DEFAULT_LIMITS, LARGEST)));
  const buffer = new TxBuffer(slab, 0, LARGEST, DEFAULT_LIMITS, 'burst');
  const allocated = arrayBufferBytes() - before;
  const source = slabOf(new Uint8Array(slab.bytes.buffer, 0, LARGEST));
  const batch = new FrameBatch(source, 1);
  batch.length[0] = LARGEST;
  const key = new Int32Array(FLOW_KEY_WORDS);
  do key[10] = buffer.frames;
  while (buffer.hold(batch, 0, key, false, false, false) === 0);
  // The reserve is there for frames that a seal drains, and takes frames as well as the rest does.
  while (buffer.hold(batch, 0, key, false, false, true) === 0) key[10] = buffer.frames;
  report.figure({
    metric: `memory of a full buffer of default limits, ${buffer.frames.toLocaleString('en')} frames of ${LARGEST} B`,
    value: allocated,
    unit: 'bytes',
    baseline: { name: "the frames' own bytes", value: buffer.bytes },
    target: { of: 'ratio', atMost: 1.1 },
  });
}

function arrayBufferBytes(): number {
  // What one collection frees is counted off by the next.
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

function allocation(report: Reporter): void {
  const passing = new Rig(LARGEST, 'pass', DEFAULT_LIMITS);
  const holding = new Rig(LARGEST, 'hold', DEFAULT_LIMITS);
  const frames = 16_384;
  let kept: unknown;
  const control = heapBytesPerCall(frames, () => {
    for (let i = 0; i < frames; i++) kept = { i };
  });
  if (kept === undefined) throw new Error('the control did nothing');
  const paths = {
    'receive to transmit, passing': () => passing.read(frames),
    'receive to transmit, holding and releasing': () => {
      holding.read(frames);
      holding.release();
    },
  };
  for (const [metric, path] of Object.entries(paths)) {
    report.figure({
      metric: `heap: ${metric}`,
      value: heapBytesPerCall(frames, path),
      unit: 'bytes/frame',
      baseline: { name: 'one small object for each', value: control },
      // The runtime's own, and the answers to a seal and a commit, spread over all frames.
      target: { of: 'value', atMost: 0.1 },
    });
  }
}

import { Classifier, type Generation } from '../classifier/classifier.ts';
import { slabOf } from '../classifier/slab.ts';
import type { Clock } from './clock.ts';
import { Counters } from './counters.ts';
import type { VmStore } from './durable/vm-store.ts';
import { Epochs } from './epoch.ts';
import { Forwarder, type OverflowPolicy } from './forward.ts';
import { FramePool } from './frame-pool.ts';
import { DEFAULT_LIMITS, type TxBufferLimits } from './occupancy.ts';
import type { Port } from './port/port.ts';
import { RuleCounters } from './rule-counters.ts';
import { type Pacing, TxBuffer } from './tx-buffer.ts';

export interface VmOptions {
  /** The longest frame that is taken, bytes; a longer one is dropped as `oversize`. */
  readonly slotBytes: number;
  readonly limits?: TxBufferLimits;
  readonly pacing?: Pacing;
  readonly overflow?: OverflowPolicy;
  readonly verifyChecksums?: boolean;
  /** Frames that one turn reads at the most. */
  readonly batchFrames?: number;
  /** Released frames that leave at a time, before others have their turn; see `mayGoOn`. Default: all. */
  readonly releaseFrames?: number;
  /** A VM that is configured as replicated holds everything until its host attaches. */
  readonly replicated?: boolean;
  /** The last term that was in force when an earlier process of the gateway ended: the next one is greater. */
  readonly lastTerm?: number;
  /** Where terms, epochs and perhaps held frames outlive the process; the VM goes on from what is there. */
  readonly store?: VmStore;
  /** When the host's request that is being answered was sent, at the earliest; on the clock. Default: now. */
  readonly sentNs?: () => number;
  /** Addresses that a failover announces besides those that the VM announced itself; IP texts. */
  readonly announce?: readonly string[];
}

const DEFAULT_BATCH_FRAMES = 64;
/** Pool slots in batches: one in each direction, and as much again for what the ports refuse. */
const POOL_BATCHES = 4;
/** And for what is read only to be dropped, so that it can be however much the ports refuse. */
const DROP_SLOTS = 1;

/** No bound, as a small integer: any other number would be allocated wherever it is handed on. */
const ALL_FRAMES = 2 ** 30 - 1;

/** Frames are known by 32-bit offsets. */
export const MAX_SLAB_BYTES = 2 ** 32;

/** @returns bytes that a VM's frames take, those on their way and those in the transmit buffer; it works with up to MAX_SLAB_BYTES */
export function vmSlabBytes(limits: TxBufferLimits, slotBytes: number, batchFrames = DEFAULT_BATCH_FRAMES): number {
  return (POOL_BATCHES * batchFrames + DROP_SLOTS) * slotBytes + TxBuffer.bytesFor(limits, slotBytes);
}

export type VmParts = ReturnType<typeof makeVmParts>;

/**
 * What one VM consists of, wired together, in a slab of its own: one for slots and buffer, so that holding a frame is a copy within it,
 * which allocates nothing.
 * @throws RangeError for limits that cannot work, or backpressure on a port that cannot push back
 */
export function makeVmParts(inside: Port, outside: Port, generation: Generation, clock: Clock, options: VmOptions) {
  const limits = options.limits ?? DEFAULT_LIMITS;
  const overflow = options.overflow ?? 'drop';
  if (overflow === 'backpressure' && !inside.capabilities.pushesBack) {
    throw new RangeError(`port ${inside.name} cannot push back: overflow must be 'drop'`);
  }
  const { slotBytes, store = null } = options;
  const batchFrames = options.batchFrames ?? DEFAULT_BATCH_FRAMES;
  const slots = POOL_BATCHES * batchFrames + DROP_SLOTS;
  const poolBytes = slots * slotBytes;
  const slabBytes = vmSlabBytes(limits, slotBytes, batchFrames);
  if (slabBytes > MAX_SLAB_BYTES) {
    throw new RangeError('the transmit buffer and the frame pool may take 4 GiB together');
  }
  const { slab, ring, memory, held } = store?.room(poolBytes, slotBytes, limits) ?? {
    slab: slabOf(new Uint8Array(slabBytes)),
    ring: poolBytes,
    memory: null,
    held: new Int32Array(1),
  };
  const replicated = options.replicated === true;
  const epochs = store?.epochs(replicated) ?? new Epochs(replicated ? 'waiting' : 'off', options.lastTerm);
  const txBuffer = new TxBuffer(slab, ring, slotBytes, limits, options.pacing ?? 'burst', memory, held);
  if (overflow === 'backpressure' && txBuffer.occupancy.roomFor(slotBytes, false) === 0) {
    throw new RangeError(`with backpressure nothing would ever be read: behindShare takes no frame of a slot's length`);
  }
  const verifyChecksums = options.verifyChecksums ?? false;
  generation.live.begin(clock.nowNs());
  const outbound = new Classifier(generation, verifyChecksums, 'outbound');
  const inbound = new Classifier(generation, verifyChecksums, 'inbound');
  const counters = new Counters();
  const ruleCounters = new RuleCounters(generation.ruleSet);
  const forwarder = new Forwarder({
    inside,
    outside,
    pool: new FramePool(slab, 0, slots, slotBytes),
    classifier: outbound,
    inboundClassifier: inbound,
    epochs,
    txBuffer,
    counters,
    ruleCounters,
    overflow,
    batchFrames,
    releaseFrames: options.releaseFrames ?? ALL_FRAMES,
    clock,
  });
  return { clock, slab, epochs, txBuffer, outbound, inbound, counters, ruleCounters, forwarder, overflow };
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { KnownReach } from '../host/api.ts';
import { UNNOTICED_MS } from '../standstill.ts';
import type { StoredImage } from './image-store.ts';
import type { FailoverReport } from './standby-api.ts';
import type { StandbyLease } from './standby-lease.ts';
import type { StandbyOptions } from './standby-options.ts';

type Parts = Pick<StandbyOptions, 'store' | 'disks' | 'machine' | 'ports' | 'fence' | 'goesOnUnprotected'>;

/** What is known of the machine that the VM was on. */
export interface LastHeard {
  /** Known to be dead, and not only not heard. */
  readonly isDead: boolean;
  /** Of its driver's last word, or later; `performance.now`'s. */
  readonly heardAt: number;
  /** How long its driver would go on without a word of ours, and its gateway without one of the driver; not null with `needsLease`. */
  readonly lease: StandbyLease['known'];
  /** Of the VM, as its gateway knew them. */
  readonly known: KnownReach;
}

/**
 * The VM goes on here from an image: its old machine is fenced, disks and memory are the checkpoint's, the network is switched, the machine
 * runs. The image is of use until it does.
 * @throws Error where it cannot; nothing runs then, and it can be tried again
 */
export async function failOver(
  parts: Parts,
  image: StoredImage,
  last: LastHeard,
  why: string,
): Promise<FailoverReport> {
  const { store, disks, machine, ports } = parts;
  const { term, epoch } = image;
  const startedAt = performance.now();
  const since = () => Math.round(performance.now() - startedAt);
  let disksMs = 0;
  let loadedMs = 0;
  const fenced = fence(parts, last);
  // A machine that has loaded its image takes the disks as they are then.
  const ready = disks === null ? Promise.resolve() : fenced.then(() => disks.handOver({ term, epoch }));
  const loaded = ready.then(async () => {
    disksMs = since();
    await store.prepare();
    await machine.load(image.path, disks?.images ?? [], image.devices);
    loadedMs = since();
  });
  await Promise.all([loaded, fenced]);
  store.switching();
  const switched = await ports.switch({ term, epoch }, last.known, image.mayBeSwitched);
  const { term: newTerm, discardedFrames, releasedFrames } = switched;
  const switchedMs = since();
  if (parts.goesOnUnprotected) await ports.unprotect(newTerm);
  await machine.run();
  store.handOver();
  const times = { disksMs, loadedMs, switchedMs, runningMs: since() };
  return { term, epoch, newTerm, discardedFrames, releasedFrames, why, ...times };
}

/** Whether the old machine is known not to be heard only when its gateway's lease is over. */
export function needsLease({ fence, ports }: Pick<Parts, 'fence' | 'ports'>, isDead: boolean): boolean {
  return !isDead && fence === null && !ports.fences;
}

/** Resolves when the old machine cannot be heard any more. */
async function fence(parts: Parts, { isDead, heardAt, lease }: LastHeard): Promise<void> {
  if (parts.fence !== null) await parts.fence();
  if (!needsLease(parts, isDead)) return;
  const { patienceMs, leaseMs } = lease!;
  if (leaseMs === 0) {
    throw new Error('its machine may live, and its gateway lets data pass without end: fence it (--fence)');
  }
  // So much later its gateway may have heard what was sent in time, stopped twice in a turn; and a timer may fire a little early.
  const marginMs = 2 * UNNOTICED_MS + 2;
  await sleep(Math.max(0, heardAt + patienceMs + leaseMs + marginMs - performance.now()));
}

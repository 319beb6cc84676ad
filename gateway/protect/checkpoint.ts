import { RequestError } from '../host/protocol.ts';
import type { CheckpointReport } from './driver-events.ts';
import type { DriverOptions } from './driver-options.ts';
import { mostSilentMs } from './driver-term.ts';
import type { ImageRelay } from './image-relay.ts';
import { Migration, MigrationError, NotRunningError, runOn } from './migration.ts';
import { type QmpClient, QmpError } from './qmp.ts';
import type { RamDelta } from './ram-delta.ts';
import type { Checkpoint } from './standby-api.ts';
import { LinkError, type StandbyLink } from './standby-link.ts';

/** What a checkpoint is made with. */
export interface CheckpointMeans {
  readonly options: DriverOptions;
  readonly qmp: QmpClient;
  readonly link: StandbyLink;
  readonly relay: ImageRelay;
  /** Null: the copy is of all memory. */
  readonly delta: RamDelta | null;
  readonly isLive: boolean;
}

/**
 * Copies the machine once: memory to the standby, frames and disk writes of until then sealed while it is paused, and committed when the
 * standby has all of it.
 * @returns how it went; or why it failed, so that its frames and writes belong to the next one
 * @throws Error where it is not sure which, or where the next one cannot be better. The machine runs on, unless somebody else paused it
 */
export async function takeCheckpoint(
  means: CheckpointMeans,
  checkpoint: Checkpoint,
): Promise<CheckpointReport | string> {
  const { options, qmp, link, relay, delta, isLive } = means;
  const { gateway, disk, confirmTimeoutMs, patienceMs, onEvent } = options;
  const beganAt = performance.now();
  // A machine that is being paused waits for its writes and hears nobody meanwhile: not where the standby is silent already.
  if (disk !== null) await link.call('protect.ping', { term: checkpoint.term });
  const sender = link.begin(checkpoint);
  const copy = delta?.begin() ?? null;
  const sent = relay.to(copy ?? sender);
  let isSealed = false;
  // Whatever the gateway is asked renews its lease, which a standby that has heard nothing waits for.
  const checkHeard = () => {
    if (link.isHeard(mostSilentMs(patienceMs))) return;
    throw new LinkError(link.isClosed ? 'the standby hung up' : 'the standby has not been heard for too long');
  };
  const seal = async () => {
    checkHeard();
    const { heldFrames } = await gateway.seal();
    isSealed = true;
    await disk?.seal(qmp, link, checkpoint);
    return heldFrames;
  };
  try {
    const migration = await Migration.start(qmp, relay.uri, isLive);
    await migration.stopped;
    const stoppedAt = performance.now();
    const sealing = seal();
    // Meanwhile gateway and machine do their parts.
    const taking = Promise.resolve().then(() => copy?.takeChanges());
    const heldFrames = await both(sealing, Promise.all([migration.completed, taking]));
    onEvent({ event: 'sealed', ...checkpoint, heldFrames });
    const resumed = migration.resume();
    const confirmed = sent.then(async (isWhole) => {
      // Cut by what follows here, where the machine died after it had sent all and before all was read: what has come is a part.
      if (!isWhole && !link.isClosed) throw new MigrationError('the copy was cut off');
      // Nobody else let it run while it was copied: the standby names no image before that is known.
      await resumed;
      await copy?.send(sender, link);
      await sender.end(confirmTimeoutMs);
    });
    confirmed.catch(() => {});
    await resumed;
    const pauseMs = performance.now() - stoppedAt;
    // The standby says so when it has the disks' writes, too.
    await confirmed;
    copy?.confirmed(checkpoint);
    checkHeard();
    await gateway.commit(checkpoint.epoch);
    return {
      ...checkpoint,
      bytes: sender.bytes,
      heldFrames,
      pauseMs: round(pauseMs),
      copyMs: round(stoppedAt - beganAt),
      commitMs: round(performance.now() - beganAt),
    };
  } catch (error) {
    relay.cut();
    if (qmp.isClosed) throw error;
    if (!(error instanceof NotRunningError)) await runOn(qmp, !isLive);
    const isTorn = error instanceof RequestError && error.code === 'image-torn';
    const isOver = isTorn || error instanceof MigrationError || (error instanceof QmpError && error.code === 'refused');
    if (!isOver) throw error;
    // It may have been cut for that.
    checkHeard();
    sender.abandon();
    if (isTorn) delta?.restart();
    if (isSealed) await gateway.abort(checkpoint.epoch);
    await disk?.abort(link, checkpoint);
    return (error as Error).message;
  }
}

/** Waits for both also where one fails: whoever cleans up must know what became of the other. */
async function both<A>(first: Promise<A>, second: Promise<unknown>): Promise<A> {
  const [a, b] = await Promise.allSettled([first, second]);
  if (a.status === 'rejected') throw a.reason;
  if (b.status === 'rejected') throw b.reason;
  return a.value;
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}

/**
 * The VM and its host in one process, so that it knows of every frame to which epoch it belongs: it sends nothing while it seals,
 * as a VM that is paused does.
 *
 *   tsx sender.ts CONTROL-SOCKET SECONDS FRAMES-PER-SECOND SEED   (in the guest's namespace; prints its log as JSON)
 */
import { HostClient } from '../../gateway/host/client.ts';
import { Random } from '../support/random.ts';
import { CONTROL_PORT, DATA_PORT, type EpochLog, FRAME, GUEST, NETWORK, nowMs, type SenderLog } from './frames.ts';
import { sockaddr, UdpSocket } from './udp.ts';

const [path = '', seconds = '10', rate = '1000', seed = '1'] = process.argv.slice(2);
const EPOCH_MS = 20;
/** A machine with other work may be late; the log is true only for a seal that has read everything. */
const SEAL_MS = 5000;
/** One frame in so many is control. */
const CONTROL_SHARE = 4;
const LENGTHS = [FRAME.bytes, FRAME.bytes, 64, 200, 1400];
/** What waits to be sent after a pause is sent over time, not at once. */
const MOST_AT_ONCE = 400;

const random = new Random(Number(seed));
const socket = new UdpSocket(GUEST, 6000);
const to = [sockaddr(NETWORK, DATA_PORT), sockaddr(NETWORK, CONTROL_PORT)] as const;
const payload = new Uint8Array(1400);
const view = new DataView(payload.buffer);
const client = new HostClient({ path, client: 'soak' });
const host = client.vm('vm0');
const log: SenderLog = { epochs: [], sent: [0, 0], refused: 0 };
const next = [0, 0];
let isPaused = false;
let open: EpochLog;

function begin(epoch: number): void {
  open = { epoch, from: next[1]!, to: next[1]!, releasedMs: null, isUndone: false };
  log.epochs.push(open);
}

function sendOne(): void {
  const kind = random.below(CONTROL_SHARE) === 0 ? 1 : 0;
  view.setUint32(FRAME.serial, next[kind]!);
  view.setFloat64(FRAME.sentMs, nowMs());
  if (!socket.send(to[kind], payload, LENGTHS[random.below(LENGTHS.length)]!)) {
    log.refused++;
    return;
  }
  next[kind]!++;
}

/** The guest's own work, until `endMs`. */
async function guest(endMs: number): Promise<void> {
  let lastMs = nowMs();
  let due = 0;
  while (nowMs() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    const now = nowMs();
    due = Math.min(due + ((now - lastMs) * Number(rate)) / 1000, Number(rate));
    lastMs = now;
    for (let n = 0; n < MOST_AT_ONCE && due >= 1 && !isPaused; n++, due--) sendOne();
  }
}

/** What is released by a commit, or a rollback that commits, up to `epoch`. */
function released(epoch: number): void {
  const now = nowMs();
  for (const one of log.epochs) if (one.epoch <= epoch && !one.isUndone) one.releasedMs ??= now;
}

function undone(after: number): void {
  for (const one of log.epochs) if (one.epoch > after && one.releasedMs === null) one.isUndone = true;
}

/** Checkpoints, of which some fail and some are gone back to. */
async function checkpoints(endMs: number): Promise<void> {
  let inFlight: number[] = [];
  let work: Promise<unknown> = Promise.resolve();
  while (nowMs() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, EPOCH_MS));
    isPaused = true;
    const { epoch, openEpoch, drained } = await host.seal(SEAL_MS);
    if (!drained) throw new Error(`epoch ${epoch} was not drained`);
    open.to = next[1]!;
    begin(openEpoch);
    inFlight.push(epoch);
    const dice = random.below(100);
    if (dice < 2) {
      await work;
      const target = inFlight[random.below(inFlight.length)]!;
      released(target);
      undone(target);
      open.to = next[1]!;
      const back = await host.rollback(target);
      begin(back.openEpoch);
      inFlight = [];
    } else if (dice < 8) {
      await work;
      await host.abort(epoch);
      inFlight.pop();
    } else if (inFlight.length > 2) {
      const through = inFlight[1]!;
      inFlight = inFlight.slice(2);
      // The VM runs on while the standby confirms.
      work = work.then(async () => {
        released(through);
        await host.commit(through);
      });
    }
    isPaused = false;
  }
  await work;
  open.to = next[1]!;
  const { epoch } = await host.seal(SEAL_MS);
  released(epoch);
  await host.commit(epoch);
}

const { openEpoch } = await host.start({ leaseMs: 60_000 });
begin(openEpoch);
const endMs = nowMs() + Number(seconds) * 1000;
await guest(nowMs());
const driving = checkpoints(endMs);
await Promise.all([guest(endMs - 100), driving]);
log.sent = [next[0]!, next[1]!];
process.stdout.write(JSON.stringify(log));
client.close();
socket.close();

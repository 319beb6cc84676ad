/** Rules that change while frames flow through a running gateway. */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { HostClient } from '../../gateway/host/client.ts';
import { CONTROL_PORT, DATA_PORT } from '../soak/frames.ts';
import { LiveScene } from '../support/live-scene.ts';
import { lostBeside } from '../support/lost-beside.ts';
import { noNetnsReason } from '../support/netns.ts';
import { runs } from '../support/runs.ts';

const reason = noNetnsReason('sysctl');
const EDITS = runs(1000);
/** Frames that each generation judges at least: enough of each kind that every edit leaves a trace. */
const FRAMES_PER_EDIT = 6;
const MOST_FRAMES = 10_000_000;
/** Where the search for the highest rate without loss begins (frames a second: many for each edit), and by how much it goes up. */
const FIRST_RATE = 10_000;
const RATE_STEP = 1.4;
const PROBE_MS = 700;
/** For the gateway to read what the guest has sent. */
const READ_MS = 3000;
/** Of the highest rate without loss. */
const LOAD = 0.8;
/** A machine that got busier since its rate was measured loses frames: the rate is measured again. */
const TRIES = 8;

let scene: LiveScene;
let client: HostClient;

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  scene = new LiveScene();
  scene.addAddresses(false);
  scene.introduce();
});
afterEach(async () => {
  await scene?.delete();
});

/** In each generation one of two ports passes and the other is dropped. */
function rulesOf(generation: number): string {
  const [passes, dropped] = generation % 2 === 1 ? [DATA_PORT, CONTROL_PORT] : [CONTROL_PORT, DATA_PORT];
  return `# ${generation}
outbound {
  udp dport ${passes} pass
  udp dport ${dropped} drop
  default pass
}
`;
}

const script = (name: string) => ['--import', 'tsx', new URL(`../soak/${name}`, import.meta.url).pathname];

/** @returns serial numbers that arrived, in their order; those of each kind come in order anyway */
function arrivedOf(file: string): number[] {
  const serials = [0, 1].flatMap((kind) => {
    const bytes = readFileSync(`${file}.${kind}`);
    const rows = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    return Array.from({ length: rows.length / 3 }, (_, i) => rows[3 * i]!);
  });
  return serials.sort((a, b) => a - b);
}

/** A guest that sends at a rate until it is told to end. */
class Guest {
  readonly #running;

  constructor(framesPerSecond: number) {
    this.#running = scene.guest.start(process.execPath, ...script('alternating.ts'), String(framesPerSecond));
  }

  /** @returns frames that it sent */
  async end(): Promise<number> {
    this.#running.child.stdin!.end();
    return Number(await this.#running.done());
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What the gateway counted so far. */
async function counted() {
  const { vms, ports } = await client.call('status', {});
  const lost = ports.reduce((sum, port) => sum + port.counters.lost!, 0);
  expect(lost).toBeGreaterThanOrEqual(0);
  return { ...vms[0]!.counters, lost };
}

/** @returns what was counted once all frames that the guest has sent since `before` were read or lost; after a while, whatever it is */
async function onceRead(sent: number, before: Awaited<ReturnType<typeof counted>>) {
  const end = performance.now() + READ_MS;
  for (;;) {
    const now = await counted();
    if (now.outbound + now.lost - before.outbound - before.lost >= sent || performance.now() > end) return now;
    await pause(5);
  }
}

/** @returns frames a second */
async function highestRateWithoutLoss(): Promise<number> {
  let highest = FIRST_RATE;
  for (let rate = FIRST_RATE; ; rate *= RATE_STEP) {
    const before = await counted();
    const guest = new Guest(rate);
    while ((await counted()).outbound === before.outbound) await pause(5);
    await pause(PROBE_MS);
    const sent = await guest.end();
    const after = await onceRead(sent, before);
    const isWhole = after.lost === before.lost && after.outbound - before.outbound === sent;
    // What the guest cannot send says nothing about the gateway.
    if (!isWhole || sent < (0.9 * rate * PROBE_MS) / 1000) return highest;
    highest = rate;
  }
}

/** Runs all edits under a load. @returns whether the kernel lost no frame before the gateway read it, nor after the gateway sent it */
async function editUnder(framesPerSecond: number, file: string): Promise<boolean> {
  const { generation: first } = await client.call('status', {});
  const receiver = scene.network.start(process.execPath, ...script('receiver.ts'), file, String(MOST_FRAMES));
  await receiver.says('receiving');
  const before = await counted();
  const lostBesideBefore = lostBeside(scene);
  const guest = new Guest(framesPerSecond);
  while ((await counted()).passed < before.passed + 100);
  for (let generation = first + 1; generation <= first + EDITS; generation++) {
    expect((await client.call('rules.apply', { text: rulesOf(generation) })).generation).toBe(generation);
    const { outbound } = await counted();
    while ((await counted()).outbound < outbound + FRAMES_PER_EDIT);
  }
  const sent = await guest.end();
  const after = await onceRead(sent, before);
  // The kernel has them; the receiver takes what has come before it ends.
  await pause(100);
  receiver.child.stdin!.end();
  await receiver.done();
  if (after.lost > before.lost || lostBeside(scene) > lostBesideBefore) return false;
  const arrived = arrivedOf(file);
  // In queues of the kernel that tell nobody: what the guest sent was not read, or what the link took did not arrive.
  if (after.outbound - before.outbound < sent || after.passed - before.passed > arrived.length) return false;
  // A port passes until the next edit, and then the other one does: with each frame of the one that passes, and none of the other.
  let changes = 0;
  for (let i = 1; i < arrived.length; i++) {
    const gap = arrived[i]! - arrived[i - 1]!;
    if (gap % 2 === 0) expect(gap, `after frame ${arrived[i - 1]}`).toBe(2);
    else expect([1, 3], `after frame ${arrived[i - 1]}`).toContain(gap);
    if (gap % 2 === 1) changes++;
  }
  expect(changes).toBe(EDITS);
  expect(after.dropped - before.dropped).toBe(sent - arrived.length);
  expect(after.outbound).toBe(after.passed + after.dropped);
  return true;
}

test(`${EDITS} edits at ${LOAD} of the highest rate without loss: no frame is lost, sent twice, or judged by a mix of generations`, async () => {
  await scene.run('--rules', scene.file('live.rules', rulesOf(1)));
  client = scene.client();
  let most = Number.POSITIVE_INFINITY;
  for (let left = TRIES; ; left--) {
    const highest = Math.min(await highestRateWithoutLoss(), most);
    const rate = Math.floor(LOAD * highest);
    const isWhole = await editUnder(rate, `${scene.folder}/arrived-${left}`);
    console.log(`${EDITS} edits under ${rate} frames/s:`, isWhole ? 'no frame lost' : 'frames were lost');
    if (isWhole) return;
    expect(left, 'tries that are left').toBeGreaterThan(1);
    // What a short look found was the highest of a moment in which nobody else had much to do.
    most = rate;
  }
}, 400_000);

test('a change that nobody confirms is taken back, though the one who made it is gone', async () => {
  const gateway = await scene.run('--rules', scene.file('live.rules', rulesOf(1)));
  client = scene.client();
  const hasty = scene.client();
  expect((await hasty.call('rules.apply', { text: rulesOf(2), confirmWithinMs: 2000 })).generation).toBe(2);
  hasty.close();
  const textNow = async (generation?: number) =>
    (await client.call('rules.text', generation === undefined ? {} : { generation })).texts[0]!.text;
  // By its number: on a slow machine it may have been taken back already.
  expect(await textNow(2)).toBe(rulesOf(2));
  while ((await client.call('status', {})).generation < 3) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(await textNow()).toBe(rulesOf(1));
  // The same, but the gateway is killed in between.
  await client.call('rules.apply', { text: rulesOf(2), confirmWithinMs: 60_000 });
  await gateway.kill();
  await scene.run('--rules', `${scene.folder}/live.rules`);
  client = scene.client();
  expect(await textNow()).toBe(rulesOf(1));
  expect((await client.call('status', {})).generation).toBeGreaterThan(4);
});

test('a rejected change names every error and leaves what is in force', async () => {
  await scene.run('--rules', scene.file('live.rules', rulesOf(1)));
  client = scene.client();
  const bad = rulesOf(2).replaceAll('dport', 'dprt');
  const refused = await client.call('rules.apply', { text: bad }).catch((error) => error);
  expect(refused).toMatchObject({ code: 'rules-invalid' });
  expect(refused.errors).toHaveLength(2);
  expect((await client.call('status', {})).generation).toBe(1);
});

/** Rules that change while frames flow through a running gateway. */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { HostClient } from '../../gateway/host/client.ts';
import { CONTROL_PORT, DATA_PORT } from '../soak/frames.ts';
import { LiveScene } from '../support/live-scene.ts';
import { noNetnsReason } from '../support/netns.ts';
import { runs } from '../support/runs.ts';

const reason = noNetnsReason('sysctl');
const EDITS = runs(1000);
const FRAMES_PER_SECOND = 20_000;
const MOST_FRAMES = 10_000_000;

let scene: LiveScene;
let client: HostClient;

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  scene = new LiveScene();
  scene.addAddresses(false);
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

test(`${EDITS} edits under traffic: no frame is lost, sent twice, or judged by a mix of generations`, async () => {
  await scene.run('--rules', scene.file('live.rules', rulesOf(1)));
  client = scene.client();
  const file = `${scene.folder}/arrived`;
  const receiver = scene.network.start(process.execPath, ...script('receiver.ts'), file, String(MOST_FRAMES));
  await receiver.says('receiving');
  const sender = scene.guest.start(process.execPath, ...script('alternating.ts'), String(FRAMES_PER_SECOND));
  while ((await client.call('status', {})).vms[0]!.counters.passed < 100);
  for (let generation = 2; generation <= EDITS + 1; generation++) {
    expect((await client.call('rules.apply', { text: rulesOf(generation) })).generation).toBe(generation);
  }
  sender.child.stdin!.end();
  const sent = Number(await sender.done());
  await new Promise((resolve) => setTimeout(resolve, 300));
  receiver.child.stdin!.end();
  await receiver.done();
  const arrived = arrivedOf(file);
  // A port passes until the next edit, and then the other one does: with each frame of the one that passes, and none of the other.
  let changes = 0;
  for (let i = 1; i < arrived.length; i++) {
    const gap = arrived[i]! - arrived[i - 1]!;
    if (gap % 2 === 0) expect(gap, `after frame ${arrived[i - 1]}`).toBe(2);
    else expect([1, 3], `after frame ${arrived[i - 1]}`).toContain(gap);
    if (gap % 2 === 1) changes++;
  }
  // A generation that no frame came in leaves no trace, and takes two changes away.
  expect((EDITS - changes) % 2).toBe(0);
  expect(changes).toBeGreaterThan(0.7 * EDITS);
  const { vms, ports } = await client.call('status', {});
  const { counters } = vms[0]!;
  expect(ports.map((port) => port.counters.lost)).toEqual([0, 0]);
  expect(counters.dropped).toBe(sent - arrived.length);
  expect(counters.outbound).toBe(counters.passed + counters.dropped);
}, 240_000);

test('a change that nobody confirms is taken back, though the one who made it is gone', async () => {
  const gateway = await scene.run('--rules', scene.file('live.rules', rulesOf(1)));
  client = scene.client();
  const hasty = scene.client();
  await hasty.call('rules.apply', { text: rulesOf(2), confirmWithinMs: 500 });
  hasty.close();
  const textNow = async () => (await client.call('rules.text', {})).texts[0]!.text;
  expect(await textNow()).toBe(rulesOf(2));
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

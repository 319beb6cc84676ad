/**
 * `make steady`: one gateway forwards at one rate for as long as one likes, with checkpoints, and must not become slower or larger.
 *
 *   npx tsx test/soak/steady.ts [time=30m] [rate=100000] [inside=inside] [outside=outside]
 *
 * `inside` and `outside` are ports as `holdfast run` takes them. Exit code 1: of the frames that were sent the last minute's share that
 * arrived was smaller than the second's, or memory grew. A time too short for minutes has shorter parts.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { buildCPrograms } from '../bench/c-programs.ts';
import { cpuNs, received, sent } from '../bench/live-rig.ts';
import { seconds } from '../support/duration.ts';
import { LiveScene } from '../support/live-scene.ts';
import { noNetnsReason } from '../support/netns.ts';

const PORT = 7000;
const EPOCH_MS = 100;
const SEAL_MS = 20;
const PART_SECONDS = 60;
const LEAST_PARTS = 8;
/** Of the share of the second part. */
const LEAST_SHARE = 0.97;
/** What the heap may move up and down. */
const MOST_GROWTH_BYTES = 16e6;
const RULES = `outbound {\n  udp dport ${PORT} pass\n  default hold\n}`;

const given: Record<string, string> = Object.fromEntries(process.argv.slice(2).map((arg) => arg.split('=', 2)));
const time = seconds(given.time || '30m');
const rate = Number(given.rate || 100_000);
if (!(time > 0) || !(rate > 0)) {
  console.error('usage: make steady time=30m rate=FRAMES-PER-SECOND');
  process.exit(2);
}
const reason = noNetnsReason('sysctl', 'taskset');
if (reason !== null) {
  console.log(`steady: skipped: ${reason}`);
  process.exit(0);
}

function rssOf(pid: number): number {
  const [, kib = '0'] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) * 1024;
}

const partSeconds = Math.min(PART_SECONDS, time / LEAST_PARTS);
const parts = Math.floor(time / partSeconds);
const scene = new LiveScene();
let sender: ReturnType<typeof spawn> | null = null;
try {
  const programs = buildCPrograms(scene.folder);
  if (typeof programs === 'string') throw new Error(programs);
  const { inside = 'inside', outside = 'outside' } = given;
  const rules = scene.file('steady.rules', RULES);
  const gateway = scene.start('--inside', inside, '--outside', outside, '--rules', rules);
  await gateway.says('ready');
  const host = scene.client().vm('vm0');
  await host.start();
  let isOver = false;
  const checkpoints = (async () => {
    while (!isOver) {
      await new Promise((resolve) => setTimeout(resolve, EPOCH_MS));
      const { epoch } = await host.seal(SEAL_MS);
      await host.commit(epoch);
    }
  })();
  const parameters = ['eth0', 64, time + 10, rate, PORT].map(String);
  sender = spawn('ip', ['netns', 'exec', scene.guest.name, programs.send, ...parameters]);
  const shares: number[] = [];
  const sizes: number[] = [];
  for (let part = 1; part <= parts; part++) {
    const before = { sent: sent(scene.guest), frames: received(scene.network), cpu: cpuNs(gateway.pid) };
    const begin = performance.now();
    await new Promise((resolve) => setTimeout(resolve, partSeconds * 1000));
    const frames = received(scene.network) - before.frames;
    const framesPerSecond = Math.round((frames * 1000) / (performance.now() - begin));
    shares.push(frames / (sent(scene.guest) - before.sent));
    sizes.push(rssOf(gateway.pid));
    console.log(
      `steady: part ${part} of ${parts}: ${framesPerSecond} frames/s, ${shares.at(-1)!.toFixed(3)} of those that were sent,`,
      `${Math.round((cpuNs(gateway.pid) - before.cpu) / frames)} ns of CPU a frame, RSS ${(sizes.at(-1)! / 1e6).toFixed(1)} MB`,
    );
  }
  isOver = true;
  await checkpoints;
  const share = shares.at(-1)! / shares[1]!;
  const growth = sizes.at(-1)! - sizes[1]!;
  console.log(
    `steady: the last part's share is ${share.toFixed(3)} of the second's (at least ${LEAST_SHARE}),`,
    `memory grew by ${(growth / 1e6).toFixed(1)} MB (at most ${MOST_GROWTH_BYTES / 1e6})`,
  );
  if (!(share >= LEAST_SHARE) || growth > MOST_GROWTH_BYTES) process.exitCode = 1;
} finally {
  sender?.kill();
  await scene.delete();
}

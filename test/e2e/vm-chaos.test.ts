/** Whatever dies around a VM in QEMU: no client sees a state that was undone, and protection comes back. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { allAnswered, answered, committed, PATIENCE_MS } from '../support/answers.ts';
import { Random } from '../support/random.ts';
import { runs } from '../support/runs.ts';
import type { VmScene } from '../support/vm-scene.ts';
import { VmTest } from '../support/vm-test.ts';

const seed = Number(process.env.HOLDFAST_SEED ?? 1);
const MINUTE_MS = 60_000;

/** Nobody takes a machine for dead here that is only not heard: a test on a busy computer could not tell. */
const SCENE = { rules: 'hold-all', standbyFlags: ['--silence', '10m'] } as const;

const vm = new VmTest();

/** Every image that has a name is what the name says. @returns how many there are */
function wholeImages(folder: string): number {
  const names = readdirSync(folder).filter((name) => name.endsWith('.image'));
  for (const name of names) {
    const [, , bytes, crc] = name.split('.');
    const image = readFileSync(join(folder, name));
    expect([name, image.length, crc32(image)]).toEqual([name, Number(bytes), Number.parseInt(crc!, 16)]);
  }
  return names.length;
}

/** Waits until the VM goes on at its standby; whom nobody has told of the machine's death, or who could not, is told to. */
async function movedOn(scene: VmScene, isNobodyThere: boolean): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const { state, trouble } = await scene.askStandby((link) => link.call('status', {}));
    if (state === 'active') break;
    if (performance.now() > end) throw new Error(`waited ${PATIENCE_MS} ms for the failover: ${state}, ${trouble}`);
    if (state === 'failed' || (state === 'ready' && isNobodyThere)) {
      await scene.askStandby((link) => link.call('failover', {}, PATIENCE_MS)).catch(() => {});
    }
    await sleep(100);
  }
  await scene.moved();
}

const PARTS = ['driver', 'gateway', 'standby', 'machine'] as const;
type Part = (typeof PARTS)[number];

/** Every set of parts but the empty one, in some order. */
function deaths(random: Random): Part[][] {
  const sets = Array.from({ length: 2 ** PARTS.length - 1 }, (_, bits) =>
    PARTS.filter((_, i) => ((bits + 1) >> i) & 1),
  );
  return shuffled(sets, random);
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const left = [...items];
  return items.map(() => left.splice(random.below(left.length), 1)[0]!);
}

test(
  `driver, gateway, standby and machine die alone and together, at any moment (seed ${seed})`,
  async () => {
    const random = new Random(seed);
    const scene = await vm.started(SCENE);
    let driver = scene.protectByCommand('--lease', '30s');
    await committed(driver, 1, 'at first');
    const client = await vm.counting();
    const told: string[] = [];
    let queue: Part[][] = [];
    for (let i = 0; i < runs(8); i++) {
      if (queue.length === 0) queue = deaths(random);
      const dying = queue.pop()!;
      // A standby that has begun to go on is another matter: where both die, it does so before the machine.
      const order = shuffled(dying, random).sort((a, b) => Number(a === 'machine') - Number(b === 'machine'));
      const when = `death ${i + 1} of ${order.join(', then ')}`;
      told.push(order.join('+'));
      await answered(client, 50, `before ${when}`);
      if (random.below(2) === 0) await scene.sealed();
      else await sleep(random.below(300));
      for (const part of order) {
        if (part === 'machine') scene.killMachine();
        else await { driver, gateway: scene.gateway, standby: scene.standby }[part].kill();
        if (random.below(2) === 0) await sleep(random.below(200));
      }
      const images = scene.path(`images${scene.place + 1}`);
      if (dying.includes('standby')) expect(wholeImages(images), when).toBeGreaterThan(0);
      for (const part of shuffled(dying, random)) {
        if (part === 'gateway') {
          scene.gateway = scene.startGateway(scene.place);
          // Without its machine it is not ready before the VM has gone on elsewhere.
          if (!dying.includes('machine')) await scene.gateway.says('ready');
        }
        if (part === 'standby') await scene.startStandby();
      }
      // It does not wait for a gateway.
      if (dying.includes('driver') && !dying.includes('machine')) driver = scene.protectByCommand('--lease', '30s');
      const isMachineLast = !dying.includes('machine') && random.below(2) === 0;
      if (isMachineLast) {
        // What a successor believes of the one before it shows where nothing new is committed.
        if (dying.includes('driver')) await driver.says('"event":"term"');
        scene.killMachine();
        told.push(`${told.pop()}, and soon machine`);
      }
      if (dying.includes('machine') || isMachineLast) {
        const hasDriver = isMachineLast || !dying.includes('driver');
        await movedOn(scene, !hasDriver || dying.includes('standby'));
        if (hasDriver) expect(await driver.ended, when).toBe(1);
        expect(client.violation, when).toBeNull();
        await scene.startStandby();
        driver = scene.protectByCommand('--lease', '30s');
      }
      await committed(driver, 1, `after ${when}`);
    }
    await answered(client, 100, 'in the end');
    await allAnswered(client);
    console.log(`${told.length} times (seed ${seed}): ${told.join('; ')}; ${client.answers} answers`);
    await vm.keep();
  },
  20 * MINUTE_MS,
);

/** What a person does about a VM whose standby died while it went on: what the next one says of it decides. @returns what it was */
async function rescued(scene: VmScene): Promise<string> {
  const next = scene.place + 1;
  await scene.startStandby();
  const status = () => scene.askStandby((link) => link.call('status', {}));
  const end = performance.now() + PATIENCE_MS;
  let { machine, trouble, image } = await status();
  while (machine !== 'warm' && trouble === null && performance.now() < end) {
    await sleep(20);
    ({ machine, trouble, image } = await status());
  }
  if (machine === 'warm') {
    await movedOn(scene, true);
    await scene.startStandby();
    return 'the next one went on';
  }
  const found = await scene.machineStatus(next);
  expect(trouble).toContain(`a machine is ${found} at ${scene.path(`qmp${next}`)}: it may be the VM`);
  const { vms } = await scene.client(scene.place).call('status', {});
  const isSwitched = vms[0]!.term > image!.term;
  expect(isSwitched || found === 'paused', 'no machine runs before the network is switched to it').toBe(true);
  if (found === 'paused' && !isSwitched) {
    // It has loaded the image, and nobody has heard of it.
    await scene.tellMachine('quit', next).catch(() => {});
    await movedOn(scene, true);
    await scene.startStandby();
    return 'its machine had loaded';
  }
  if (found === 'paused') await scene.tellMachine('cont', next);
  await scene.standby.kill();
  scene.adopt();
  await scene.startStandby();
  return `its machine was ${found}, the network switched`;
}

test(
  `a standby that dies while the VM goes on there leaves what a person can go on with (seed ${seed})`,
  async () => {
    const random = new Random(seed);
    const scene = await vm.started(SCENE);
    const told: string[] = [];
    for (let i = 0; i < runs(3); i++) {
      const driver = scene.protectByCommand('--lease', '30s');
      await committed(driver, 1, 'at first');
      await answered(vm.client ?? (await vm.counting()), 50, `before death ${i + 1}`);
      const isSwitched = await scene.listenFor('failover');
      scene.killMachine();
      if (random.below(2) === 0) await isSwitched.done;
      else {
        await scene.standby.says('failing-over');
        await sleep(random.below(100));
      }
      await scene.standby.kill();
      expect(wholeImages(scene.path(`images${scene.place + 1}`))).toBeGreaterThan(0);
      told.push(await rescued(scene));
      expect(await driver.ended).toBe(1);
    }
    await committed(scene.protectByCommand('--lease', '30s'), 1, 'in the end');
    await answered(vm.client!, 100, 'in the end');
    await allAnswered(vm.client!);
    console.log(`${told.length} times (seed ${seed}): ${told.join('; ')}`);
    await vm.keep();
  },
  10 * MINUTE_MS,
);

test(
  'a gateway that comes back after its standby has given up is asked once more',
  async () => {
    const scene = await vm.started(SCENE);
    const driver = scene.protectByCommand('--lease', '30s');
    await committed(driver, 1, 'at first');
    const client = await vm.counting();
    await answered(client, 50, 'before');
    await scene.gateway.kill();
    scene.killMachine();
    await scene.standby.says('"state":"failed"');
    scene.gateway = scene.startGateway(scene.place);
    await movedOn(scene, true);
    await scene.startStandby();
    await committed(scene.protectByCommand('--lease', '30s'), 1, 'in the end');
    await answered(client, 100, 'in the end');
    await allAnswered(client);
  },
  4 * MINUTE_MS,
);

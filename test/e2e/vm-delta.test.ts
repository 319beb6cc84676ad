/** A VM whose memory is a shared file: what has changed there is its checkpoint. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { allAnswered, answered, committed, PATIENCE_MS } from '../support/answers.ts';
import { Random } from '../support/random.ts';
import { runs } from '../support/runs.ts';
import { someMoment } from '../support/some-moment.ts';
import { VmTest } from '../support/vm-test.ts';

const seed = Number(process.env.HOLDFAST_SEED ?? 1);
const MINUTE_MS = 60_000;
/** Checkpoints follow each other closely: most kills come while one is on its way. */
const PACE = { kind: 'fixed', intervalMs: 20 } as const;
const SCENE = { rules: 'hold-all', delta: true, standbyFlags: ['--silence', '60s'] } as const;

const vm = new VmTest();

test(
  `one TCP connection at 1 kHz survives the death of the VM's machine, again and again (seed ${seed})`,
  async () => {
    const scene = await vm.started(SCENE);
    const random = new Random(seed);
    const times: number[] = [];
    for (let i = 0; i < runs(10); i++) {
      scene.protect({ pace: PACE });
      await scene.commits(1);
      const client = vm.client ?? (await vm.counting());
      await answered(client, 100);
      const moment = await someMoment(scene, random, 300);
      scene.killMachine();
      times.push((await scene.moved()).runningMs);
      expect(client.violation, `failover ${i + 1}, killed ${moment}`).toBeNull();
      expect(await scene.outcome).toBe('gone');
      await scene.startStandby();
    }
    scene.protect({ pace: PACE });
    await answered(vm.client!, 100);
    await allAnswered(vm.client!);
    console.log(`${times.length} failovers; from the driver's word to a running VM: ${times.join(', ')} ms`);
    await vm.keep();
  },
  6 * MINUTE_MS,
);

test(
  `drivers and standbys that are killed in the middle leave a whole checkpoint (seed ${seed})`,
  async () => {
    const scene = await vm.started(SCENE);
    const random = new Random(seed);
    const aMoment = () => (random.below(2) === 0 ? scene.sealed() : sleep(random.below(200)));
    const wrong = scene.protectByCommand('--copy', 'paused');
    await wrong.says('the standby keeps changes of memory');
    await wrong.kill();
    let driver = scene.protectByCommand();
    await committed(driver, 1);
    expect(driver.events, 'what the standby keeps decides').toContainEqual(
      expect.objectContaining({ event: 'copies', are: 'delta' }),
    );
    const client = await vm.counting();
    for (let i = 0; i < runs(2); i++) {
      await answered(client, 50);
      await aMoment();
      await driver.kill();
      driver = scene.protectByCommand('--copy', 'delta');
      await committed(driver, 2);
      await aMoment();
      await scene.standby.kill();
      await scene.startStandby();
      await committed(driver, 2);
    }
    await answered(client, 50);
    await aMoment();
    // Nobody is left but what the standby had when it was killed.
    await scene.standby.kill();
    await driver.kill();
    scene.killMachine();
    await scene.startStandby();
    const isSwitched = await scene.listenFor('failover');
    scene.askStandby((link) => link.call('failover', {}, PATIENCE_MS)).catch(() => {});
    await isSwitched.done;
    await scene.standby.kill();
    const found = await scene.machineStatus(scene.place + 1);
    if (found === 'running') {
      scene.adopt();
      console.log('the standby was killed when the VM ran already');
    } else {
      // It was killed before that, and now the machine that had loaded the image dies, too.
      await scene.tellMachine('quit', scene.place + 1).catch(() => {});
      await scene.startStandby();
      await scene.askStandby((link) => link.call('failover', {}, PATIENCE_MS));
      await scene.moved();
      console.log('the standby was killed between the switch and its machine, and went on from its image all the same');
    }
    await scene.startStandby();
    scene.protect({ pace: PACE });
    await answered(client, 100);
    await allAnswered(client);
  },
  4 * MINUTE_MS,
);

test(
  'where the memory of a machine is not a shared file, that is said, and the machine runs on',
  async () => {
    const scene = await vm.started({ rules: 'hold-all' });
    const driver = scene.protectByCommand('--copy', 'delta');
    expect(await driver.ended).toBe(2);
    expect(driver.stderr).toContain("the machine's memory must be one shared file");
    expect(await scene.machineStatus()).toBe('running');
  },
  2 * MINUTE_MS,
);

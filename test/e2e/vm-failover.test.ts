/** A VM in QEMU dies by SIGKILL under a client's eyes, and the client must not be able to tell. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { HostClient } from '../../gateway/host/client.ts';
import { VmClient } from '../../gateway/host/vm-client.ts';
import { QmpClient } from '../../gateway/protect/qmp.ts';
import { allAnswered, answered, PATIENCE_MS } from '../support/answers.ts';
import type { CountingClient } from '../support/counting-client.ts';
import { until } from '../support/netns.ts';
import { Random } from '../support/random.ts';
import { runs } from '../support/runs.ts';
import { someMoment } from '../support/some-moment.ts';
import type { VmScene } from '../support/vm-scene.ts';
import { VmTest } from '../support/vm-test.ts';

const seed = Number(process.env.HOLDFAST_SEED ?? 1);
const MINUTE_MS = 60_000;
/** Answers that a client waits for before and after a failover. */
const SOME = 200;
/** A client that has got nothing for so long gets nothing any more. */
const STUCK_MS = 8000;
const ONE_GATEWAY = { rules: 'hold-all' } as const;
const TWO_GATEWAYS = { rules: 'hold-all', takesOver: true, standbyFlags: ['--unprotected'] } as const;

const vm = new VmTest();

test(
  `one TCP connection at 1 kHz survives the death of the VM's machine, again and again (seed ${seed})`,
  async () => {
    const random = new Random(seed);
    const scene = await vm.started(ONE_GATEWAY);
    const times: number[] = [];
    for (let i = 0; i < runs(10); i++) {
      scene.protect();
      await scene.commits(1);
      const client = vm.client ?? (await vm.counting());
      await answered(client, SOME);
      const moment = await someMoment(scene, random);
      scene.killMachine();
      const { runningMs } = await scene.moved();
      times.push(runningMs);
      expect(client.violation, `failover ${i + 1}, killed ${moment}`).toBeNull();
      expect(await scene.outcome).toBe('gone');
      await scene.startStandby();
    }
    scene.protect();
    await answered(vm.client!, SOME);
    await allAnswered(vm.client!);
    console.log(
      `${times.length} failovers, ${vm.client!.answers} answers; from the driver's word to a running VM: ${times.join(', ')} ms`,
    );
    await vm.keep();
  },
  12 * MINUTE_MS,
);

/** The client gets more answers, unless it sees what cannot be. */
async function moreAnswers(of: CountingClient, patienceMs = PATIENCE_MS): Promise<void> {
  const from = of.answers;
  await until(() => of.violation !== null || of.answers >= from + SOME, 'answers', patienceMs);
}

/**
 * A control: the same failovers with one thing wrong must be noticed by the client.
 * @param kill waits for the moment that hurts, and kills the machine
 * @returns after how many failovers it was; null: it was not
 */
async function noticed(
  scene: VmScene,
  most: number,
  protect: () => Promise<void> | void,
  kill: () => Promise<void>,
): Promise<number | null> {
  for (let i = 1; i <= most; i++) {
    await protect();
    await scene.commits(1);
    const seen = vm.client ?? (await vm.counting());
    await moreAnswers(seen);
    await kill();
    await scene.moved();
    await scene.startStandby();
    scene.protect();
    await scene.commits(2);
    await moreAnswers(seen, STUCK_MS).catch(() => {
      seen.violation = 'no answer any more';
    });
    if (seen.violation !== null) return i;
    scene.driver!.stop();
    await scene.outcome;
  }
  return null;
}

test(
  'control: where an epoch is sealed 2 ms after the VM goes on, the client notices',
  async () => {
    /** Says at once that it has sealed, and does so 2 ms after the machine has resumed. */
    class Late extends VmClient {
      resumed: Promise<void> = Promise.resolve();
      #late: Promise<unknown> = Promise.resolve();
      override async seal() {
        const epoch = this.openEpoch;
        this.#late = this.resumed.then(() => sleep(2)).then(() => super.seal());
        // Where its machine is dead by then, nobody commits it, and it may be refused.
        this.#late.catch(() => {});
        return { epoch, openEpoch: epoch + 1, drained: true, heldFrames: 0, heldBytes: 0 };
      }
      override async commit(epoch: number) {
        await this.#late;
        return super.commit(epoch);
      }
    }
    const scene = await vm.started(ONE_GATEWAY);
    const late = async () => {
      const eye = await QmpClient.connect(scene.path(`eye${scene.place}`));
      scene.protect({}, (host: HostClient) => {
        const vm = new Late(host, 'vm0');
        let resume = () => {};
        eye.listen(({ event }) => {
          if (event === 'STOP') vm.resumed = new Promise((resolve) => (resume = resolve));
          if (event === 'RESUME') resume();
        });
        return vm;
      });
    };
    const kill = async () => {
      await scene.says('committed');
      scene.killMachine();
    };
    // Every other time it does not: 2 ms are short.
    expect(await noticed(scene, 20, late, kill)).not.toBeNull();
    console.log(`sealed late: ${vm.client!.violation}`);
    await vm.keep();
  },
  12 * MINUTE_MS,
);

/** Releases frames before the checkpoint that contains them is on the standby. */
class Hasty extends VmClient {
  readonly #onRelease: () => void;

  /** @param onRelease the machine is paused then, and no standby can have that checkpoint */
  constructor(host: HostClient, onRelease: () => void) {
    super(host, 'vm0');
    this.#onRelease = onRelease;
  }

  override async seal() {
    const sealed = await super.seal();
    await super.commit(sealed.epoch);
    this.#onRelease();
    return sealed;
  }
}

/** @returns the same, and what kills the VM's machine in its next checkpoint, when that has been released */
function hasty(scene: VmScene) {
  let isDue = false;
  const gateway = (host: HostClient) =>
    new Hasty(host, () => {
      if (isDue) scene.killMachine();
      isDue = false;
    });
  const killNext = () => {
    isDue = true;
  };
  return { gateway, killNext };
}

test(
  'control: where frames are released on seal instead of commit, there is no way back, and the gateway says so',
  async () => {
    const scene = await vm.started(ONE_GATEWAY);
    const { gateway, killNext } = hasty(scene);
    scene.protect({}, gateway);
    await scene.commits(1);
    killNext();
    await scene.standby.says('"state":"failed"');
    expect(scene.standby.stdout).toContain('output beyond epoch');
  },
  4 * MINUTE_MS,
);

test(
  `the gateway dies together with the VM's machine, and that of the other host takes over, to and fro (seed ${seed})`,
  async () => {
    const random = new Random(seed);
    const gaps: number[] = [];
    const scene = await vm.started(TWO_GATEWAYS);
    for (let i = 0; i < runs(10); i++) {
      scene.protect();
      await scene.commits(1);
      const client = vm.client ?? (await vm.counting());
      await answered(client, SOME);
      const moment = await someMoment(scene, random);
      scene.gateway.child.kill('SIGKILL');
      scene.killMachine();
      const killedAt = performance.now();
      await scene.moved();
      await answered(client, SOME, `after takeover ${i + 1}, killed ${moment}`);
      gaps.push(client.gapSince(killedAt));
      await scene.tookOver();
    }
    await allAnswered(vm.client!);
    console.log(`after the gateway's death, too, the client waited ${gaps.map(Math.round).join(', ')} ms`);
    await vm.keep();
  },
  12 * MINUTE_MS,
);

test(
  'control: where frames are released on seal instead of commit and another gateway cannot know, the client notices',
  async () => {
    let violation: string | null = null;
    for (let i = 0; i < 5 && violation === null; i++) {
      if (i > 0) await vm.end();
      const scene = await vm.started(TWO_GATEWAYS);
      const { gateway, killNext } = hasty(scene);
      scene.protect({}, gateway);
      await scene.commits(1);
      const client = await vm.counting();
      await moreAnswers(client);
      killNext();
      await scene.moved();
      await moreAnswers(client, STUCK_MS).catch(() => {
        client.violation = 'no answer any more';
      });
      violation = client.violation;
    }
    expect(violation).not.toBeNull();
    console.log(`released on seal: ${violation}`);
  },
  8 * MINUTE_MS,
);

test(
  'control: where nothing is held, the client notices',
  async () => {
    const scene = await vm.started({ rules: 'outbound { default pass }' });
    const kill = async () => {
      await scene.says('committed');
      await sleep(30);
      scene.killMachine();
    };
    expect(await noticed(scene, 10, () => scene.protect(), kill)).not.toBeNull();
    console.log(`nothing held: ${vm.client!.violation}`);
  },
  6 * MINUTE_MS,
);

/** A VM in QEMU dies by SIGKILL under a client's eyes, and the client must not be able to tell. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { HostClient } from '../../gateway/host/client.ts';
import { VmClient } from '../../gateway/host/vm-client.ts';
import { QmpClient } from '../../gateway/protect/qmp.ts';
import type { CountingClient } from '../support/counting-client.ts';
import { bootedGuest, noGuestReason } from '../support/guest.ts';
import { noNetnsReason, until } from '../support/netns.ts';
import { Random } from '../support/random.ts';
import { runs } from '../support/runs.ts';
import { VmScene, type VmSceneOptions } from '../support/vm-scene.ts';

const seed = Number(process.env.HOLDFAST_SEED ?? 1);
const MINUTE_MS = 60_000;
/** Answers that a client waits for before and after a failover. */
const SOME = 200;
const PATIENCE_MS = 40_000;
/** A client that has got nothing for so long gets nothing any more. */
const STUCK_MS = 8000;

let reason: string | null;
let booted: string;
let scene: VmScene;
let client: CountingClient | null;

beforeAll(async () => {
  reason = noNetnsReason('sysctl') ?? noGuestReason();
  if (reason === null) booted = await bootedGuest();
}, 8 * MINUTE_MS);
beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  client = null;
});
afterEach(async () => {
  client?.close();
  await scene?.delete();
}, MINUTE_MS);

async function started(options: VmSceneOptions): Promise<VmScene> {
  scene = new VmScene(options);
  await scene.start(booted);
  return scene;
}

/** The client gets more answers, unless it sees what cannot be. */
async function moreAnswers(of: CountingClient, patienceMs = PATIENCE_MS): Promise<void> {
  const from = of.answers;
  await until(() => of.violation !== null || of.answers >= from + SOME, 'answers', patienceMs);
}

/** Every request is answered, each number once. */
async function expectConsistent(of: CountingClient): Promise<void> {
  of.pause();
  await until(() => of.violation !== null || of.answers >= of.sent, 'the last answers', PATIENCE_MS).catch(() => {});
  expect(of.violation).toBeNull();
  expect(of.answers).toBe(of.sent);
}

/** Waits for a moment in the driver's work, by seed: any, or those where it hurts most. @returns which */
async function someMoment(random: Random): Promise<string> {
  switch (random.below(4)) {
    case 0:
      await scene.sealed();
      return 'when an epoch was sealed';
    case 1:
      await scene.says('sealed');
      return 'when its image was on its way';
    case 2:
      await scene.says('committed');
      return 'right after a commit';
    default:
      await sleep(random.below(700));
      return 'at some moment';
  }
}

test(
  `one TCP connection at 1 kHz survives the death of the VM's machine, again and again (seed ${seed})`,
  async () => {
    const random = new Random(seed);
    await started({ rules: 'hold-all' });
    const times: number[] = [];
    for (let i = 0; i < runs(10); i++) {
      scene.protect();
      await scene.commits(1);
      if (client === null) {
        client = await scene.counting();
        client.start();
      }
      await moreAnswers(client);
      const moment = await someMoment(random);
      scene.killMachine();
      const { runningMs } = await scene.moved();
      times.push(runningMs);
      expect(client.violation, `failover ${i + 1}, killed ${moment}`).toBeNull();
      expect(await scene.outcome).toBe('gone');
      await scene.startStandby();
    }
    scene.protect();
    await moreAnswers(client!);
    await expectConsistent(client!);
    console.log(
      `${times.length} failovers, ${client!.answers} answers; from the driver's word to a running VM: ${times.join(', ')} ms`,
    );
  },
  12 * MINUTE_MS,
);

test(
  `the gateway dies together with the VM's machine, and that of the other host takes over, to and fro (seed ${seed})`,
  async () => {
    const random = new Random(seed);
    const gaps: number[] = [];
    await started({ rules: 'hold-all', takesOver: true, standbyFlags: ['--unprotected'] });
    for (let i = 0; i < runs(10); i++) {
      scene.protect();
      await scene.commits(1);
      if (client === null) {
        client = await scene.counting();
        client.start();
      }
      await moreAnswers(client);
      const moment = await someMoment(random);
      scene.gateway.child.kill('SIGKILL');
      scene.killMachine();
      const killedAt = performance.now();
      await scene.moved();
      await moreAnswers(client);
      expect(client.violation, `takeover ${i + 1}, killed ${moment}`).toBeNull();
      gaps.push(client.gapSince(killedAt));
      await scene.tookOver();
    }
    await expectConsistent(client!);
    console.log(`after the gateway's death, too, the client waited ${gaps.map(Math.round).join(', ')} ms`);
  },
  12 * MINUTE_MS,
);

/**
 * A control: the same failovers with one thing wrong must be noticed by the client.
 * @param kill waits for the moment that hurts, and kills the machine
 * @returns after how many failovers it was; null: it was not
 */
async function noticed(
  most: number,
  protect: () => Promise<void> | void,
  kill: () => Promise<void>,
): Promise<number | null> {
  for (let i = 1; i <= most; i++) {
    await protect();
    await scene.commits(1);
    if (client === null) {
      client = await scene.counting();
      client.start();
    }
    await moreAnswers(client);
    await kill();
    await scene.moved();
    await scene.startStandby();
    scene.protect();
    await scene.commits(2);
    const seen = client;
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
  'control: where nothing is held, the client notices',
  async () => {
    await started({ rules: 'outbound { default pass }' });
    const kill = async () => {
      await scene.says('committed');
      await sleep(30);
      scene.killMachine();
    };
    expect(await noticed(5, () => scene.protect(), kill)).not.toBeNull();
    console.log(`nothing held: ${client!.violation}`);
  },
  6 * MINUTE_MS,
);

/** Releases frames before the checkpoint that contains them is on the standby. */
class Hasty extends VmClient {
  override async seal() {
    const sealed = await super.seal();
    await super.commit(sealed.epoch);
    return sealed;
  }
}
const hasty = (host: HostClient) => new Hasty(host, 'vm0');

test(
  'control: where frames are released on seal instead of commit, there is no way back, and the gateway says so',
  async () => {
    await started({ rules: 'hold-all' });
    scene.protect({}, hasty);
    await scene.commits(1);
    await scene.sealed();
    scene.killMachine();
    await scene.standby.says('"state":"failed"');
    expect(scene.standby.stdout).toContain('output beyond epoch');
  },
  4 * MINUTE_MS,
);

test(
  'control: where frames are released on seal instead of commit and another gateway cannot know, the client notices',
  async () => {
    for (let i = 0; i < 5 && client?.violation == null; i++) {
      client?.close();
      await scene?.delete();
      await started({ rules: 'hold-all', takesOver: true, standbyFlags: ['--unprotected'] });
      scene.protect({}, hasty);
      await scene.commits(1);
      const now = await scene.counting();
      client = now;
      now.start();
      await moreAnswers(now);
      await scene.sealed();
      scene.killMachine();
      await scene.moved();
      await moreAnswers(now, STUCK_MS).catch(() => {
        now.violation = 'no answer any more';
      });
    }
    expect(client!.violation).not.toBeNull();
    console.log(`released on seal: ${client!.violation}`);
  },
  8 * MINUTE_MS,
);

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
        return { epoch, openEpoch: epoch + 1, drained: true, heldFrames: 0, heldBytes: 0 };
      }
      override async commit(epoch: number) {
        await this.#late;
        return super.commit(epoch);
      }
    }
    await started({ rules: 'hold-all' });
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
    expect(await noticed(10, late, kill)).not.toBeNull();
    console.log(`sealed late: ${client!.violation}`);
  },
  8 * MINUTE_MS,
);

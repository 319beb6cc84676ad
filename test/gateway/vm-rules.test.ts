import { describe, expect, test } from 'vitest';
import { frame } from '../../pcaps/build.ts';
import { makeFrame } from '../support/frames.ts';
import { generationOfText } from '../support/replay-frames.ts';
import { hex, Scene } from '../support/rig.ts';
import { counts } from '../support/scene.ts';

const CLASSES = 'class data pass\nclass control hold\n';

/** A scene under these rules, with its first epoch open. */
function sceneOf(rules: string): Scene {
  const scene = new Scene({}, generationOfText(CLASSES + rules));
  scene.vm.start();
  return scene;
}

const inboundCounts = ({ vm }: Scene) =>
  (['inbound', 'inboundPassed', 'inboundDropped'] as const).map((name) => vm.counters.get(name));

/** UDP of the model: to port 5000 + colour, 12 bytes and `pad` long. */
const SHORT = { kind: 'udp', colour: 0, pad: 0 } as const;
const LONG = { kind: 'udp', colour: 0, pad: 50 } as const;

describe('UDP in order', () => {
  const BOTH = 'outbound { udp length < 40 class data ordered; default class control ordered }';

  test('waits behind a held frame of its flow, and leaves after it', () => {
    const scene = sceneOf(BOTH);
    scene.send(1, LONG);
    scene.send(2, SHORT);
    scene.send(3, { ...SHORT, flow: 1 });
    expect(scene.left()).toEqual([3]);
    scene.vm.seal(1, 1);
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([1, 2]);
    scene.send(4, SHORT);
    expect(scene.left()).toEqual([4]);
    expect(scene.vm.counters.reasonsByName()).toEqual({ rule: 2, default: 1, 'behind-held': 1 });
  });

  test('is discarded with its own epoch, not with that of the frame before it', () => {
    const scene = sceneOf(BOTH);
    scene.send(1, LONG);
    scene.vm.seal(1, 1);
    scene.send(2, SHORT);
    scene.vm.rollback(1, 1);
    expect(scene.left()).toEqual([1]);
    expect(counts(scene)).toMatchObject({ released: 1, discarded: 1 });
  });

  test('is what the rule says that decided about the frame: both must ask for it', () => {
    for (const rules of [
      'outbound { udp length < 40 class data; default class control ordered }',
      'outbound { udp length < 40 class data ordered; default class control }',
    ]) {
      const scene = sceneOf(rules);
      scene.send(1, LONG);
      scene.send(2, SHORT);
      expect(scene.left()).toEqual([2]);
    }
  });

  test('keeps the fragments of a datagram in order', () => {
    const scene = sceneOf('outbound { default class control ordered }');
    scene.send(1, { kind: 'udp-first' });
    // Rules that would pass the rest do not know the first one any more.
    scene.send(2, { kind: 'udp-middle' });
    scene.send(3, { kind: 'udp-last' });
    expect(scene.left()).toEqual([]);
    scene.vm.seal(1, 1);
    scene.vm.commit(1, 1);
    expect(scene.left()).toEqual([1, 2, 3]);
    expect(scene.vm.counters.reasonsByName()).toEqual({ default: 1, fragment: 2 });
  });
});

test('what only the TCP guard could let pass is held, and leaves with its epoch', () => {
  const scene = sceneOf('outbound { tcp dport 80 class data guard; default class data }');
  scene.send(1, { kind: 'tcp' });
  scene.send(2, SHORT);
  expect(scene.left()).toEqual([2]);
  scene.vm.seal(1, 1);
  scene.vm.commit(1, 1);
  expect(scene.left()).toEqual([1]);
  expect(scene.vm.counters.reasonsByName()).toEqual({ guard: 1, default: 1 });
});

describe('inbound rules', () => {
  const RULES = `outbound { default class data }
inbound { udp dport 5000 drop; tcp dport 80 class data; udp dport 5001 pass }`;
  const spec = { flow: 0, colour: 0, vlan: 0, pad: 0 };

  /** What reaches the VM of these frames. */
  function deliver(scene: Scene, ...frames: Parameters<typeof makeFrame>[0][]): number[] {
    const made = frames.map((one, i) => makeFrame(one, i));
    for (const one of made) scene.rig.net.send(one);
    scene.vm.turn();
    return scene.rig.guest.take().map((bytes) => made.findIndex((one) => hex(one.bytes) === bytes));
  }

  test('pass and drop at once, whatever state the VM is in', () => {
    for (const state of ['waiting', 'off', 'on', 'failed']) {
      const scene = new Scene({ replicated: state === 'waiting' }, generationOfText(CLASSES + RULES));
      if (state === 'on' || state === 'failed') scene.vm.start();
      if (state === 'failed') scene.vm.fail();
      const arrived = deliver(
        scene,
        { ...spec, kind: 'udp' },
        { ...spec, kind: 'tcp' },
        { ...spec, kind: 'udp', colour: 1 },
        { ...spec, kind: 'udp', colour: 2 },
      );
      expect(arrived).toEqual([1, 2, 3]);
      expect(inboundCounts(scene)).toEqual([4, 3, 1]);
      expect(scene.vm.counters.reasonsByName()).toEqual({ rule: 3, inbound: 1 });
      expect(scene.vm.stillHeld).toBe(0);
    }
  });

  test('are counted behind the outbound ones, each by its handle', () => {
    const scene = sceneOf(RULES);
    deliver(scene, { ...spec, kind: 'udp' }, { ...spec, kind: 'udp' }, { ...spec, kind: 'tcp' });
    scene.send(9, SHORT);
    const rows = scene.vm.ruleCounters.list();
    expect(rows.map(({ direction, handle, frames }) => `${direction} ${handle}: ${frames}`)).toEqual([
      'outbound 1: 1',
      'inbound 2: 2',
      'inbound 3: 1',
      'inbound 4: 0',
    ]);
  });

  test('drop what cannot be classified; without them it passes', () => {
    const odd = [
      { ...spec, kind: 'cut' },
      { ...spec, kind: 'stub' },
      { ...spec, kind: 'raw' },
      { ...spec, kind: 'alien' },
      { ...spec, kind: 'udp-middle' },
      { ...spec, kind: 'oversize' },
    ] as const;
    const scene = sceneOf(RULES);
    expect(deliver(scene, ...odd)).toEqual([]);
    expect(inboundCounts(scene)).toEqual([6, 0, 6]);
    expect(scene.vm.counters.reasonsByName()).toEqual({
      truncated: 2,
      'unknown-ethertype': 1,
      'not-ethernet': 1,
      'fragment-unknown': 1,
      oversize: 1,
    });
    const open = sceneOf('outbound { default class data }');
    expect(deliver(open, ...odd)).toEqual([0, 1, 2, 3, 4]);
    expect(open.vm.counters.reasonsByName()).toEqual({ inbound: 5, oversize: 1 });
  });

  test('decide about later fragments as about their first, apart from what the VM sends', () => {
    const scene = sceneOf(RULES);
    // The same packet in the other direction is another packet.
    scene.send(7, { kind: 'udp-first', colour: 1 });
    expect(deliver(scene, { ...spec, kind: 'udp-first' }, { ...spec, kind: 'udp-middle' })).toEqual([]);
    scene.send(8, { kind: 'udp-middle' });
    expect(scene.left()).toEqual([7, 8]);
    expect(
      deliver(scene, { ...spec, kind: 'udp-first', flow: 1, colour: 1 }, { ...spec, kind: 'udp-last', flow: 1 }),
    ).toEqual([0, 1]);
    expect(scene.vm.counters.reasonsByName()).toEqual({ default: 1, rule: 2, fragment: 3 });
  });

  test('come and go with a change of rules', () => {
    const scene = sceneOf('outbound { default class data }');
    const udp = { ...spec, kind: 'udp' } as const;
    expect(deliver(scene, udp)).toEqual([0]);
    scene.vm.swapRules(generationOfText(CLASSES + RULES));
    expect(deliver(scene, udp)).toEqual([]);
    scene.vm.swapRules(generationOfText(`${CLASSES}outbound { default class data }`));
    expect(deliver(scene, udp)).toEqual([0]);
    expect(inboundCounts(scene)).toEqual([3, 2, 1]);
  });
});

describe('what rules look up', () => {
  const S = 1e9;
  const RULES = `set media { type inet_service; flags timeout; elements = { 5001 timeout 2s } }
outbound { udp dport @media class data; udp dport 5003 declared class data; default class control }`;
  const media = (scene: Scene) => scene.vm.generation.live.set('media')!;
  const passes = (scene: Scene, colour: number, serial: number) => {
    scene.send(serial, { kind: 'udp', colour });
    return scene.left().length === 1;
  };

  test('an element of a set is gone at its deadline, which counts from when the rules took force', () => {
    const clockStart = 7 * S;
    const scene = new Scene();
    scene.rig.clock.advanceTo(clockStart);
    scene.vm.start();
    scene.vm.swapRules(generationOfText(CLASSES + RULES));
    expect(passes(scene, 1, 1)).toBe(true);
    scene.rig.clock.advanceTo(clockStart + 2 * S - 1);
    expect(passes(scene, 1, 2)).toBe(true);
    scene.rig.clock.advanceTo(clockStart + 2 * S);
    expect(passes(scene, 1, 3)).toBe(false);
  });

  test('a change of rules keeps elements and declared flows, and what was added later still ends in time', () => {
    const scene = sceneOf(RULES);
    media(scene).add([{ low: 5002n, high: 5002n }], 5 * S, 0);
    const flow = {
      ipVersion: 4,
      src: 0x0a00_0001n,
      dst: 0x0a00_00fen,
      protocol: 17,
      srcPort: 6000,
      dstPort: 5003,
      vlanId: null,
    } as const;
    const handle = scene.vm.generation.live.declared.declare(flow, 'data', null, 0)!;
    expect([1, 2, 3, 0].map((colour, i) => passes(scene, colour, i))).toEqual([true, true, true, false]);
    scene.rig.clock.advanceTo(1 * S);
    scene.vm.swapRules(
      generationOfText(`${CLASSES}# changed\n${RULES.replace('default', 'tcp dport 1 drop; default')}`),
    );
    expect([1, 2, 3, 0].map((colour, i) => passes(scene, colour, 10 + i))).toEqual([true, true, true, false]);
    scene.rig.clock.advanceTo(2 * S);
    expect([1, 2].map((colour, i) => passes(scene, colour, 20 + i))).toEqual([false, true]);
    scene.rig.clock.advanceTo(5 * S);
    expect(passes(scene, 2, 30)).toBe(false);
    scene.vm.generation.live.declared.remove(handle, 5 * S);
    expect(passes(scene, 3, 31)).toBe(false);
  });

  test('is another VM’s own affair', () => {
    const [first, second] = [sceneOf(RULES), sceneOf(RULES)];
    media(first).add([{ low: 5002n, high: 5002n }], null, 0);
    expect([passes(first, 2, 1), passes(second, 2, 1)]).toEqual([true, false]);
  });
});

test('a frame with several VLAN tags is judged inbound as outbound', () => {
  const scene = sceneOf('outbound { default class data }\ninbound { vlan id 7 drop }');
  const bytes = frame().eth().vlan(7).vlan(8).ip4().udp(1, 2).build();
  scene.rig.net.send({ bytes, linkType: 1 });
  scene.vm.turn();
  expect(inboundCounts(scene)).toEqual([1, 0, 1]);
});

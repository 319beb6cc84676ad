import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LiveRulesRig, ME, rulesOf } from '../support/live-rules-rig.ts';
import { Random } from '../support/random.ts';
import { Scene } from '../support/rig.ts';
import { runs } from '../support/runs.ts';
import { counts } from '../support/scene.ts';

const VERDICTS = ['pass', 'drop', 'hold'] as const;
const COLOURS = 3;
/** All that rules are asked about. */
const KINDS = ['udp', 'tcp', 'sctp', 'arp', 'raw', 'cut', 'stub', 'udp-first', 'udp-middle', 'udp-last'] as const;

let rig: LiveRulesRig;
beforeAll(() => {
  rig = new LiveRulesRig();
});
afterAll(() => rig.close());

/** Rules of a generation that give each colour a verdict. */
function textFor(verdicts: readonly string[]): string {
  return rulesOf(...verdicts.map((verdict, colour) => `udp dport ${5000 + colour} ${verdict}`), 'default drop');
}

describe('edits while frames run', () => {
  test(`every frame is judged by the generation in force when it was read, none is lost or sent twice: ${runs(1000)} edits`, async () => {
    const edits = runs(1000);
    const random = new Random(5);
    const verdicts: string[] = ['pass', 'pass', 'pass'];
    rig.write('vm.rules', textFor(verdicts));
    const rules = await rig.open();
    const scene = new Scene({}, rules.generation);
    rules.attach(scene.vm);
    scene.vm.start('now');
    const handles = [1, 2, 3];
    /** By generation: the colours' verdicts. */
    const said = new Map<number, readonly string[]>([[1, [...verdicts]]]);
    const passed: number[] = [];
    const held: number[] = [];
    let dropped = 0;
    let sent = 0;
    const send = () => {
      // What is in force now judges this frame, whatever is being compiled meanwhile.
      const colour = random.below(COLOURS);
      const verdict = said.get(scene.vm.generation.number)![colour];
      scene.send(sent, { kind: 'udp', flow: sent % 3, colour });
      if (verdict === 'pass') passed.push(sent);
      else if (verdict === 'hold') held.push(sent);
      else dropped++;
      sent++;
      if (sent % 16 === 0) {
        expect(scene.left()).toEqual(passed.splice(0));
        const { term, openEpoch } = scene.vm.epochs;
        scene.vm.seal(term, openEpoch);
        scene.vm.commit(term, openEpoch);
        expect(scene.left()).toEqual(held.splice(0));
      }
    };
    for (let edit = 0; edit < edits; edit++) {
      const colour = random.below(COLOURS);
      const verdict = random.pick(VERDICTS);
      const isSame = verdicts[colour] === verdict;
      verdicts[colour] = verdict;
      const next = rules.generation.number + 1;
      said.set(next, [...verdicts]);
      let isDone = false;
      const rule = `udp dport ${5000 + colour} ${verdict}`;
      const change = rules.edit({ kind: 'replace', handle: handles[colour]!, rule }, ME).then((result) => {
        isDone = true;
        handles[colour] = result.handle ?? handles[colour]!;
        expect([result.generation, result.handle === null]).toEqual([next, isSame]);
      });
      while (!isDone) {
        send();
        await new Promise((resolve) => setImmediate(resolve));
      }
      await change;
    }
    while (sent % 16 !== 0) send();
    const { outbound, ...rest } = counts(scene);
    expect([outbound, rest.dropped, rest.discarded, rest.stillHeld]).toEqual([sent, dropped, 0, 0]);
    expect(sent).toBeGreaterThan(edits);
    expect(rules.generation.number).toBe(edits + 1);
  });
});

describe('an audit', () => {
  const OLD = rulesOf('udp dport 5000 class data', 'default class control');
  const NEW = rulesOf('udp dport 5001 drop', 'udp dport 5002 class data', 'ip protocol udp hold', 'default pass');
  const task = (text: string) => {
    const file = rig.path('audit.rules');
    return { kind: 'text' as const, sources: { file, texts: new Map([[file, text]]) } };
  };

  async function begin(text: string) {
    rig.write('audit.rules', text);
    const rules = await rig.open('audit.rules', { historyPath: null });
    const scene = new Scene({}, rules.generation);
    rules.attach(scene.vm);
    return { rules, scene };
  }

  /** The same frames each time, of every kind that there is. */
  function run(scene: Scene): void {
    const random = new Random(11);
    for (let i = 0; i < 300; i++) {
      scene.send(i, { kind: random.pick(KINDS), flow: random.below(3), colour: random.below(COLOURS) });
      scene.left();
    }
  }

  test('counts what then happens to the same frames when its rules are applied, and touches none', async () => {
    const { rules, scene } = await begin(OLD);
    await rules.audit(task(NEW));
    run(scene);
    const audited = rules.lastAudit!.audit;
    const untouched = await begin(OLD);
    run(untouched.scene);
    expect(scene.vm.counters.reasonsByName()).toEqual(untouched.scene.vm.counters.reasonsByName());
    await rules.apply(task(NEW), ME);
    expect(rules.lastAudit!.isRunning).toBe(false);
    const applied = await begin(NEW);
    run(applied.scene);
    const counted = ({ list }: { list: ReturnType<typeof audited.counters.list> }) =>
      list.map(({ text, frames, bytes }) => `${text}: ${frames} frames, ${bytes} B`);
    expect(counted({ list: audited.counters.list() })).toEqual(counted({ list: applied.scene.vm.ruleCounters.list() }));
    const cells = audited.cells();
    expect(cells.reduce((sum, { frames }) => sum + frames, 0)).toBe(300);
    const drops = cells.filter((cell) => cell.audited === 'drop');
    expect(drops.reduce((sum, { frames }) => sum + frames, 0)).toBe(applied.scene.vm.counters.get('dropped'));
  });
});

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Events, Method, ParamsOf } from '../../../gateway/host/api.ts';
import { RequestError } from '../../../gateway/host/protocol.ts';
import { refusalOf, until } from '../../support/host-rig.ts';
import { rulesOf } from '../../support/live-rules-rig.ts';
import { RulesHostRig } from '../../support/rules-host-rig.ts';
import { HOLD, PASS } from '../../support/scene.ts';

const DATA = 'udp dport 5000 class data';
const REST = 'default class control';
let rig: RulesHostRig;

beforeEach(async () => {
  rig = await new RulesHostRig().begin(rulesOf(DATA, REST));
});
afterEach(() => rig.close());

function refusal<M extends Method>(method: M, params: ParamsOf<M>) {
  return refusalOf(rig.host, method, params);
}

describe('rules.list', () => {
  test('has each rule with its handle, place, frames, bytes and last hit', async () => {
    rig.scene.rig.clock.advanceTo(1.5e9);
    rig.scene.send(1, PASS);
    rig.scene.send(2, PASS);
    expect(await rig.host.call('rules.list', {})).toEqual({
      generation: 1,
      path: rig.path('vm.rules'),
      source: 'file',
      fileTrouble: null,
      confirmLeftMs: null,
      total: 2,
      rules: [
        {
          handle: 1,
          block: 'outbound',
          file: rig.path('vm.rules'),
          line: 4,
          text: DATA,
          class: 'data',
          verdict: 'pass',
          frames: 2,
          bytes: 92,
          lastHit: '2026-09-21T14:13:21.500Z',
        },
        expect.objectContaining({ handle: 2, text: REST, frames: 0, lastHit: null }),
      ],
    });
    expect((await rig.host.call('rules.list', { vm: 'vm0', from: 1, limit: 1 })).rules).toMatchObject([{ handle: 2 }]);
  });

  test('keeps the counts of rules whose text did not change', async () => {
    rig.scene.send(1, PASS);
    await rig.host.call('rules.insert', { rule: 'tcp dport 22 hold' });
    rig.scene.send(2, PASS);
    const { rules } = await rig.host.call('rules.list', {});
    expect(rules.map(({ handle, frames }) => [handle, frames])).toEqual([
      [3, 0],
      [1, 2],
      [2, 0],
    ]);
  });

  test('refuses a VM that is not there', async () => {
    expect(await refusal('rules.list', { vm: 'x' })).toMatchObject({ rpcCode: -32000, code: 'unknown-vm' });
  });
});

test('status says whether the file is in force', async () => {
  const rulesOfStatus = async () => (await rig.host.call('status', {})).vms[0]!.rules;
  const path = rig.path('vm.rules');
  expect(await rulesOfStatus()).toEqual({ path, source: 'file', fileTrouble: null, confirmLeftMs: null });
  await rig.host.call('rules.delete', { handle: 1, confirmWithinMs: 9000 });
  expect(await rulesOfStatus()).toEqual({ path, source: 'edited', fileTrouble: null, confirmLeftMs: 9000 });
});

describe('an audit', () => {
  const TEXT = `class data pass
class control hold
set media { type ipv4_addr . inet_service; flags timeout; elements = { 10.0.0.2 . 6001 } }
outbound {
  ip saddr . udp sport @media class data
  declared class data
  default drop
}`;
  const frames = async () => {
    const { audit } = await rig.host.call('rules.audit', {});
    return audit!.rules.map(({ frames: count }) => count);
  };

  test('looks up what is added to sets and declared meanwhile, and ends when its rules take force, with the same state', async () => {
    expect(await rig.host.call('rules.audit', {})).toEqual({ auditing: false, audit: null });
    await rig.host.call('rules.apply', { text: TEXT.replace('default drop', 'default class control') });
    expect(await rig.host.call('rules.apply', { text: TEXT, audit: true })).toMatchObject({
      generation: 2,
      auditing: true,
    });
    const udp = (serial: number, flow: number) => rig.scene.send(serial, { kind: 'udp', flow, colour: 1 });
    udp(1, 0);
    expect(await frames()).toEqual([0, 0, 1]);
    await rig.host.call('set.add', { set: 'media', elements: ['10.0.0.1 . 6000'] });
    udp(2, 0);
    udp(3, 1);
    await rig.host.call('set.delete', { set: 'media', elements: ['10.0.0.1 . 6000'] });
    udp(4, 0);
    const flow = { src: '10.0.0.1', dst: '10.0.0.254', protocol: 'udp', srcPort: 6000, dstPort: 5001 } as const;
    await rig.host.call('flow.declare', { vm: 'vm0', flow, timeoutMs: 60_000 });
    udp(5, 0);
    expect(await frames()).toEqual([2, 1, 2]);
    expect((await rig.host.call('rules.audit', {})).audit).toMatchObject({
      frames: 5,
      verdicts: [
        {
          direction: 'outbound',
          inForce: 'hold',
          audited: 'drop',
          frames: 2,
          examples: [{ ruleAudited: 'default drop' }, {}],
        },
        { direction: 'outbound', inForce: 'pass', audited: 'pass', frames: 3, examples: [] },
      ],
    });
    // Other rules come: the audit goes on beside them.
    await rig.host.call('rules.insert', { rule: 'tcp dport 1 drop' });
    udp(6, 0);
    expect(await frames()).toEqual([2, 2, 2]);
    expect(await rig.host.call('rules.apply', { text: TEXT })).toMatchObject({ generation: 4, auditing: false });
    udp(7, 0);
    expect(await frames()).toEqual([2, 2, 2]);
    const { rules } = await rig.host.call('rules.list', {});
    expect(rules.map(({ frames: count }) => count)).toEqual([2, 3, 0]);
  });

  test('is ended on request, and does not begin with errors', async () => {
    expect(await refusal('rules.apply', { text: 'outbound {', audit: true })).toMatchObject({ code: 'rules-invalid' });
    await rig.host.call('rules.apply', { text: TEXT, audit: true });
    expect(await rig.host.call('rules.apply', { audit: false })).toMatchObject({ generation: 1, auditing: false });
    expect(rig.scene.vm.forwarder.onJudged).toBeNull();
  });
});

describe('a change of rules', () => {
  test('decides about the next frame', async () => {
    await rig.host.call('replication.start', { vm: 'vm0', leaseMs: 0 });
    rig.scene.send(1, PASS);
    expect(await rig.host.call('rules.replace', { handle: 1, rule: 'udp dport 5000 drop' })).toMatchObject({
      generation: 2,
      handle: 3,
      stored: true,
    });
    rig.scene.send(2, PASS);
    await rig.host.call('rules.delete', { handle: 3 });
    rig.scene.send(3, PASS);
    await rig.host.call('rules.add', { rule: DATA });
    rig.scene.send(4, PASS);
    expect(rig.scene.left()).toEqual([1, 4]);
    expect(rig.scene.vm.counters.get('dropped')).toBe(1);
    expect(rig.scene.vm.counters.get('held')).toBe(1);
  });

  test('with errors names each with file, line, column and message, and changes nothing', async () => {
    const error = await rig.host
      .call('rules.apply', { text: rulesOf('tcp dprt 1 pass', 'udp dport x pass') })
      .catch((reason) => reason);
    expect(error).toBeInstanceOf(RequestError);
    expect(error).toMatchObject({
      rpcCode: -32000,
      code: 'rules-invalid',
      errors: [
        { file: rig.path('vm.rules'), line: 4, column: 7, source: '  tcp dprt 1 pass', severity: 'error' },
        { file: rig.path('vm.rules'), line: 5, column: 13, message: expect.any(String) },
      ],
    });
    expect((await rig.host.call('status', {})).generation).toBe(1);
  });

  test('is only checked where that is asked', async () => {
    expect(await rig.host.call('rules.apply', { text: rulesOf(REST), checkOnly: true })).toMatchObject({
      generation: 1,
      warnings: [{ code: 'unused-class', source: 'class data pass' }],
    });
    expect(await refusal('rules.add', { rule: 'nonsense', checkOnly: true })).toMatchObject({ code: 'rules-invalid' });
    expect(rig.rules.generation.number).toBe(1);
  });

  test('from a file is made by its absolute path only', async () => {
    const path = rig.write('other.rules', `include "names.rules"\n${rulesOf('udp dport $PORT pass', REST)}`);
    rig.write('names.rules', 'define PORT = 5001\n');
    expect(await rig.host.call('rules.apply', { path })).toMatchObject({ generation: 2 });
    expect((await rig.host.call('rules.text', {})).texts.map(({ file }) => file)).toEqual([
      path,
      rig.path('names.rules'),
    ]);
    expect(await refusal('rules.apply', { path: 'other.rules' })).toMatchObject({ rpcCode: -32602, field: 'path' });
    expect(await refusal('rules.apply', { path: rig.path('none') })).toMatchObject({ code: 'rules-unreadable' });
  });

  test('that makes no sense is refused', async () => {
    const path = rig.path('vm.rules');
    expect(await refusal('rules.apply', {})).toMatchObject({ rpcCode: -32602, field: 'text' });
    expect(await refusal('rules.apply', { text: '', path })).toMatchObject({ rpcCode: -32602, field: 'path' });
    expect(await refusal('rules.apply', { path, file: 'x' })).toMatchObject({ rpcCode: -32602, field: 'file' });
    expect(await refusal('rules.apply', { audit: false, path })).toMatchObject({ rpcCode: -32602, field: 'path' });
    expect(await refusal('rules.delete', { handle: 9 })).toMatchObject({ rpcCode: -32000, code: 'unknown-handle' });
    expect(await refusal('rules.rollback', { generation: 9 })).toMatchObject({ code: 'unknown-generation' });
    expect(await refusal('rules.confirm', {})).toMatchObject({ code: 'nothing-to-confirm' });
    expect(await refusal('rules.add', { rule: DATA, ifGeneration: 7 })).toMatchObject({ code: 'generation-changed' });
    expect(await refusal('rules.add', { rule: `${DATA}\n${DATA}` })).toMatchObject({ code: 'no-statement' });
  });

  test('as a notification is made, or refused, without an answer', async () => {
    const raw = await rig.rig.raw();
    raw.write('{"jsonrpc":"2.0","method":"rules.delete","params":{"handle":9}}\n');
    raw.write('{"jsonrpc":"2.0","method":"rules.delete","params":{"handle":1}}\n');
    await until(() => rig.rules.generation.number === 2);
    expect(raw.lines).toEqual([]);
  });

  test('is told to those who subscribed, with who made it', async () => {
    const told: Events['rules'][] = [];
    await rig.host.subscribe(['rules'], (event) => told.push(event));
    await rig.host.call('rules.add', { rule: 'arp operation 1 pass', confirmWithinMs: 60_000 });
    await rig.host.call('rules.confirm', {});
    await until(() => told.length === 2);
    const uid = process.geteuid!();
    expect(told).toEqual([
      {
        kind: 'rules',
        vm: 'vm0',
        change: 'applied',
        generation: 2,
        who: `test (uid ${uid})`,
        what: 'add: arp operation 1 pass',
      },
      { kind: 'rules', vm: 'vm0', change: 'confirmed', generation: 2, who: `test (uid ${uid})`, what: 'confirm' },
    ]);
  });
});

describe('a change that waits to be confirmed', () => {
  test('keeps others from being made, and is taken back when its time is over though its client has gone', async () => {
    const other = rig.rig.client({ client: 'other' });
    await other.call('rules.apply', { text: rulesOf(REST), confirmWithinMs: 30_000 });
    other.close();
    expect(await refusal('rules.add', { rule: DATA })).toMatchObject({ rpcCode: -32000, code: 'confirm-pending' });
    expect((await rig.host.call('rules.list', {})).confirmLeftMs).toBe(30_000);
    rig.nowMs += 30_000;
    rig.rules.tick();
    const { generation, generations, confirmLeftMs } = await rig.host.call('rules.history', {});
    expect([generation, confirmLeftMs]).toEqual([3, null]);
    expect(generations.map(({ state, who }) => `${who.split(' ')[0]} ${state}`)).toEqual([
      'config replaced',
      'other reverted',
      'holdfast in-force',
    ]);
    expect(generations[2]).toMatchObject({ what: 'generation 2 was not confirmed', at: '2026-09-21T14:13:50.000Z' });
  });
});

describe('rules.diff, rules.text and rules.rollback', () => {
  test('tell what differs between generations, or from a text', async () => {
    await rig.host.call('rules.delete', { handle: 1 });
    expect(await rig.host.call('rules.diff', { from: 1 })).toMatchObject({
      from: 1,
      to: 2,
      equal: false,
      rules: [{ kind: 'removed', before: { handle: 1, text: DATA, verdict: 'pass' }, after: null }],
    });
    expect(await rig.host.call('rules.diff', {})).toMatchObject({ from: 2, to: 2, equal: true });
    const text = rulesOf(REST, 'x');
    expect(await rig.host.call('rules.diff', { text: rulesOf(DATA, REST) })).toMatchObject({ to: null, equal: false });
    expect(await refusal('rules.diff', { text })).toMatchObject({ code: 'rules-invalid' });
    expect(await refusal('rules.diff', { text, to: 1 })).toMatchObject({ rpcCode: -32602, field: 'to' });
    expect(await refusal('rules.diff', { from: 12 })).toMatchObject({ code: 'unknown-generation' });
  });

  test('bring an earlier text back', async () => {
    await rig.host.call('rules.delete', { handle: 1 });
    const { texts } = await rig.host.call('rules.text', { generation: 1 });
    expect(texts).toEqual([{ file: rig.path('vm.rules'), text: rulesOf(DATA, REST) }]);
    expect(await rig.host.call('rules.rollback', { generation: 1 })).toMatchObject({ generation: 3 });
    expect((await rig.host.call('rules.text', {})).texts).toEqual(texts);
    expect(await refusal('rules.text', { generation: 12 })).toMatchObject({ code: 'unknown-generation' });
  });
});

describe('trace.start', () => {
  test('shows frames that match, with the rule that decided', async () => {
    const seen: Events['trace'][] = [];
    await rig.host.subscribe(['trace'], (event) => seen.push(event));
    expect(await rig.host.call('trace.start', { match: 'udp dport 5001' })).toEqual({ vm: 'vm0', perSecond: 10 });
    rig.scene.rig.clock.advanceTo(0.25e9);
    rig.scene.send(1, PASS);
    rig.scene.send(2, HOLD);
    await until(() => seen.length > 0);
    expect(seen).toEqual([
      {
        kind: 'trace',
        vm: 'vm0',
        time: '1790000000.250000000',
        direction: 'outbound',
        verdict: 'pass',
        class: 'control',
        reason: 'not-replicated',
        rule: { handle: 2, line: 5, text: REST },
        length: 46,
        frame: '10.0.0.1.6000 > 10.0.0.254.5001 udp 4 B',
        notLookedAt: 0,
      },
    ]);
    expect(await rig.host.call('trace.stop', {})).toEqual({ stopped: true });
    expect([rig.scene.vm.forwarder.tap, await rig.host.call('trace.stop', {})]).toEqual([null, { stopped: false }]);
  });

  test('shows no more than its rate, and says how many it did not look at', async () => {
    const seen: Events['trace'][] = [];
    await rig.host.subscribe(['trace'], (event) => seen.push(event));
    await rig.host.call('trace.start', { perSecond: 2 });
    for (let i = 0; i < 30; i++) {
      rig.scene.rig.clock.advanceTo(i * 0.1e9);
      rig.scene.send(i, PASS);
    }
    await until(() => seen.length === 7);
    await rig.host.call('status', {});
    expect(seen.map(({ notLookedAt }) => notLookedAt).reduce((a, b) => a + b)).toBe(23);
    expect(rig.scene.left()).toHaveLength(30);
  });

  test('ends with its client; a filter that is none is refused', async () => {
    const other = rig.rig.client();
    await other.call('trace.start', {});
    expect(rig.scene.vm.forwarder.tap).not.toBeNull();
    other.close();
    await until(() => rig.scene.vm.forwarder.tap === null);
    expect(await refusal('trace.start', { match: 'udp dprt 1' })).toMatchObject({ rpcCode: -32602, field: 'match' });
    expect(await refusal('trace.start', { perSecond: 2000 })).toMatchObject({ rpcCode: -32602 });
  });
});

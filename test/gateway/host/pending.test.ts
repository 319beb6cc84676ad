import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Pending } from '../../../gateway/host/pending.ts';
import { rulesOf } from '../../support/live-rules-rig.ts';
import { RulesHostRig } from '../../support/rules-host-rig.ts';

const MOST_REQUESTS = 256;
/** Some are answered while the last ones are still on their way. */
const BEYOND = 150;
const MOST_CHARACTERS = 32 * 2 ** 20;

describe('requests that are answered later', () => {
  test('are refused when there are too many, or they carry too much, and taken again when others have been answered', async () => {
    const pending = new Pending('questions');
    const answers: (() => void)[] = [];
    const ask = (text: string, outcome = Promise.resolve()) =>
      pending.during([text], () => new Promise<void>((resolve) => answers.push(resolve)).then(() => outcome));
    const half = 'x'.repeat(MOST_CHARACTERS / 2);
    const first = ask(half);
    const second = ask(half);
    await expect(ask('x')).rejects.toMatchObject({ code: 'overloaded', message: /questions/ });
    const others = Array.from({ length: MOST_REQUESTS - 2 }, () => ask(''));
    await expect(ask('')).rejects.toMatchObject({ code: 'overloaded' });
    expect(answers).toHaveLength(MOST_REQUESTS);
    answers[0]!();
    await first;
    const failing = ask(half, Promise.reject(new Error('no')));
    answers.at(-1)!();
    await expect(failing).rejects.toThrow('no');
    const last = ask(half);
    for (const answer of answers) answer();
    await Promise.all([second, last, ...others]);
  });
});

describe('a client that asks without waiting for answers', () => {
  let rig: RulesHostRig;
  beforeEach(async () => {
    rig = await new RulesHostRig().begin(rulesOf('default class control'));
  });
  afterEach(() => rig.close());

  test.each([
    ['for differences', 'rules.diff', {}],
    ['for an audit', 'rules.apply', { audit: true, text: 'outbound { default hold }\n' }],
  ] as const)('%s is refused what would wait behind hundreds of others', async (_, method, params) => {
    const asked = Array.from({ length: MOST_REQUESTS + BEYOND }, () => rig.host.call(method, params));
    const outcomes = await Promise.allSettled(asked);
    const refused = outcomes.filter((one) => one.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThanOrEqual(BEYOND);
    for (const { reason } of refused) expect(reason).toMatchObject({ code: 'overloaded' });
    await expect(rig.host.call(method, params)).resolves.toMatchObject({});
  });
});

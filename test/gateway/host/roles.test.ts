import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Method, PARAMS, type ParamsOf } from '../../../gateway/host/api.ts';
import { RequestError } from '../../../gateway/host/protocol.ts';
import { ABOUT_NO_VM, type Access, admitted, METHOD_ROLES, ROLES, type Role } from '../../../gateway/host/roles.ts';
import type { Problem } from '../../../gateway/host/schema.ts';
import { accessTo } from '../../support/access-rig.ts';
import { runs, SEED } from '../../support/runs.ts';

const METHODS = Object.keys(PARAMS) as Method[];
const READS = ['hello', 'vm.addresses', 'set.list', 'status', 'metrics', 'events.subscribe'];
const READS_RULES = ['rules.list', 'rules.diff', 'rules.text', 'rules.history', 'rules.audit'];
const OF_READERS = [...READS, ...READS_RULES];

/** Written out once more: what the table says is looked at from the other side. */
const MAY: Readonly<Record<Role, readonly string[]>> = {
  'read-only': OF_READERS,
  rules: METHODS.filter((name) => /^(rules|set)\./.test(name) || OF_READERS.includes(name)),
  epochs: METHODS.filter((name) => /^(replication|checkpoint|vm|flow)\./.test(name) || OF_READERS.includes(name)),
  guest: ['hello', 'set.add', 'set.delete', 'set.list', 'flow.declare'],
  all: METHODS,
};

function codeOf(method: Method, params: object, access: Access | null): string {
  try {
    admitted(method, params as ParamsOf<Method>, access);
    return 'admitted';
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    return error.code;
  }
}

function messageOf(method: Method, params: object, access: Access): string {
  try {
    admitted(method, params as ParamsOf<Method>, access);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('the table of roles', () => {
  test('has every method, and no other', () => {
    expect(Object.keys(METHOD_ROLES).sort()).toEqual([...METHODS].sort());
  });

  test.each(ROLES)('%s may do what it says, and nothing else', (role) => {
    const may = METHODS.filter((method) => codeOf(method, { vm: 'a' }, accessTo('*', role)) === 'admitted');
    expect(may.sort()).toEqual([...MAY[role]].sort());
  });

  test('the owner may do everything', () => {
    for (const method of METHODS) expect(codeOf(method, {}, null)).toBe('admitted');
  });

  test('methods that are said to be about no VM are those that take none', () => {
    for (const method of METHODS) {
      const problems: Problem[] = [];
      PARAMS[method].check({ vm: 'a' }, '', problems);
      expect([method, problems.some(({ field }) => field === 'vm')]).toEqual([method, ABOUT_NO_VM.has(method)]);
    }
  });

  test('a refusal names what is needed', () => {
    expect(messageOf('rules.delete', { vm: 'a' }, accessTo(['a'], 'read-only'))).toBe(
      'rules.delete needs one of the roles rules, all; this client has read-only',
    );
    expect(messageOf('capture.start', {}, accessTo('*', 'rules'))).toBe(
      'capture.start needs the role all; this client has rules',
    );
  });
});

describe("a client's VMs", () => {
  const role = fc.constantFrom(...ROLES);
  const ofVm = fc.constantFrom(...METHODS.filter((method) => !ABOUT_NO_VM.has(method)));

  test('are all that it can name, and it does not learn whether there are others', () => {
    fc.assert(
      fc.property(role, ofVm, fc.string({ minLength: 1 }), (of, method, other) => {
        fc.pre(other !== 'a');
        const access = accessTo(['a'], of);
        expect(codeOf(method, { vm: other }, access)).toBe('forbidden');
        expect(messageOf(method, { vm: other }, access)).toBe(messageOf(method, { vm: 'b' }, access));
      }),
      { numRuns: runs(500), ...SEED },
    );
  });

  test('stand where it names none and there is only one', () => {
    expect(admitted('set.list', { limit: 3 }, accessTo(['a'], 'guest'))).toEqual({ vm: 'a', limit: 3 });
    expect(admitted('capture.start', { side: 'inside' }, accessTo(['a'], 'all'))).toEqual({ vm: 'a', side: 'inside' });
    expect(codeOf('set.list', {}, accessTo(['a', 'b'], 'rules'))).toBe('invalid-params');
    expect(admitted('status', {}, accessTo(['a'], 'all'))).toEqual({});
    expect(admitted('set.list', {}, accessTo('*', 'rules'))).toEqual({});
  });

  test('go behind no ports but those that are configured for it', () => {
    const to = (inside: string) => ({ vm: 'a', term: 1, epoch: 1, inside });
    const access = accessTo(['a'], 'epochs', { failover: new Set(['tap1', 'tap:b']) });
    expect(codeOf('vm.failover', to('tap1'), access)).toBe('admitted');
    expect(codeOf('vm.failover', to(' tap1  tap:b '), access)).toBe('admitted');
    for (const other of ['eth0', 'tap1 eth0', 'packet:tap1', '', ' ']) {
      expect(codeOf('vm.failover', to(other), access)).toBe('forbidden');
    }
    expect(codeOf('vm.failover', to('tap1'), accessTo(['a'], 'all'))).toBe('forbidden');
    expect(codeOf('vm.failover', to('eth0'), accessTo('*', 'epochs'))).toBe('admitted');
  });
});

import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { HostClient } from '../../../gateway/host/client.ts';
import { ControlRig } from '../../support/control-rig.ts';
import { refusalOf } from '../../support/host-rig.ts';
import { runs, SEED } from '../../support/runs.ts';

const RULES = `
set pairs { type ipv4_addr . inet_service; flags timeout; size 3 }
set six { type ipv6_addr; flags dynamic }
set macs { type ether_addr; flags dynamic }
set many { type inet_service; flags timeout; timeout 1m; size 5000 }
set fixed { type inet_proto; flags interval; elements = { 6, 17-20 } }
outbound {
  ip saddr . udp sport @pairs pass
  ip6 saddr @six pass
  ether saddr @macs pass
  udp dport @many pass
  ip protocol @fixed pass
  default hold
}`;

let rig: ControlRig;
let host: HostClient;

beforeEach(async () => {
  rig = new ControlRig({}, RULES);
  await rig.listen();
  host = rig.client();
});
afterEach(() => rig.close());

test('without a name it tells which sets there are, and how full they are', async () => {
  await host.call('set.add', {
    set: 'pairs',
    elements: ['192.0.2.1 . 1', '192.0.2.1 . 2', '192.0.2.1 . 3', '192.0.2.1 . 4'],
  });
  const { sets, elements, next } = await host.call('set.list', {});
  expect([elements, next]).toEqual([[], null]);
  expect(sets[0]).toEqual({
    set: 'pairs',
    types: ['ipv4_addr', 'inet_service'],
    isDynamic: true,
    timeoutMs: null,
    maxElements: 3,
    elements: 3,
    refused: 1,
  });
  expect(sets.map(({ set, isDynamic, maxElements }) => [set, isDynamic, maxElements])).toContainEqual([
    'fixed',
    false,
    null,
  ]);
});

test('elements are as rules write them, with the time that they have left; expired ones are not there', async () => {
  const { clock } = rig.scene.rig;
  await host.call('set.add', { set: 'pairs', elements: ['192.0.2.1 . 5060'], timeoutMs: 30_000 });
  await host.call('set.add', { set: 'pairs', elements: ['10.0.0.0/8 . 1-100', '10.1.2.3-10.1.2.9 . 7 timeout 5s'] });
  clock.advanceTo(clock.nowNs() + 2e9);
  const first = await host.call('set.list', { set: 'pairs' });
  expect([...first.elements].sort((a, b) => (a.element < b.element ? -1 : 1))).toEqual([
    { element: '10.0.0.0/8 . 1-100', remainingMs: null },
    { element: '10.1.2.3-10.1.2.9 . 7', remainingMs: 3000 },
    { element: '192.0.2.1 . 5060', remainingMs: 28_000 },
  ]);
  clock.advanceTo(clock.nowNs() + 3e9);
  expect((await host.call('set.list', { set: 'pairs' })).sets[0]!.elements).toBe(2);
  await host.call('set.add', { set: 'six', elements: ['2001:db8::/32', '::1'] });
  await host.call('set.add', { set: 'macs', elements: ['02:00:00:00:00:01'] });
  expect((await host.call('set.list', { set: 'six' })).elements.map(({ element }) => element)).toEqual([
    '::1',
    '2001:db8::/32',
  ]);
  expect((await host.call('set.list', { set: 'macs' })).elements[0]!.element).toBe('02:00:00:00:00:01');
  const fixed = await host.call('set.list', { set: 'fixed' });
  expect(fixed.elements).toEqual([
    { element: '6', remainingMs: null },
    { element: '17-20', remainingMs: null },
  ]);
});

test('whatever is listed can be deleted as it is listed', async () => {
  const interval = fc
    .tuple(fc.nat(0xffff), fc.nat(0xffff))
    .map(([a, b]) => (a === b ? `${a}` : `${Math.min(a, b)}-${Math.max(a, b)}`));
  const address = fc.tuple(fc.nat(255), fc.integer({ min: 8, max: 32 })).map(([last, bits]) => {
    const base = ((10 << 24) | (last << (32 - bits))) >>> 0;
    const text = [24, 16, 8, 0].map((shift) => (base >>> shift) & 255).join('.');
    return bits === 32 ? text : `${text}/${bits}`;
  });
  const element = fc.tuple(address, interval).map((parts) => parts.join(' . '));
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(element, { minLength: 1, maxLength: 3 }), async (elements) => {
      await host.call('set.add', { set: 'pairs', elements });
      const listed = (await host.call('set.list', { set: 'pairs' })).elements.map((one) => one.element);
      expect(listed.length).toBeGreaterThan(0);
      expect(await host.call('set.delete', { set: 'pairs', elements: listed })).toEqual({ deleted: listed.length });
      expect((await host.call('set.list', { set: 'pairs' })).elements).toEqual([]);
    }),
    { numRuns: runs(100), ...SEED },
  );
});

test('pages have each element once', async () => {
  await host.call('set.add', { set: 'many', elements: Array.from({ length: 2500 }, (_, i) => String(i)) });
  await host.call('set.add', { set: 'many', elements: ['10000-20000'] });
  const seen: string[] = [];
  let next: number | null = 0;
  let pages = 0;
  while (next !== null) {
    const page: { elements: readonly { element: string }[]; next: number | null } = await host.call('set.list', {
      set: 'many',
      from: next,
      limit: 700,
    });
    expect(page.elements.length).toBeLessThanOrEqual(700);
    seen.push(...page.elements.map(({ element }) => element));
    next = page.next;
    pages++;
  }
  expect(pages).toBe(4);
  expect(seen).toHaveLength(2501);
  expect(new Set(seen).size).toBe(2501);
  const fixed = await host.call('set.list', { set: 'fixed', from: 1, limit: 1 });
  expect([fixed.elements.map(({ element }) => element), fixed.next]).toEqual([['17-20'], null]);
});

test('a set that the rules do not have is refused', async () => {
  expect(await refusalOf(host, 'set.list', { set: 'nix' })).toMatchObject({ code: 'invalid-params', field: 'set' });
});

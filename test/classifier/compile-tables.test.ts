import { describe, expect, test } from 'vitest';
import { compileRules } from '../../classifier/compile.ts';
import { WORD } from '../../classifier/field.ts';
import { USES_APPS } from '../../classifier/key.ts';
import { LiveState } from '../../classifier/live-state.ts';
import {
  CompiledMatcher,
  type CompiledRules,
  EMPTY_LEAF,
  KINDS,
  kindOf,
  NODE,
  NONE,
} from '../../classifier/matcher.ts';
import { L3, type L3Kind, L4, type L4Kind, Parsed } from '../../classifier/parsed.ts';
import type { FieldName, Match } from '../../rules/rule.ts';
import { match, ruleSetOf } from '../support/arbitrary-rules.ts';

const is = (field: FieldName, value: number): Match => match(field, [value, value]);
const compiled = (...rules: readonly (readonly Match[])[]) => compileRules(ruleSetOf(rules).outbound);

/** The rules that some leaf of a tree names, as numbers in the rule set. */
function rulesBelow(tables: CompiledRules, root: number): number[] {
  const { code, nodes, children, leaves } = tables;
  const found = new Set<number>();
  const open = [root];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (node >= 0) {
      const span = nodes[node + NODE.span]! >>> 0;
      const first = nodes[node + NODE.children]!;
      const cells = (span >>> nodes[node + NODE.shift]!) + 1;
      open.push(nodes[node + NODE.rest]!, ...children.subarray(first, first + cells));
    } else {
      for (let at = ~node; leaves[at] !== NONE; at++) found.add(code[leaves[at]!]!);
    }
  }
  return [...found].sort((a, b) => a - b);
}

/** What the tables say about one kind of frame; rules as numbers in the rule set, no fallback as null. */
function kindIn(tables: CompiledRules, l3: L3Kind, l4: L4Kind, isTagged = false) {
  const kind = kindOf(l3, l4, isTagged ? 1 : 0);
  const fallback = tables.fallbacks[kind]!;
  return {
    root: tables.roots[kind]!,
    rules: rulesBelow(tables, tables.roots[kind]!),
    fallback: fallback === NONE ? null : tables.code[fallback]!,
    used: tables.used[kind]!,
  };
}

const bits = (...words: readonly number[]) => words.reduce((sum, word) => sum | (1 << word), 0);

describe('a kind of frame', () => {
  test('has a number of its own', () => {
    const numbers = Object.values(L3).flatMap((l3) =>
      Object.values(L4).flatMap((l4) => [kindOf(l3, l4, 0), kindOf(l3, l4, 1)]),
    );
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(numbers.every((kind) => kind >= 0 && kind < KINDS)).toBe(true);
    expect(KINDS).toBe(numbers.length);
  });

  test('has no tree and no fallback without rules', () => {
    const { roots, fallbacks, used, leaves, code } = compiled();
    expect([...roots]).toEqual(Array(KINDS).fill(EMPTY_LEAF));
    expect([...fallbacks]).toEqual(Array(KINDS).fill(NONE));
    expect([...used]).toEqual(Array(KINDS).fill(0));
    expect([leaves[0], leaves.length, code.length]).toEqual([NONE, 1, 0]);
  });

  test('has the rules of whose fields it has all', () => {
    const tables = compiled([is('tcp.dport', 80)], [is('ip.saddr', 1), is('th.dport', 5)], [is('vlan.id', 3)]);
    expect(kindIn(tables, L3.ip4, L4.tcp).rules).toEqual([0, 1]);
    expect(kindIn(tables, L3.ip4, L4.tcp, true).rules).toEqual([0, 1, 2]);
    expect(kindIn(tables, L3.ip6, L4.tcp).rules).toEqual([0]);
    expect(kindIn(tables, L3.ip4, L4.udp).rules).toEqual([1]);
    expect(kindIn(tables, L3.ip4, L4.icmp)).toMatchObject({ root: EMPTY_LEAF, used: 0, fallback: null });
    expect(kindIn(tables, L3.arp, L4.none, true).rules).toEqual([2]);
  });

  test('uses the words of its own rules', () => {
    const tables = compiled([is('tcp.dport', 80)], [match('ip6.saddr', [1, 5], [7, 9])], [is('vlan.id', 3)]);
    expect(kindIn(tables, L3.ip4, L4.tcp).used).toBe(bits(WORD.dstPort));
    expect(kindIn(tables, L3.ip6, L4.tcp).used).toBe(bits(WORD.dstPort, WORD.src0, WORD.src1, WORD.src2, WORD.src3));
    expect(kindIn(tables, L3.ip4, L4.udp, true).used).toBe(bits(WORD.vlanId));
    expect(kindIn(tables, L3.ip4, L4.udp).used).toBe(0);
  });

  test('uses applications if one of its rules asks for one, but never behind an unknown EtherType', () => {
    const app: Match = { kind: 'app', app: 'http', types: null, negated: false };
    const tables = compiled([is('vlan.id', 3), app], [app, is('tcp.dport', 80)]);
    expect(kindIn(tables, L3.ip4, L4.tcp).used).toBe(bits(WORD.dstPort) | USES_APPS);
    expect(kindIn(tables, L3.ip4, L4.udp).used).toBe(0);
    expect(kindIn(tables, L3.ip4, L4.udp, true).used).toBe(bits(WORD.vlanId) | USES_APPS);
    expect(kindIn(tables, L3.unknown, L4.none, true).used).toBe(bits(WORD.vlanId));
    expect(kindIn(tables, L3.unknown, L4.none).used).toBe(0);
  });
});

describe('the first rule without a condition', () => {
  test('is the fallback of every kind, and no later one is in a tree or in the words used', () => {
    const tables = compiled([is('tcp.dport', 80)], [], [is('tcp.sport', 5)], []);
    expect(kindIn(tables, L3.ip4, L4.tcp)).toMatchObject({ rules: [0], fallback: 1, used: bits(WORD.dstPort) });
    expect(kindIn(tables, L3.arp, L4.none)).toMatchObject({ root: EMPTY_LEAF, fallback: 1, used: 0 });
  });

  test('is, behind an unknown EtherType, the first that asks nothing at layer 2', () => {
    const tables = compiled(
      [is('vlan.id', 3)],
      [is('ether.type', 0x88cc)],
      [is('udp.dport', 80)],
      [is('ether.type', 0x88cd)],
      [],
    );
    expect(kindIn(tables, L3.unknown, L4.none)).toMatchObject({
      rules: [1],
      fallback: 2,
      used: bits(WORD.etherType),
    });
    expect(kindIn(tables, L3.unknown, L4.none, true)).toMatchObject({ rules: [0, 1], fallback: 2 });
    expect(kindIn(tables, L3.ip4, L4.udp)).toMatchObject({ rules: [2], fallback: 4 });
    expect(kindIn(tables, L3.unknown, L4.none).root).not.toBe(kindIn(tables, L3.unknown, L4.none, true).root);
  });

  test('is not one that asks for other things than fields', () => {
    const raw: Match = {
      ...{ kind: 'raw', base: 'nh', offsetBits: 0, lengthBits: 8 },
      ...{ mask: null, negated: false, intervals: [{ low: 1n, high: 2n }] },
    };
    const tables = compiled([raw], [{ kind: 'declared' }], []);
    expect(kindIn(tables, L3.ip4, L4.udp)).toMatchObject({ rules: [0, 1], fallback: 2, used: 0 });
    expect(kindIn(tables, L3.unknown, L4.none)).toMatchObject({ rules: [0], fallback: 1 });
  });
});

describe('behind an unknown EtherType', () => {
  test('the tree tells apart what lies in layer 2 alone', () => {
    const numbers = [1, 2, 3, 4, 5, 6, 7, 8];
    const tables = compiled(...numbers.map((n) => [is('udp.dport', n), is('vlan.id', 100 + n)]));
    const { root, rules, used } = kindIn(tables, L3.unknown, L4.none, true);
    expect(rules).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(used).toBe(bits(WORD.vlanId));
    expect(tables.nodes[root + NODE.word]).toBe(WORD.vlanId);
    expect(kindIn(tables, L3.ip4, L4.udp, true).used).toBe(bits(WORD.vlanId, WORD.dstPort));
  });

  test('a rule stands whatever its EtherType and protocol are', () => {
    const tables = compiled([is('ether.type', 0x0800)], [is('ether.type', 0x0806), is('ip.protocol', 6)]);
    expect(kindIn(tables, L3.unknown, L4.none).rules).toEqual([0, 1]);
  });
});

describe('a rule that a kind can never meet is not among its rules', () => {
  /** The kinds of untagged frames that have a rule. */
  const kindsWith = (...matches: Match[]) => {
    const tables = compiled(matches);
    return Object.entries(L3).flatMap(([l3Name, l3]) =>
      Object.entries(L4)
        .filter(([, l4]) => kindIn(tables, l3, l4).rules.length > 0)
        .map(([l4Name]) => `${l3Name} ${l4Name}`),
    );
  };
  const all = (...networks: readonly string[]) =>
    networks.flatMap((network) => Object.keys(L4).map((transport) => `${network} ${transport}`));

  test.each([
    ['tcp', 6],
    ['udp', 17],
    ['udplite', 136],
    ['sctp', 132],
    ['dccp', 33],
    ['icmp', 1],
    ['icmpv6', 58],
    ['igmp', 2],
  ])('%s has protocol %i, and frames without a known transport may have it too', (transport, proto) => {
    const either = ['none', transport].sort();
    expect(kindsWith(is('ip.protocol', proto)).sort()).toEqual(either.map((name) => `ip4 ${name}`));
    expect(kindsWith(match('ip.protocol', [proto, 255])).includes(`ip4 ${transport}`)).toBe(true);
    expect(kindsWith(match('ip.protocol', [0, proto])).includes(`ip4 ${transport}`)).toBe(true);
    expect(kindsWith(match('ip.protocol', [proto + 1, 255])).includes(`ip4 ${transport}`)).toBe(false);
    expect(kindsWith(match('ip.protocol', [0, proto - 1])).includes(`ip4 ${transport}`)).toBe(false);
  });

  test('other words say nothing about that', () => {
    expect(kindsWith(match('ip.saddr', [100, 200]))).toEqual(all('ip4'));
    expect(kindsWith(match('ip.saddr', [0x700, 0x7ff]))).toEqual(all('ip4'));
  });

  test('one of several boxes is enough', () => {
    expect(kindsWith(match('meta.l4proto', [6, 6], [200, 200]))).toEqual([
      'ip4 none',
      'ip4 tcp',
      'ip6 none',
      'ip6 tcp',
    ]);
  });

  test('network headers lie behind their own EtherType, MPLS or PPPoE', () => {
    expect(kindsWith(is('ether.type', 0x0800))).toEqual(all('unknown', 'ip4'));
    expect(kindsWith(is('ether.type', 0x86dd))).toEqual(all('unknown', 'ip6'));
    expect(kindsWith(is('ether.type', 0x0806))).toEqual(all('unknown', 'arp'));
    for (const type of [0x8847, 0x8848, 0x8864]) {
      expect(kindsWith(is('ether.type', type))).toEqual(all('unknown', 'ip4', 'ip6'));
    }
    expect(kindsWith(is('ether.type', 0x88cc))).toEqual(all('unknown'));
    expect(kindsWith(match('ether.type', [0x0801, 0x0805]))).toEqual(all('unknown'));
    expect(kindsWith(match('ether.type', [0x0800, 0x0805]))).toEqual(all('unknown', 'ip4'));
    expect(kindsWith(match('ether.type', [0x0801, 0x0806]))).toEqual(all('unknown', 'arp'));
  });

  test('or behind an 802.3 length, and then the EtherType follows in SNAP', () => {
    expect(kindsWith(is('ether.type', 1500))).toEqual(all('unknown', 'ip4', 'ip6', 'arp'));
    expect(kindsWith(match('ether.type', [1500, 0x0700]))).toEqual(all('unknown', 'ip4', 'ip6', 'arp'));
    expect(kindsWith(match('ether.type', [1501, 0x0700]))).toEqual(all('unknown'));
  });
});

describe('a tree', () => {
  test('is shared by all kinds with the same rules, and by no others', () => {
    const tables = compiled([is('ip.saddr', 1)], [is('ip.daddr', 2)], [is('udp.dport', 5)]);
    const root = (l4: L4Kind, isTagged = false) => kindIn(tables, L3.ip4, l4, isTagged).root;
    expect(root(L4.tcp)).toBe(root(L4.none));
    expect(root(L4.tcp)).toBe(root(L4.sctp, true));
    expect(root(L4.udp)).not.toBe(root(L4.tcp));
    expect(root(L4.udp)).toBe(root(L4.udp, true));
    // IPv4 with UDP and without, and IPv6 with UDP; the empty leaf stands first.
    expect(tables.leaves.filter((rule) => rule === NONE)).toHaveLength(4);
  });

  test('is not shared by kinds with as many other rules', () => {
    const tables = compiled([is('ip.saddr', 1)], [is('tcp.dport', 1)], [is('udp.dport', 5)]);
    expect(kindIn(tables, L3.ip4, L4.tcp).rules).toEqual([0, 1]);
    expect(kindIn(tables, L3.ip4, L4.udp).rules).toEqual([0, 2]);
  });
});

test('the tables say how many bytes they have', () => {
  const rules = [1, 2, 3, 4, 5, 6, 7].map((port) => [is('udp.dport', port), match('udp.sport', [1, 2], [5, 6])]);
  const tables = compiled(...rules);
  const counts = [tables.code, tables.lists, tables.nodes, tables.children, tables.leaves].map((table) => table.length);
  expect(Math.min(...counts)).toBeGreaterThan(0);
  const words = counts.reduce((sum, count) => sum + count) + 3 * KINDS;
  expect(new CompiledMatcher(tables, new LiveState([])).sizeBytes).toBe(4 * words);
});

describe('the walk through a tree', () => {
  // Five rules on one word and six on another, which is cut first: the five lie in the rest of its node.
  const numbers = [1, 2, 3, 4, 5];
  const tables = compiled(
    ...numbers.map((n) => [is('udp.dport', n)]),
    ...[...numbers, 6].map((n) => [is('ip.saddr', n)]),
  );
  const { root } = kindIn(tables, L3.ip4, L4.udp);
  const rest = tables.nodes[root + NODE.rest]!;
  const p = new Parsed();
  [p.l3, p.l4, p.src0, p.dstPort] = [L3.ip4, L4.udp, 1, 1];
  const slab = new DataView(new ArrayBuffer(0));
  const classify = (made: CompiledRules) => new CompiledMatcher(made, new LiveState([])).classify(p, slab);

  test('looks into the rest too, which may hold an earlier rule', () => {
    expect(rest).toBeGreaterThanOrEqual(0);
    expect([tables.nodes[root], tables.nodes[rest]]).toEqual([WORD.src0, WORD.dstPort]);
    expect(classify(tables)).toBe(0);
  });

  test('leaves out a rest whose first rule stands behind the best so far', () => {
    // The first rule of each node is told wrong, to see what is looked at.
    const best = [...tables.code.keys()].find((at) => at % 7 === 0 && tables.code[at] === 5)!;
    const withFirst = (first: number) => {
      const nodes = tables.nodes.slice();
      nodes[rest + NODE.firstRule] = first;
      return classify({ ...tables, nodes });
    };
    expect([best - 1, best, best + 1].map(withFirst)).toEqual([0, 5, 5]);
  });
});

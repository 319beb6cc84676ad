import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RuleDatabase } from '../../rules/database.ts';
import type { RuleEdit } from '../../rules/edit.ts';
import { RulesInvalidError } from '../../rules/errors.ts';
import type { RuleSet } from '../../rules/rule.ts';
import type { RuleSources } from '../../rules/sources.ts';

const ME = { who: 'operator', what: 'test' };

function sources(text: string, included: Readonly<Record<string, string>> = {}): RuleSources {
  return { file: 'main.rules', texts: new Map([['main.rules', text], ...Object.entries(included)]) };
}

const HEAD = 'class data pass\nclass control hold\n';
function outbound(...rules: readonly string[]): RuleSources {
  return sources(`${HEAD}outbound {\n${rules.map((rule) => `  ${rule}\n`).join('')}}\n`);
}

/** A database whose clock the test sets, and what it prepared. */
function open(first: RuleSources, historyLimit = 100) {
  const clock = { nowMs: 1000 };
  const prepared: { number: number; previous: number | null }[] = [];
  const database = new RuleDatabase<number>(first, ME, {
    prepare: (_: RuleSet, generation, previous) => {
      prepared.push({ number: generation, previous });
      return generation;
    },
    nowMs: () => clock.nowMs,
    historyLimit,
  });
  return { database, clock, prepared };
}

function rows(database: RuleDatabase<number>): [number, string][] {
  const { outbound: rules, inbound } = database.current.ruleSet;
  return [...rules, ...(inbound ?? [])].map(({ handle, text }) => [handle, text]);
}

const WEB = 'tcp dport 80 class control';
const DNS = 'udp dport 53 class data';
const REST = 'default class control';

describe('a change of rules', () => {
  test('is a new generation, one above the last', () => {
    const { database, prepared } = open(outbound(WEB, REST));
    expect(database.current.number).toBe(1);
    expect(database.apply(outbound(WEB, DNS, REST), ME)).toEqual({ generation: 2, warnings: expect.any(Array) });
    expect(database.current.number).toBe(2);
    expect(database.current.prepared).toBe(2);
    expect(prepared).toEqual([
      { number: 1, previous: null },
      { number: 2, previous: 1 },
    ]);
  });

  test('with errors names them all and leaves the old generation in force', () => {
    const { database, prepared } = open(outbound(WEB, REST));
    const before = database.current;
    let caught: unknown;
    try {
      database.apply(outbound('tpc dport 80 hold', 'udp dport 99999 hold'), ME);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(RulesInvalidError);
    expect((caught as RulesInvalidError).errors).toHaveLength(2);
    expect(database.current).toBe(before);
    expect(database.history).toHaveLength(1);
    expect(prepared).toHaveLength(1);
  });

  test('that cannot be prepared leaves the old generation in force', () => {
    const clock = { nowMs: 0 };
    const database = new RuleDatabase<number>(outbound(WEB, REST), ME, {
      prepare: (_, generation) => {
        if (generation === 2) throw new Error('no memory for the matcher');
        return generation;
      },
      nowMs: () => clock.nowMs,
    });
    const before = database.current;
    expect(() => database.apply(outbound(DNS, REST), ME, { confirmWithinMs: 5 })).toThrow('no memory');
    expect(database.current).toBe(before);
    expect(database.confirmDeadlineMs).toBeNull();
    expect(database.history).toHaveLength(1);
  });

  test('can be asked for without being made', () => {
    const { database, prepared } = open(outbound(WEB, REST));
    const result = database.apply(outbound(WEB, 'tcp dport 80 class data', REST), ME, { checkOnly: true });
    expect(result.generation).toBe(1);
    expect(result.warnings.map(({ line }) => line)).toContain(5);
    expect(database.current.number).toBe(1);
    expect(database.history).toHaveLength(1);
    expect(prepared).toHaveLength(1);
    expect(() => database.apply(outbound('nonsense'), ME, { checkOnly: true })).toThrow(RulesInvalidError);
  });

  test('keeps a generation that somebody holds as it was', () => {
    const { database } = open(outbound(WEB, REST));
    const held = database.current;
    database.apply(outbound(DNS), ME);
    expect(held.number).toBe(1);
    expect(held.ruleSet.outbound.map(({ text }) => text)).toEqual([WEB, REST]);
  });
});

describe('handles', () => {
  test('stay with rules whose text stays, wherever they move', () => {
    const { database } = open(outbound(WEB, DNS, REST));
    expect(rows(database)).toEqual([
      [1, WEB],
      [2, DNS],
      [3, REST],
    ]);
    database.apply(outbound(DNS, 'icmp type echo-reply pass', WEB, REST), ME);
    expect(rows(database)).toEqual([
      [2, DNS],
      [4, 'icmp type echo-reply pass'],
      [1, WEB],
      [3, REST],
    ]);
  });

  test('are never used again', () => {
    const { database } = open(outbound(WEB, DNS, REST));
    database.apply(outbound(WEB, REST), ME);
    database.apply(outbound(WEB, DNS, REST), ME);
    expect(rows(database)).toEqual([
      [1, WEB],
      [4, DNS],
      [3, REST],
    ]);
  });

  test('of rules with the same text go in order, and outbound and inbound ones do not mix', () => {
    const text = (out: string, back: string) => sources(`outbound {\n${out}\n}\ninbound {\n${back}\n}\n`);
    const { database } = open(text('udp dport 1 drop\nudp dport 1 drop', 'udp dport 1 drop'));
    expect(rows(database).map(([handle]) => handle)).toEqual([1, 2, 3]);
    database.apply(text('udp dport 1 drop', 'udp dport 1 drop\nudp dport 1 drop'), ME);
    expect(rows(database).map(([handle]) => handle)).toEqual([1, 3, 4]);
  });

  test('survive a class that changes its verdict: the text of the rule is the same', () => {
    const { database } = open(sources('class web hold\noutbound {\ntcp dport 80 class web\n}\n'));
    database.apply(sources('class web pass\noutbound {\ntcp dport 80 class web\n}\n'), ME);
    expect(rows(database)).toEqual([[1, 'tcp dport 80 class web']]);
    expect(database.current.ruleSet.outbound[0]!.verdict).toBe('pass');
  });
});

describe('an edit', () => {
  function edited(first: RuleSources, ...edits: readonly RuleEdit[]) {
    const { database } = open(first);
    for (const edit of edits) database.edit(edit, ME);
    return { text: database.current.sources.texts.get('main.rules'), rows: rows(database), database };
  }

  test('adds above the default, or at the end where there is none', () => {
    expect(edited(outbound(WEB, REST), { kind: 'add', rule: DNS }).rows).toEqual([
      [1, WEB],
      [3, DNS],
      [2, REST],
    ]);
    expect(edited(outbound(WEB), { kind: 'add', rule: DNS }).rows.map(([, text]) => text)).toEqual([WEB, DNS]);
  });

  test('adds below and inserts above a rule that it names', () => {
    const two = outbound(WEB, DNS);
    const rule = 'icmp type 0 pass';
    const order = (edit: RuleEdit) => edited(two, edit).rows.map(([handle]) => handle);
    expect(order({ kind: 'add', rule, after: 1 })).toEqual([1, 3, 2]);
    expect(order({ kind: 'insert', rule, before: 2 })).toEqual([1, 3, 2]);
    expect(order({ kind: 'insert', rule })).toEqual([3, 1, 2]);
  });

  test('replaces and deletes by handle', () => {
    expect(edited(outbound(WEB, DNS), { kind: 'replace', handle: 1, rule: 'tcp dport 8080 hold' }).rows).toEqual([
      [3, 'tcp dport 8080 hold'],
      [2, DNS],
    ]);
    expect(edited(outbound(WEB, DNS), { kind: 'delete', handle: 1 }).rows).toEqual([[2, DNS]]);
  });

  test('keeps comments and layout', () => {
    const text = `${HEAD}\n# why\noutbound {\n    tcp dport 80 class control  # web\n\n    # rest\n    default class control\n}\n`;
    const { text: after } = edited(sources(text), { kind: 'add', rule: DNS }, { kind: 'delete', handle: 1 });
    expect(after).toBe(
      `${HEAD}\n# why\noutbound {\n\n    # rest\n    udp dport 53 class data\n    default class control\n}\n`,
    );
  });

  test('finds a rule in an included file and changes that file', () => {
    const first = sources('outbound {\ninclude "more.rules"\ndefault hold\n}\n', {
      'more.rules': '# more\ntcp dport 80 hold\n',
    });
    const { database } = open(first);
    database.edit({ kind: 'insert', rule: 'udp dport 53 pass', before: 1 }, ME);
    expect(database.current.sources.texts.get('more.rules')).toBe('# more\nudp dport 53 pass\ntcp dport 80 hold\n');
    expect(database.current.sources.texts.get('main.rules')).toBe(first.texts.get('main.rules'));
    expect(rows(database).map(([handle]) => handle)).toEqual([3, 1, 2]);
  });

  test('fills an empty block, and makes an inbound block where there is none', () => {
    expect(edited(sources('outbound {\n}\n'), { kind: 'add', rule: 'default hold' }).text).toBe(
      'outbound {\n  default hold\n\n}\n',
    );
    const { text, rows: found } = edited(outbound(WEB), { kind: 'add', rule: 'tcp dport 22 drop', block: 'inbound' });
    expect(text).toBe(`${HEAD}outbound {\n  ${WEB}\n}\n\ninbound {\n  tcp dport 22 drop\n}\n`);
    expect(found).toEqual([
      [1, WEB],
      [2, 'tcp dport 22 drop'],
    ]);
  });

  test('of an unknown handle is refused', () => {
    const { database } = open(outbound(WEB));
    expect(() => database.edit({ kind: 'delete', handle: 7 }, ME)).toThrow('there is no rule with handle 7');
    expect(() => database.edit({ kind: 'add', rule: DNS, after: 7 }, ME)).toThrow(
      expect.objectContaining({ code: 'unknown-handle' }),
    );
    expect(database.current.number).toBe(1);
  });

  test.each([
    ['two rules', 'tcp dport 1 hold; tcp dport 2 hold'],
    ['two lines', 'tcp dport 1 hold\ntcp dport 2 hold'],
    ['the end of the block', 'tcp dport 1 hold }'],
    ['the end of the block and another', 'tcp dport 1 hold } inbound { default drop'],
    ['a comment that would swallow the line', 'tcp dport 1 hold # x'],
    ['nothing', ''],
    ['a comment alone', '# x'],
    ['blanks before a line end', '  \n'],
  ])('with %s in place of one rule is refused', (_, rule) => {
    const { database } = open(outbound(WEB));
    expect(() => database.edit({ kind: 'add', rule }, ME)).toThrow(expect.objectContaining({ code: 'no-statement' }));
    expect(database.current.number).toBe(1);
  });

  test('with a wrong rule is rejected with its errors', () => {
    const { database } = open(outbound(WEB));
    expect(() => database.edit({ kind: 'add', rule: 'tpc dport 1 hold' }, ME)).toThrow(RulesInvalidError);
    expect(database.current.number).toBe(1);
  });
});

describe('the history', () => {
  test('says who changed what and when, and what became of it', () => {
    const { database, clock } = open(outbound(WEB));
    clock.nowMs = 2000;
    database.apply(outbound(DNS), { who: 'uid 1000', what: 'apply dns.rules' });
    expect(database.history.map(({ sources: _, ...entry }) => entry)).toEqual([
      { generation: 1, atMs: 1000, origin: ME, state: 'replaced' },
      { generation: 2, atMs: 2000, origin: { who: 'uid 1000', what: 'apply dns.rules' }, state: 'in-force' },
    ]);
  });

  test('forgets the oldest beyond its limit', () => {
    const { database } = open(outbound(WEB), 3);
    for (let i = 0; i < 5; i++) database.apply(outbound(i % 2 === 0 ? DNS : WEB), ME);
    expect(database.history.map(({ generation }) => generation)).toEqual([4, 5, 6]);
    expect(() => database.rollback(3, ME)).toThrow('generation 3 is not in the history, which has 4 to 6');
  });

  test('brings an earlier generation back as a new one', () => {
    const { database } = open(outbound(WEB, REST));
    database.apply(outbound(DNS, REST), ME);
    expect(database.rollback(1, ME).generation).toBe(3);
    expect(rows(database)).toEqual([
      [4, WEB],
      [2, REST],
    ]);
    expect(database.history.map(({ state }) => state)).toEqual(['replaced', 'replaced', 'in-force']);
    expect(() => database.rollback(9, ME)).toThrow(expect.objectContaining({ code: 'unknown-generation' }));
  });
});

describe('a change that must be confirmed', () => {
  const within = { confirmWithinMs: 60_000 };

  test('stays once it is confirmed', () => {
    const { database, clock } = open(outbound(WEB));
    database.apply(outbound(DNS), ME, within);
    expect(database.confirmDeadlineMs).toBe(61_000);
    expect(database.history.at(-1)!.state).toBe('pending');
    expect(database.confirm(ME).generation).toBe(2);
    expect(database.history.map(({ state }) => state)).toEqual(['replaced', 'in-force']);
    clock.nowMs = 1e9;
    database.tick();
    expect(database.current.number).toBe(2);
  });

  test('takes itself back at its deadline, as a new generation', () => {
    const { database, clock } = open(outbound(WEB));
    database.apply(outbound(DNS), ME, within);
    clock.nowMs = 60_999;
    database.tick();
    expect(database.current.number).toBe(2);
    clock.nowMs = 61_000;
    database.tick();
    expect(database.current.number).toBe(3);
    expect(rows(database).map(([, text]) => text)).toEqual([WEB]);
    expect(database.confirmDeadlineMs).toBeNull();
    expect(database.history.map(({ state }) => state)).toEqual(['replaced', 'reverted', 'in-force']);
    expect(database.history.at(-1)!.origin).toEqual({ who: 'holdfast', what: 'generation 2 was not confirmed' });
    database.tick();
    expect(database.current.number).toBe(3);
  });

  test('lets no other change in, but a rollback, which takes it back', () => {
    const { database } = open(outbound(WEB));
    database.apply(outbound(DNS), ME, within);
    expect(() => database.apply(outbound(REST), ME)).toThrow(expect.objectContaining({ code: 'confirm-pending' }));
    expect(() => database.edit({ kind: 'delete', handle: 2 }, ME)).toThrow('waits to be confirmed');
    expect(database.apply(outbound(REST), ME, { checkOnly: true }).generation).toBe(2);
    database.rollback(1, ME);
    expect(rows(database).map(([, text]) => text)).toEqual([WEB]);
    expect(database.confirmDeadlineMs).toBeNull();
    expect(database.history.map(({ state }) => state)).toEqual(['replaced', 'reverted', 'in-force']);
    database.apply(outbound(REST), ME);
    expect(database.current.number).toBe(4);
  });

  test('whose time is over does not stand in the way of the next', () => {
    const { database, clock } = open(outbound(WEB));
    database.apply(outbound(DNS), ME, within);
    clock.nowMs = 70_000;
    database.apply(outbound(REST), ME);
    expect(database.current.number).toBe(4);
    expect(rows(database).map(([, text]) => text)).toEqual([REST]);
  });

  test('must be there to be confirmed', () => {
    const { database } = open(outbound(WEB));
    expect(() => database.confirm(ME)).toThrow(expect.objectContaining({ code: 'nothing-to-confirm' }));
  });
});

describe('a subscriber', () => {
  test('is told of every change after it has taken force', () => {
    const { database, clock } = open(outbound(WEB));
    const told: string[] = [];
    const stop = database.subscribe(({ kind, generation }) => {
      told.push(`${kind} ${generation.number} ${database.current.number}`);
    });
    database.apply(outbound(DNS), ME, { confirmWithinMs: 10 });
    database.confirm(ME);
    database.apply(outbound(REST), ME, { confirmWithinMs: 10 });
    clock.nowMs = 5000;
    database.tick();
    database.rollback(1, ME);
    stop();
    database.apply(outbound(DNS), ME);
    expect(told).toEqual(['applied 2 2', 'confirmed 2 2', 'applied 3 3', 'reverted 4 4', 'rolled-back 5 5']);
  });

  test('is not told of what was refused or only checked', () => {
    const { database } = open(outbound(WEB));
    let told = 0;
    database.subscribe(() => told++);
    expect(() => database.apply(outbound('nonsense'), ME)).toThrow();
    database.apply(outbound(DNS), ME, { checkOnly: true });
    expect(told).toBe(0);
  });

  test('that fails undoes nothing and keeps nobody from being told', () => {
    const { database } = open(outbound(WEB));
    let told = 0;
    database.subscribe(() => {
      throw new Error('bad subscriber');
    });
    database.subscribe(() => told++);
    expect(() => database.apply(outbound(DNS), ME)).toThrow('a subscriber failed');
    expect(told).toBe(1);
    expect(database.current.number).toBe(2);
  });
});

describe('any sequence of changes', () => {
  const RULES = [WEB, DNS, 'icmp type 0 pass', 'ether type arp hold', 'udp dport { 1, 2 } drop'];
  const arbitraryStep = fc.oneof(
    fc.record({
      kind: fc.constant('apply' as const),
      rules: fc.uniqueArray(fc.constantFrom(...RULES), { minLength: 1 }),
    }),
    fc.record({ kind: fc.constant('add' as const), rule: fc.constantFrom(...RULES), at: fc.nat(9) }),
    fc.record({ kind: fc.constant('insert' as const), rule: fc.constantFrom(...RULES), at: fc.nat(9) }),
    fc.record({ kind: fc.constant('replace' as const), rule: fc.constantFrom(...RULES), at: fc.nat(9) }),
    fc.record({ kind: fc.constant('delete' as const), at: fc.nat(9) }),
    fc.record({ kind: fc.constant('rollback' as const), at: fc.nat(9) }),
  );

  test('gives the same rules as a list that is changed the same way, and handles that never change hands', () => {
    fc.assert(
      fc.property(fc.array(arbitraryStep, { maxLength: 20 }), (steps) => {
        const { database } = open(outbound(WEB, DNS));
        const lists = [[WEB, DNS]];
        const owners = new Map<number, string>();
        for (const step of steps) {
          const list = lists.at(-1)!;
          const handles = rows(database).map(([handle]) => handle);
          const at = 'at' in step && list.length > 0 ? step.at % list.length : 0;
          const handle = handles[at]!;
          let next = [...list];
          if (step.kind === 'apply') {
            next = step.rules;
            database.apply(outbound(...step.rules), ME);
          } else if (step.kind === 'rollback') {
            const generation = step.at % lists.length;
            next = lists[generation]!;
            database.rollback(generation + 1, ME);
          } else if (list.length > 0) {
            if (step.kind === 'add') next.splice(at + 1, 0, step.rule);
            else if (step.kind === 'insert') next.splice(at, 0, step.rule);
            else if (step.kind === 'replace') next.splice(at, 1, step.rule);
            else next.splice(at, 1);
            if (step.kind === 'add') database.edit({ kind: 'add', rule: step.rule, after: handle }, ME);
            else if (step.kind === 'insert') database.edit({ kind: 'insert', rule: step.rule, before: handle }, ME);
            else if (step.kind === 'replace') database.edit({ kind: 'replace', handle, rule: step.rule }, ME);
            else database.edit({ kind: 'delete', handle }, ME);
          } else {
            continue;
          }
          lists.push(next);
          expect(rows(database).map(([, text]) => text)).toEqual(next);
          expect(database.current.number).toBe(lists.length);
          for (const [owned, text] of rows(database)) expect(owners.get(owned) ?? text).toBe(text);
          for (const [owned, text] of rows(database)) owners.set(owned, text);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('a database that goes on from an earlier one', () => {
  const parts = { prepare: (_: RuleSet, generation: number) => generation, nowMs: () => 5 };
  const entry = { generation: 7, atMs: 1, origin: ME, sources: outbound(WEB, REST), state: 'in-force' } as const;

  test('has its number, its history and its handles, where its text stays', () => {
    const restored = { history: [entry], lastNumber: 7, handles: [4, 2], nextHandle: 9, goesOn: true };
    const database = new RuleDatabase<number>(entry.sources, ME, parts, restored);
    expect([database.current.number, database.history, rows(database)]).toEqual([
      7,
      [entry],
      [
        [4, WEB],
        [2, REST],
      ],
    ]);
    database.edit({ kind: 'add', rule: DNS }, ME);
    expect([database.current.number, database.nextHandle]).toEqual([8, 10]);
    expect(rows(database)[1]).toEqual([9, DNS]);
  });

  test('begins with the next number where it does not; handles of other rules than these are of no use', () => {
    const restored = { history: [], lastNumber: 7, handles: [4, 2, 3], nextHandle: 2, goesOn: false };
    const database = new RuleDatabase<number>(outbound(WEB, REST), ME, parts, restored);
    expect(database.history).toMatchObject([{ generation: 8, state: 'in-force' }]);
    expect(rows(database).map(([handle]) => handle)).toEqual([1, 2]);
    expect(database.nextHandle).toBe(3);
  });
});

test('a change may override one that waits to be confirmed; what comes back is what was confirmed last', () => {
  const { database, clock } = open(outbound(WEB, REST));
  database.apply(outbound(DNS, REST), ME, { confirmWithinMs: 10 });
  database.apply(outbound(REST), ME, { confirmWithinMs: 10, overridesPending: true });
  expect(database.confirmedSources).toEqual(outbound(WEB, REST));
  clock.nowMs += 10;
  database.tick();
  expect(rows(database).map(([, text]) => text)).toEqual([WEB, REST]);
  expect(database.history.map(({ state }) => state)).toEqual(['replaced', 'reverted', 'reverted', 'in-force']);
  expect(database.confirmedSources).toBeNull();
});

test('the history keeps so much text, but always the last two generations', () => {
  const database = new RuleDatabase<number>(outbound(WEB, REST), ME, {
    prepare: (_, generation) => generation,
    nowMs: () => 0,
    historyCharacters: 350,
  });
  for (let i = 0; i < 5; i++) database.edit({ kind: 'add', rule: `udp dport ${i + 1} pass` }, ME);
  expect(database.history.map(({ generation }) => generation)).toEqual([5, 6]);
});

/** The pages for operators: that nothing in them is missing, and nothing speaks of what is not there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { REASON_NAMES } from '../../classifier/verdict.ts';
import { METHOD_ROLES, ROLES } from '../../gateway/host/roles.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (name: string) => readFileSync(`${ROOT}${name}`, 'utf8');
const TROUBLE = read('gateway/deploy/TROUBLESHOOTING.md');
const PAGES = [
  'SECURITY.md',
  'gateway/COMPARISON.md',
  ...readdirSync(`${ROOT}gateway/deploy`)
    .filter((name) => name.endsWith('.md'))
    .map((name) => `gateway/deploy/${name}`),
];

/** @returns first cells of the table's rows below the heading */
function firstCells(text: string, heading: string): string[] {
  const section = text.slice(text.indexOf(`\n${heading}\n`) + 1).split(/\n## /)[0]!;
  return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name!);
}

describe('troubleshooting', () => {
  test('has a line for every reason, and for no other', () => {
    const reasons = REASON_NAMES.filter((name) => name !== 'unjudged');
    expect(firstCells(TROUBLE, '## By reason').toSorted()).toEqual([...reasons, 'port-lost'].toSorted());
  });

  test('says what each means and what to look at', () => {
    const rows = TROUBLE.split('\n').filter((line) => line.startsWith('| `'));
    for (const row of rows) {
      for (const cell of row.split(' | ')) expect(cell.length, row).toBeGreaterThan(2);
    }
  });

  test('names messages that the program has', () => {
    const source = readdirSync(`${ROOT}gateway`, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => read(`gateway/${name}`))
      .join('\n');
    const messages = firstCells(TROUBLE, '## By what the program says');
    expect(messages.length).toBeGreaterThan(5);
    for (const message of messages) expect(source).toContain(message);
  });
});

describe('the threat model', () => {
  const text = read('SECURITY.md');

  test('speaks of every role, and of every promise', () => {
    for (const role of ROLES) expect(text).toContain(`\`${role}\``);
    const promises = [...text.matchAll(/^\| ([\d, ]+): /gm)].flatMap(([, numbers]) => numbers!.split(', ').map(Number));
    expect([...new Set(promises)].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 11 }, (_, i) => i + 1));
  });

  test('says that frames are seen by the owner and the role all alone, and it is so', () => {
    expect(METHOD_ROLES['capture.start']).toEqual(['all']);
    expect(METHOD_ROLES['trace.start']).toEqual(['all']);
    for (const method of ['checkpoint.commit', 'vm.failover'] as const)
      expect(METHOD_ROLES[method]).not.toContain('rules');
  });
});

test.each(PAGES)('every page that %s refers to is there', (page) => {
  const folder = page.includes('/') ? page.slice(0, page.lastIndexOf('/') + 1) : '';
  for (const [, target] of read(page).matchAll(/\]\(([^)#]+)\)/g)) {
    expect(existsSync(`${ROOT}${folder}${target}`), target).toBe(true);
  }
});

test('what the comparison cites of the benchmarks stands there', () => {
  const bench = read('test/bench/README.md');
  expect(bench).toContain('| delay of data while 100 ms epochs are held, p50 / p99 | 121 µs');
  expect(bench).toContain('`filter-buffer` at 10 ms | | 0.02 ');
  expect(read('gateway/COMPARISON.md')).toContain('took 121 µs (p50), 0.02 of');
});

test('npm publishes these pages, and installs the manual page', () => {
  const { files, man } = JSON.parse(read('package.json')) as { files: string[]; man: unknown };
  // npm 11 passes over a name that is in no list.
  expect(man).toEqual(['dist/holdfast.1']);
  for (const entry of ['SECURITY.md', 'gateway/**/*.md', 'gateway/deploy']) expect(files).toContain(entry);
});

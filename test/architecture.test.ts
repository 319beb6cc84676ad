import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Which folders' modules, and which of Node's, a folder may import. */
const ALLOWED = {
  rules: { folders: ['rules'], node: ['node:fs', 'node:url', 'node:stream'] },
  classifier: { folders: ['classifier', 'rules'], node: [] },
  pcaps: { folders: ['pcaps'], node: 'any' },
  gateway: { folders: ['gateway', 'classifier', 'rules', 'pcaps'], node: 'any' },
} as const;

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name));
}

function imports(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!);
}

describe.each(Object.entries(ALLOWED))('%s', (folder, { folders, node }) => {
  const files = sources(folder);

  it('has source files', () => {
    expect(files.length).toBeGreaterThan(0);
  });

  it.each(files)('%s imports only what the folder may', (file) => {
    for (const name of imports(file)) {
      if (name.startsWith('.')) {
        const target = relative(ROOT, join(ROOT, file, '..', name)).split('/')[0];
        expect(folders, `${file} imports ${name}`).toContain(target);
        expect(name, `${file} imports ${name} without its ending`).toMatch(/\.ts$/);
      } else if (node !== 'any') {
        expect(node, `${file} imports ${name}`).toContain(name);
      }
    }
  });
});

describe('every module', () => {
  const files = Object.keys(ALLOWED).flatMap(sources);

  it.each(files)('%s takes time and randomness from its caller', (file) => {
    const text = readFileSync(join(ROOT, file), 'utf8');
    expect(text).not.toMatch(/\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(/);
  });
});

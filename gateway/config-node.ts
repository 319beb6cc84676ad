import { type Alias, type Document, isAlias, isMap, isScalar, isSeq, type LineCounter, type Node, visit } from 'yaml';
import { quote } from '../rules/errors.ts';
import type { ConfigPlace, ConfigProblems } from './config-problem.ts';

/** One value of a configuration, wherever it was written: what it says, and where. */
export interface ConfigText {
  readonly text: string;
  readonly place: ConfigPlace;
}

/** What the nodes of one file have in common. */
export interface ConfigFile {
  readonly file: string;
  /** Relative paths are relative to it. */
  readonly folder: string;
  readonly document: Document;
  readonly lines: LineCounter;
  readonly problems: ConfigProblems;
}

/** A value in a YAML file that knows its place; what it is not is reported when it is asked for. */
export class ConfigNode {
  /** `buffer.frames`, as people find it. */
  readonly name: string;
  readonly place: ConfigPlace;
  readonly #node: Node | null;
  readonly #file: ConfigFile;

  /** @param keyPlace where its key stands, for a value that is not there; null: the value's own place */
  constructor(file: ConfigFile, node: Node | null, name: string, keyPlace: ConfigPlace | null) {
    this.#file = file;
    this.#node = node !== null && isAlias(node) ? (targetOf(file, node) ?? node) : node;
    this.name = name;
    // What an alias stands for is right or wrong where that is written.
    this.place = keyPlace === null || !isEmpty(this.#node) ? placeOf(file, this.#node) : keyPlace;
  }

  get isList(): boolean {
    return isSeq(this.#node);
  }

  /** The file's folder: a path that is written here is relative to it. */
  get folder(): string {
    return this.#file.folder;
  }

  /**
   * @param keys those that there may be
   * @returns the values that are there, by key; null, with a report, if this is no mapping
   */
  fields<const K extends string>(keys: readonly K[]): Partial<Record<K, ConfigNode>> | null {
    const entries = this.entries(`a mapping with ${either(keys)}`);
    if (entries === null) return null;
    const fields: Partial<Record<K, ConfigNode>> = {};
    for (const [name, { place, value }] of entries) {
      const key = keys.find((one) => one === name);
      if (key !== undefined) {
        fields[key] = value;
        continue;
      }
      const near = { word: name, among: keys };
      const expected = either(keys);
      this.#file.problems.add('unknown-key', place, `there is no key ${quote(name)} here`, { expected, near });
    }
    return fields;
  }

  /** @returns every key with its place and value; null, with a report, if this is no mapping */
  entries(expected: string): Map<string, { place: ConfigPlace; value: ConfigNode }> | null {
    if (!isMap(this.#node)) {
      this.#refuse(expected);
      return null;
    }
    const entries = new Map<string, { place: ConfigPlace; value: ConfigNode }>();
    for (const { key, value } of this.#node.items) {
      const place = placeOf(this.#file, key as Node);
      const name = textOf(key as Node);
      if (name === null) {
        this.#file.problems.add('bad-value', place, 'this is no key', { expected: 'a word' });
        continue;
      }
      const before = entries.get(name);
      if (before !== undefined) {
        const where = 'line' in before.place ? ` on line ${before.place.line}` : '';
        this.#file.problems.add('duplicate-key', place, `${quote(name)} is there already${where}`);
        continue;
      }
      const path = this.name === '' ? name : `${this.name}.${name}`;
      entries.set(name, { place, value: new ConfigNode(this.#file, value as Node | null, path, place) });
    }
    return entries;
  }

  /** @returns the list's values; null, with a report, if this is no list */
  items(expected: string): ConfigNode[] | null {
    if (!isSeq(this.#node)) {
      this.#refuse(expected);
      return null;
    }
    return this.#node.items.map((item, i) => new ConfigNode(this.#file, item as Node, `${this.name}[${i + 1}]`, null));
  }

  /** @returns what is written here, whatever YAML takes it for; null, with a report, if this is no single value */
  text(expected: string): ConfigText | null {
    const text = textOf(this.#node);
    if (text !== null) return { text, place: this.place };
    this.#refuse(expected);
    return null;
  }

  #refuse(expected: string): void {
    const text = textOf(this.#node);
    const what = isMap(this.#node) ? 'mapping' : isSeq(this.#node) ? 'list' : text === null ? null : quote(text);
    const name = this.name === '' ? 'the file' : quote(this.name);
    let message = what === null ? `${name} is empty` : `unexpected ${what}`;
    if (isAlias(this.#node)) message = `${quote(`*${this.#node.source}`)} stands for nothing before it`;
    this.#file.problems.add('bad-value', this.place, message, { expected });
  }
}

/** @returns the words as a choice: `a, b or c` */
export function either(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)!}`;
}

function isEmpty(node: Node | null): boolean {
  return node === null || (isScalar(node) && textOf(node) === null);
}

/** A device may be called `1e3` or `true`: what stands there counts. @returns null for what is no scalar, or empty */
function textOf(node: Node | null): string | null {
  if (!isScalar(node) || node.value === null) return null;
  const text = typeof node.value === 'string' ? node.value : (node.source ?? '');
  return text === '' ? null : text;
}

function placeOf({ file, lines }: ConfigFile, node: Node | null): ConfigPlace {
  const { line, col } = lines.linePos(node?.range?.[0] ?? 0);
  return { file, line: Math.max(1, line), column: Math.max(1, col) };
}

/** Where each document's aliases lead. */
const targets = new WeakMap<Document, ReadonlyMap<Alias, Node>>();

/** @returns the node that an alias stands for, null if there is none before it */
function targetOf({ document }: ConfigFile, alias: Alias): Node | null {
  let found = targets.get(document);
  if (found === undefined) {
    found = findTargets(document);
    targets.set(document, found);
  }
  return found.get(alias) ?? null;
}

function findTargets(document: Document): ReadonlyMap<Alias, Node> {
  const anchors = new Map<string, Node>();
  const found = new Map<Alias, Node>();
  visit(document, {
    Node(_, node) {
      if (isAlias(node)) {
        const target = anchors.get(node.source);
        if (target !== undefined) found.set(node, target);
      } else if (node.anchor !== undefined) anchors.set(node.anchor, node as Node);
    },
  });
  return found;
}

import { ANSWER, type Answer } from './apps/recogniser.ts';
import { Conditions } from './conditions.ts';
import { WORD } from './field.ts';
import { RARELY_USED, readRareWords, USES_APPS } from './key.ts';
import type { LiveState } from './live-state.ts';
import { L3, L4, type Parsed } from './parsed.ts';
import { HEADER } from './program.ts';

/** Results of `classify` that are not a rule. */
export const NO_MATCH = -1;
/** The first rule that is not false asks for more than an unknown EtherType lets one know. */
export const UNKNOWN_ETHERTYPE = -2;
/**
 * The first rule that is not false asks for bytes, or an application's evidence, that were not captured, or for one message
 * type of a frame with several.
 */
export const UNDECIDED = -3;

export interface Matcher {
  /**
   * Which rule decides about a frame: the first that is not false; if that one is unknown, there is no answer.
   * Allocates nothing.
   * @param p a frame in which `parse` found no problem, and no later fragment
   * @param slab the memory that holds it
   * @returns an index into the rules, or a negative code of above
   */
  classify(p: Parsed, slab: DataView): number;
}

/**
 * Frames of one kind have the same fields, so rules are sorted by kind when they are compiled, and no field is ever
 * asked of a frame that lacks it.
 */
export function kindOf(l3: number, l4: number, isTagged: number): number {
  return (l3 * L4_KINDS + l4) * 2 + isTagged;
}
export const L4_KINDS = L4.igmp + 1;
export const KINDS = (L3.arp + 1) * L4_KINDS * 2;

/** Above every rule offset: no rule. */
export const NONE = 0x7fffffff;

/** A node of the tree, in numbers from its offset in `nodes`; see tree.ts. */
export const NODE = { word: 0, low: 1, span: 2, shift: 3, children: 4, rest: 5, firstRule: 6, size: 8 } as const;
/** Node references: an offset into `nodes` if ≥ 0, else `~` an offset into `leaves`. The empty leaf stands first. */
export const EMPTY_LEAF = ~0;
/** No more nodes than this lie between the root and a leaf, so no more `rest` nodes ever wait. */
export const MAX_DEPTH = 48;

/** What `compileRules` makes; the layout of `code` and `lists` is in program.ts. */
export interface CompiledRules {
  readonly code: Int32Array;
  readonly lists: Int32Array;
  readonly nodes: Int32Array;
  readonly children: Int32Array;
  /** Rule offsets in rising order, each leaf ended by NONE. */
  readonly leaves: Int32Array;
  /** By kind: the tree's root. */
  readonly roots: Int32Array;
  /** By kind: the first rule without a condition for this kind, or NONE. Rules after it are in no tree. */
  readonly fallbacks: Int32Array;
  /** By kind: bit n is set if a rule of the kind compares word n (see field.ts), and USES_APPS if one names an app. */
  readonly used: Int32Array;
  /** Names of the dynamic sets, and of the classes or none, that `code` gives numbers to. */
  readonly sets: readonly string[];
  readonly classes: readonly (string | null)[];
}

/** Walks the tree of the frame's kind to a few candidate rules and compares those in full. */
export class CompiledMatcher implements Matcher {
  readonly #rules: CompiledRules;
  readonly #code: Int32Array;
  readonly #nodes: Int32Array;
  readonly #children: Int32Array;
  readonly #leaves: Int32Array;
  readonly #waiting = new Int32Array(MAX_DEPTH);
  readonly #conditions: Conditions;

  /** @param live must have the dynamic sets that the rules name */
  constructor(rules: CompiledRules, live: LiveState) {
    this.#rules = rules;
    this.#code = rules.code;
    this.#nodes = rules.nodes;
    this.#children = rules.children;
    this.#leaves = rules.leaves;
    this.#conditions = new Conditions(rules, live);
  }

  /** Bytes of the tables. */
  get sizeBytes(): number {
    const tables = Object.values(this.#rules).filter((table) => table instanceof Int32Array);
    return tables.reduce((sum, table) => sum + table.byteLength, 0);
  }

  classify(p: Parsed, slab: DataView): number {
    const rules = this.#rules;
    const kind = kindOf(p.l3, p.l4, p.vlanCount > 0 ? 1 : 0);
    const isReadable = p.l3 !== L3.unknown;
    const code = this.#code;
    const nodes = this.#nodes;
    const leaves = this.#leaves;
    const waiting = this.#waiting;
    const conditions = this.#conditions;
    const key = conditions.key;
    let best = rules.fallbacks[kind]!;
    let answer: Answer = ANSWER.yes;
    let node = rules.roots[kind]!;
    // The usual words, read right here: a call would cost as much as the reading.
    key[WORD.etherType] = p.etherType;
    key[WORD.src0] = p.src0;
    key[WORD.dst0] = p.dst0;
    key[WORD.proto] = p.proto;
    key[WORD.srcPort] = p.srcPort;
    key[WORD.dstPort] = p.dstPort;
    const used = rules.used[kind]!;
    if ((used & RARELY_USED) !== 0) {
      readRareWords(key, p, slab, used);
      if ((used & USES_APPS) !== 0) conditions.forgetApps();
    }
    let depth = 0;
    for (;;) {
      while (node >= 0) {
        const rest = nodes[node + NODE.rest]!;
        if (rest !== EMPTY_LEAF) waiting[depth++] = rest;
        const distance = (key[nodes[node]!]! - nodes[node + NODE.low]!) >>> 0;
        if (distance > nodes[node + NODE.span]! >>> 0) node = EMPTY_LEAF;
        else node = this.#children[nodes[node + NODE.children]! + (distance >>> nodes[node + NODE.shift]!)]!;
      }
      for (let at = ~node; ; at++) {
        const rule = leaves[at]!;
        // Offsets rise, and NONE is above all: a rule that stands behind the best so far ends the leaf.
        if (rule >= best) break;
        let one: Answer = ANSWER.no;
        if (!isReadable) one = conditions.answerOfLayer2(rule, p, slab);
        else if (conditions.rangesHold(rule)) {
          const hasOthers = code[rule + HEADER.rangesEnd] !== code[rule + HEADER.end];
          one = hasOthers ? conditions.answerOfOthers(rule, p, slab) : ANSWER.yes;
        }
        if (one !== ANSWER.no) {
          best = rule;
          answer = one;
          break;
        }
      }
      do {
        if (depth === 0) return this.#resultOf(best, answer, isReadable);
        node = waiting[--depth]!;
      } while (node >= 0 && nodes[node + NODE.firstRule]! >= best);
    }
  }

  #resultOf(rule: number, answer: Answer, isReadable: boolean): number {
    if (rule === NONE) return NO_MATCH;
    if (!isReadable && this.#code[rule + HEADER.hasUpper] === 1) return UNKNOWN_ETHERTYPE;
    return answer === ANSWER.unknown ? UNDECIDED : this.#code[rule]!;
  }
}

import { APPS } from '../rules/rule.ts';
import { RECOGNISERS } from './apps/index.ts';
import { ANSWER, type Answer } from './apps/recogniser.ts';
import { WORD, WORD_COUNT } from './field.ts';
import { L3, L4, type Parsed } from './parsed.ts';
import { HEADER, OP, STRIDE, TOP_BIT } from './program.ts';

/** Results of `classify` that are not a rule. */
export const NO_MATCH = -1;
/** The first rule that is not false asks for more than an unknown EtherType lets one know. */
export const UNKNOWN_ETHERTYPE = -2;
/** The first rule that is not false asks for an application whose evidence was not captured. */
export const UNKNOWN_TRUNCATED = -3;

export interface Matcher {
  /**
   * Which rule decides about a frame: the first that is not false; if that one is unknown, there is no answer.
   * Allocates nothing.
   * @param p a frame in which `parse` found no problem, and no later fragment
   * @param slab the memory that holds it; only application recognisers read it
   * @returns an index into the rule set's `outbound`, or a negative code of above
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

/** What `compileMatcher` makes; the layout of `code` and `lists` is in program.ts. */
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
  readonly usesMacs: boolean;
  readonly usesApps: boolean;
}

/** Walks the tree of the frame's kind to a few candidate rules and compares those in full. */
export class CompiledMatcher implements Matcher {
  readonly #rules: CompiledRules;
  readonly #code: Int32Array;
  readonly #nodes: Int32Array;
  readonly #children: Int32Array;
  readonly #leaves: Int32Array;
  readonly #key = new Int32Array(WORD_COUNT);
  readonly #waiting = new Int32Array(MAX_DEPTH);
  readonly #recognisers = APPS.map((app) => RECOGNISERS[app]);
  /** By application: what its recogniser said about the present frame, or NOT_ASKED. */
  readonly #appAnswers = new Int8Array(APPS.length);

  constructor(rules: CompiledRules) {
    this.#rules = rules;
    this.#code = rules.code;
    this.#nodes = rules.nodes;
    this.#children = rules.children;
    this.#leaves = rules.leaves;
  }

  /** Bytes of the tables. */
  get sizeBytes(): number {
    const { code, lists, nodes, children, leaves, roots, fallbacks } = this.#rules;
    return [code, lists, nodes, children, leaves, roots, fallbacks].reduce((sum, table) => sum + table.byteLength, 0);
  }

  classify(p: Parsed, slab: DataView): number {
    const rules = this.#rules;
    const kind = kindOf(p.l3, p.l4, p.vlanCount > 0 ? 1 : 0);
    const isReadable = p.l3 !== L3.unknown;
    const nodes = this.#nodes;
    const leaves = this.#leaves;
    const waiting = this.#waiting;
    const key = this.#key;
    let best = rules.fallbacks[kind]!;
    let answer: Answer = ANSWER.yes;
    let node = rules.roots[kind]!;
    if (node !== EMPTY_LEAF) {
      this.#readKey(p);
      let depth = 0;
      for (;;) {
        if (node < 0) {
          for (let at = ~node; ; at++) {
            const rule = leaves[at]!;
            // Offsets rise, and NONE is above all: a rule that decides later than the best so far ends the leaf.
            if (rule >= best) break;
            const one = this.#answerOf(rule, isReadable, p, slab);
            if (one !== ANSWER.no) {
              best = rule;
              answer = one;
              break;
            }
          }
        } else if (nodes[node + NODE.firstRule]! < best) {
          const rest = nodes[node + NODE.rest]!;
          if (rest !== EMPTY_LEAF) waiting[depth++] = rest;
          const distance = (key[nodes[node]!]! - nodes[node + NODE.low]!) >>> 0;
          if (distance <= nodes[node + NODE.span]! >>> 0) {
            node = this.#children[nodes[node + NODE.children]! + (distance >>> nodes[node + NODE.shift]!)]!;
            continue;
          }
        }
        if (depth === 0) break;
        node = waiting[--depth]!;
      }
    }
    if (best === NONE) return NO_MATCH;
    if (!isReadable && this.#code[best + HEADER.hasUpper] === 1) return UNKNOWN_ETHERTYPE;
    return answer === ANSWER.unknown ? UNKNOWN_TRUNCATED : this.#code[best]!;
  }

  /** Only words that the frame's kind has are ever compared, so what the others hold from an earlier frame is no matter. */
  #readKey(p: Parsed): void {
    const key = this.#key;
    key[WORD.etherType] = p.etherType;
    if (this.#rules.usesMacs) {
      key[WORD.dstMacHigh] = p.dstMacHigh;
      key[WORD.dstMacLow] = p.dstMacLow;
      key[WORD.srcMacHigh] = p.srcMacHigh;
      key[WORD.srcMacLow] = p.srcMacLow;
    }
    if (p.vlanCount > 0) {
      const tci = p.vlanTci[0]!;
      key[WORD.vlanId] = tci & 0xfff;
      key[WORD.vlanPcp] = tci >> 13;
    }
    if (p.l3 === L3.ip6) {
      key[WORD.src1] = p.src1;
      key[WORD.src2] = p.src2;
      key[WORD.src3] = p.src3;
      key[WORD.dst1] = p.dst1;
      key[WORD.dst2] = p.dst2;
      key[WORD.dst3] = p.dst3;
      key[WORD.nextHeader] = p.nextHeader;
    }
    key[WORD.src0] = p.src0;
    key[WORD.dst0] = p.dst0;
    key[WORD.proto] = p.proto;
    key[WORD.arpOperation] = p.arpOperation;
    key[WORD.srcPort] = p.srcPort;
    key[WORD.dstPort] = p.dstPort;
    key[WORD.tcpFlags] = p.tcpFlags & 0xff;
    key[WORD.udpLength] = p.udpLength;
    key[WORD.icmpType] = p.icmpType;
    key[WORD.icmpCode] = p.icmpCode;
    if (this.#rules.usesApps) this.#appAnswers.fill(NOT_ASKED);
  }

  #answerOf(rule: number, isReadable: boolean, p: Parsed, slab: DataView): Answer {
    const code = this.#code;
    const key = this.#key;
    const end = code[rule + (isReadable ? HEADER.end : HEADER.layer2End)]!;
    let answer: Answer = ANSWER.yes;
    for (let at = rule + STRIDE; at < end; at += STRIDE) {
      const head = code[at]!;
      const op = head & 3;
      if (op === OP.range) {
        const distance = ((key[head >> 2]! & code[at + 1]!) - code[at + 2]!) >>> 0;
        if (distance > code[at + 3]! >>> 0) return ANSWER.no;
      } else if (op === OP.list) {
        if (!this.#isInList((key[head >> 2]! & code[at + 1]!) ^ TOP_BIT, code[at + 2]!, code[at + 3]!))
          return ANSWER.no;
      } else if (op === OP.wideList) {
        if (!this.#isInWideList(head >> 2, code[at + 1]!, code[at + 2]!, code[at + 3]!)) return ANSWER.no;
      } else {
        const one = this.#answerOfApp(head >> 2, p, slab);
        if (one === ANSWER.unknown) answer = ANSWER.unknown;
        else if (one === code[at + 1]) return ANSWER.no;
      }
    }
    return answer;
  }

  #answerOfApp(app: number, p: Parsed, slab: DataView): Answer {
    let answer = this.#appAnswers[app]!;
    if (answer === NOT_ASKED) {
      answer = this.#recognisers[app]!(p, slab);
      this.#appAnswers[app] = answer;
    }
    return answer as Answer;
  }

  /** Binary search for the last interval that does not begin above `value` (top bit flipped). */
  #isInList(value: number, offset: number, count: number): boolean {
    const lists = this.#rules.lists;
    let from = 0;
    let to = count;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (lists[offset + middle * 2]! <= value) from = middle + 1;
      else to = middle;
    }
    return from > 0 && value <= lists[offset + from * 2 - 1]!;
  }

  #isInWideList(word: number, words: number, offset: number, count: number): boolean {
    const intervals = offset + words;
    let from = 0;
    let to = count;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#compareWide(word, words, offset, intervals + middle * 2 * words) >= 0) from = middle + 1;
      else to = middle;
    }
    return from > 0 && this.#compareWide(word, words, offset, intervals + (from * 2 - 1) * words) <= 0;
  }

  /** Compares masked words of the frame with an interval's end, most significant first. */
  #compareWide(word: number, words: number, mask: number, end: number): number {
    const lists = this.#rules.lists;
    for (let i = 0; i < words; i++) {
      const value = (this.#key[word + i]! & lists[mask + i]!) ^ TOP_BIT;
      const other = lists[end + i]!;
      if (value !== other) return value < other ? -1 : 1;
    }
    return 0;
  }
}

const NOT_ASKED = 2;

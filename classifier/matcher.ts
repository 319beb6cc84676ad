import { APPS } from '../rules/rule.ts';
import { RECOGNISERS } from './apps/index.ts';
import { ANSWER, type Answer } from './apps/recogniser.ts';
import { WORD, WORD_COUNT } from './field.ts';
import { L3, L4, type Parsed } from './parsed.ts';
import { HEADER, OP, STRIDE, SUBJECT, TOP_BIT, UPPER } from './program.ts';

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

const NOT_ASKED = 2;
const MAC_WORDS = bitsOf(WORD.dstMacHigh, WORD.srcMacLow);
const VLAN_WORDS = bitsOf(WORD.vlanId, WORD.vlanPcp);
const IP6_WORDS =
  bitsOf(WORD.src1, WORD.src3) | bitsOf(WORD.dst1, WORD.dst3) | bitsOf(WORD.nextHeader, WORD.nextHeader);
const OTHER_WORDS = bitsOf(WORD.arpOperation, WORD.arpOperation) | bitsOf(WORD.tcpFlags, WORD.icmpCode);
/** The bit of `used` that no word has. */
export const USES_APPS = 1 << WORD_COUNT;
const RARELY_USED = MAC_WORDS | VLAN_WORDS | IP6_WORDS | OTHER_WORDS | USES_APPS;

/** The bits of the words from `first` to `last`. */
function bitsOf(first: number, last: number): number {
  return (2 ** (last + 1) - 2 ** first) | 0;
}

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
  /** By kind: bit n is set if a rule of the kind compares word n (see field.ts), and USES_APPS if one names an app. */
  readonly used: Int32Array;
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
    const code = this.#code;
    const nodes = this.#nodes;
    const leaves = this.#leaves;
    const waiting = this.#waiting;
    const key = this.#key;
    let best = rules.fallbacks[kind]!;
    let answer: Answer = ANSWER.yes;
    let node = rules.roots[kind]!;
    if (node !== EMPTY_LEAF) {
      // The usual words, read right here: a call would cost as much as the reading.
      key[WORD.etherType] = p.etherType;
      key[WORD.src0] = p.src0;
      key[WORD.dst0] = p.dst0;
      key[WORD.proto] = p.proto;
      key[WORD.srcPort] = p.srcPort;
      key[WORD.dstPort] = p.dstPort;
      const used = rules.used[kind]!;
      if ((used & RARELY_USED) !== 0) this.#readRareWords(p, used);
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
          if (!isReadable) one = this.#answerOfLayer2(rule);
          else if (rangesHold(code, key, rule)) {
            const hasOthers = code[rule + HEADER.rangesEnd] !== code[rule + HEADER.end];
            one = hasOthers ? this.#answerOfOthers(rule, p, slab) : ANSWER.yes;
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
    return this.#resultOf(best, answer, isReadable);
  }

  #resultOf(rule: number, answer: Answer, isReadable: boolean): number {
    if (rule === NONE) return NO_MATCH;
    if (!isReadable && this.#code[rule + HEADER.hasUpper] === 1) return UNKNOWN_ETHERTYPE;
    return answer === ANSWER.unknown ? UNKNOWN_TRUNCATED : this.#code[rule]!;
  }

  /** Of the words that few rule sets compare, those that this kind's rules do; what the others hold is no matter. */
  #readRareWords(p: Parsed, used: number): void {
    const key = this.#key;
    if ((used & MAC_WORDS) !== 0) {
      key[WORD.dstMacHigh] = p.dstMacHigh;
      key[WORD.dstMacLow] = p.dstMacLow;
      key[WORD.srcMacHigh] = p.srcMacHigh;
      key[WORD.srcMacLow] = p.srcMacLow;
    }
    if ((used & VLAN_WORDS) !== 0) {
      const tci = p.vlanTci[0]!;
      key[WORD.vlanId] = tci & 0xfff;
      key[WORD.vlanPcp] = (tci >> 13) & 7;
    }
    if ((used & IP6_WORDS) !== 0) {
      key[WORD.src1] = p.src1;
      key[WORD.src2] = p.src2;
      key[WORD.src3] = p.src3;
      key[WORD.dst1] = p.dst1;
      key[WORD.dst2] = p.dst2;
      key[WORD.dst3] = p.dst3;
      key[WORD.nextHeader] = p.nextHeader;
    }
    if ((used & OTHER_WORDS) !== 0) {
      key[WORD.arpOperation] = p.arpOperation;
      key[WORD.tcpFlags] = p.tcpFlags & 0xff;
      key[WORD.udpLength] = p.udpLength;
      key[WORD.icmpType] = p.icmpType;
      key[WORD.icmpCode] = p.icmpCode;
    }
    if ((used & USES_APPS) !== 0) for (let app = 0; app < APPS.length; app++) this.#appAnswers[app] = NOT_ASKED;
  }

  /** The rule's conditions that are not ranges. */
  #answerOfOthers(rule: number, p: Parsed, slab: DataView): Answer {
    const code = this.#code;
    const end = code[rule + HEADER.end]!;
    let answer: Answer = ANSWER.yes;
    for (let at = code[rule + HEADER.rangesEnd]!; at < end; at += STRIDE) {
      const head = code[at]!;
      if ((head & OP.bits) === OP.list) {
        if (!this.#isInList(head & SUBJECT, code[at + 1]!, code[at + 2]!)) return ANSWER.no;
      } else {
        const one = this.#answerOfApp(head & SUBJECT, p, slab);
        if (one === ANSWER.unknown) answer = ANSWER.unknown;
        else if (one === code[at + 1]) return ANSWER.no;
      }
    }
    return answer;
  }

  /** Of a frame whose EtherType is unknown: `yes` if all layer 2 conditions are true. */
  #answerOfLayer2(rule: number): Answer {
    const code = this.#code;
    const end = code[rule + HEADER.end]!;
    for (let at = rule + HEADER.size; at < end; at += STRIDE) {
      const head = code[at]!;
      if ((head & UPPER) !== 0) continue;
      if ((head & OP.bits) === OP.range) {
        if ((this.#key[head & SUBJECT]! - code[at + 1]!) >>> 0 > code[at + 2]! >>> 0) return ANSWER.no;
      } else if (!this.#isInList(head & SUBJECT, code[at + 1]!, code[at + 2]!)) return ANSWER.no;
    }
    return ANSWER.yes;
  }

  #answerOfApp(app: number, p: Parsed, slab: DataView): Answer {
    let answer = this.#appAnswers[app]!;
    if (answer === NOT_ASKED) {
      answer = this.#recognisers[app]!(p, slab);
      this.#appAnswers[app] = answer;
    }
    return answer as Answer;
  }

  /** Binary search for the last interval that does not begin above the frame's value. */
  #isInList(word: number, offset: number, count: number): boolean {
    const lists = this.#rules.lists;
    const words = lists[offset]!;
    const mask = offset + 1;
    const intervals = mask + words;
    let from = 0;
    let to = count;
    if (words === 1) {
      const value = (this.#key[word]! & lists[mask]!) ^ TOP_BIT;
      while (from < to) {
        const middle = (from + to) >> 1;
        if (lists[intervals + middle * 2]! <= value) from = middle + 1;
        else to = middle;
      }
      return from > 0 && value <= lists[intervals + from * 2 - 1]!;
    }
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#compare(word, words, mask, intervals + middle * 2 * words) >= 0) from = middle + 1;
      else to = middle;
    }
    return from > 0 && this.#compare(word, words, mask, intervals + (from * 2 - 1) * words) <= 0;
  }

  /** Compares masked words of the frame with an interval's end, most significant first. */
  #compare(word: number, words: number, mask: number, end: number): number {
    const lists = this.#rules.lists;
    for (let i = 0; i < words; i++) {
      const value = (this.#key[word + i]! & lists[mask + i]!) ^ TOP_BIT;
      const other = lists[end + i]!;
      if (value !== other) return value < other ? -1 : 1;
    }
    return 0;
  }
}

/** Are all conditions true that compare one word with one interval? */
function rangesHold(code: Int32Array, key: Int32Array, rule: number): boolean {
  const end = code[rule + HEADER.rangesEnd]!;
  for (let at = rule + HEADER.size; at < end; at += STRIDE) {
    const distance = (key[code[at]! & SUBJECT]! - code[at + 1]!) >>> 0;
    if (distance > code[at + 2]! >>> 0) return false;
  }
  return true;
}

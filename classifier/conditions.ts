import { MIXED } from '../rules/apps.ts';
import { APPS } from '../rules/rule.ts';
import { RECOGNISERS, recognise } from './apps/index.ts';
import { ANSWER, type Answer } from './apps/recogniser.ts';
import type { DynamicSet } from './dynamic-set.ts';
import { WORD, WORD_COUNT } from './field.ts';
import { CHUNK } from './key.ts';
import type { LiveState } from './live-state.ts';
import type { CompiledRules } from './matcher.ts';
import type { Parsed } from './parsed.ts';
import { HEADER, OP, STRIDE, SUBJECT, TOP_BIT, UPPER } from './program.ts';
import { rawPresence, rawStart, readBits } from './raw.ts';

/** A frame with messages of several types, and its bit among an `app` match's types. */
const MIXED_BIT = 1 << MIXED;
/** An application's answer about the present frame is not known yet. */
const NOT_ASKED = -2;
/** Words of the widest value: an IPv6 address, or MAX_RAW_BITS. */
const VALUE_WORDS = 4;

/** Asks the conditions of rules that a tree has led to; program.ts says how they are written. HOT: allocates nothing. */
export class Conditions {
  /** The frame's words, which the matcher fills in. */
  readonly key = new Int32Array(WORD_COUNT);
  readonly #code: Int32Array;
  readonly #lists: Int32Array;
  readonly #live: LiveState;
  readonly #sets: readonly DynamicSet[];
  readonly #classes: readonly (string | null)[];
  readonly #setKey: Int32Array;
  /** Masked words of one value, top bits flipped. */
  readonly #value = new Int32Array(VALUE_WORDS);
  readonly #recognisers = APPS.map((app) => RECOGNISERS[app]);
  /** By application: what its recogniser said about the present frame, or NOT_ASKED. */
  readonly #appAnswers = new Int8Array(APPS.length);

  constructor({ code, lists, sets, classes }: CompiledRules, live: LiveState) {
    this.#code = code;
    this.#lists = lists;
    this.#live = live;
    this.#sets = sets.map((name) => dynamicSet(live, name));
    this.#classes = classes;
    this.#setKey = new Int32Array(Math.max(0, ...this.#sets.map((set) => set.keyWords)));
  }

  /** Another frame comes: what applications said about the last one is forgotten. */
  forgetApps(): void {
    for (let app = 0; app < APPS.length; app++) this.#appAnswers[app] = NOT_ASKED;
  }

  /** Are all conditions true that compare one word with one interval? */
  rangesHold(rule: number): boolean {
    const code = this.#code;
    const key = this.key;
    const end = code[rule + HEADER.rangesEnd]!;
    for (let at = rule + HEADER.size; at < end; at += STRIDE) {
      const distance = (key[code[at]! & SUBJECT]! - code[at + 1]!) >>> 0;
      if (distance > code[at + 2]! >>> 0) return false;
    }
    return true;
  }

  /** The conditions that are not ranges, of a frame whose network header was read. */
  answerOfOthers(rule: number, p: Parsed, slab: DataView): Answer {
    const code = this.#code;
    const end = code[rule + HEADER.end]!;
    let answer: Answer = ANSWER.yes;
    for (let at = code[rule + HEADER.rangesEnd]!; at < end; at += STRIDE) {
      const one = this.#answerOf(at, p, slab, true);
      if (one === ANSWER.no) return ANSWER.no;
      if (one === ANSWER.unknown) answer = ANSWER.unknown;
    }
    return answer;
  }

  /** All conditions that can be asked of a frame whose EtherType is unknown; the others do not count. */
  answerOfLayer2(rule: number, p: Parsed, slab: DataView): Answer {
    const code = this.#code;
    const rangesEnd = code[rule + HEADER.rangesEnd]!;
    for (let at = rule + HEADER.size; at < rangesEnd; at += STRIDE) {
      const head = code[at]!;
      if ((head & UPPER) !== 0) continue;
      if ((this.key[head & SUBJECT]! - code[at + 1]!) >>> 0 > code[at + 2]! >>> 0) return ANSWER.no;
    }
    const end = code[rule + HEADER.end]!;
    let answer: Answer = ANSWER.yes;
    for (let at = rangesEnd; at < end; at += STRIDE) {
      if ((code[at]! & UPPER) !== 0) continue;
      const one = this.#answerOf(at, p, slab, false);
      if (one === ANSWER.no) return ANSWER.no;
      if (one === ANSWER.unknown) answer = ANSWER.unknown;
    }
    return answer;
  }

  #answerOf(at: number, p: Parsed, slab: DataView, isReadable: boolean): Answer {
    const head = this.#code[at]!;
    const second = this.#code[at + 1]!;
    const third = this.#code[at + 2]!;
    switch (head & OP.bits) {
      case OP.list:
        return this.#isInList(head & SUBJECT, second, third) ? ANSWER.yes : ANSWER.no;
      case OP.app:
        return this.#answerOfApp(head & SUBJECT, second === 1, third, p, slab);
      case OP.chunk: {
        const chunk = this.key[WORD.sctpChunk]!;
        if (chunk < 0) return answerOfNoChunk(chunk);
        return this.#isInList(WORD.sctpChunk, second, third) ? ANSWER.yes : ANSWER.no;
      }
      case OP.raw:
        return this.#answerOfRaw(head & SUBJECT, second, third, p, slab);
      case OP.tuples:
        return this.#answerOfTuples(second, third, isReadable);
      case OP.set:
        return this.#answerOfSet(second, third === 1);
      default:
        return this.#live.declared.has(p, this.#classes[second]!, this.#live.now) ? ANSWER.yes : ANSWER.no;
    }
  }

  #answerOfApp(app: number, negated: boolean, types: number, p: Parsed, slab: DataView): Answer {
    let type: number = this.#appAnswers[app]!;
    if (type === NOT_ASKED) {
      type = recognise(this.#recognisers[app]!, p, slab);
      this.#appAnswers[app] = type;
    }
    if (type < ANSWER.no) return ANSWER.unknown;
    if (types === 0) return type > ANSWER.no !== negated ? ANSWER.yes : ANSWER.no;
    // A rule that does not speak of several messages says nothing certain about them.
    if (type === MIXED && (types & MIXED_BIT) === 0) return ANSWER.unknown;
    return type > ANSWER.no && ((types >>> type) & 1) === (negated ? 0 : 1) ? ANSWER.yes : ANSWER.no;
  }

  #answerOfRaw(base: number, offset: number, count: number, p: Parsed, slab: DataView): Answer {
    const lists = this.#lists;
    const offsetBits = lists[offset]!;
    const lengthBits = lists[offset + 1]!;
    const there = rawPresence(p, base, offsetBits, lengthBits);
    if (there !== ANSWER.yes) return there;
    const start = rawStart(p, base);
    const words = lists[offset + 2]!;
    const mask = offset + 3;
    for (let i = 0; i < words; i++) {
      const bits = readBits(slab, start, offsetBits + 32 * i, Math.min(32, lengthBits - 32 * i));
      this.#value[i] = (bits & lists[mask + i]!) ^ TOP_BIT;
    }
    return this.#isInWideIntervals(words, mask + words, count) ? ANSWER.yes : ANSWER.no;
  }

  /** A tuple is true if all its fields are; a field that is unknown may have any value. */
  #answerOfTuples(offset: number, count: number, isReadable: boolean): Answer {
    const lists = this.#lists;
    const negated = lists[offset] === 1;
    const fields = offset + 2;
    const fieldsEnd = fields + 3 * lists[offset + 1]!;
    let hasUnknown = false;
    for (let field = fields; field < fieldsEnd; field += 3) {
      if (this.#isUnknown(field, isReadable)) hasUnknown = true;
      else if (lists[field] === WORD.sctpChunk && this.key[WORD.sctpChunk] === CHUNK.missing) return ANSWER.no;
    }
    let at = fieldsEnd;
    for (let i = 0; i < count; i++) {
      let couldBe = true;
      for (let field = fields; field < fieldsEnd; field += 3) {
        const words = lists[field + 1]!;
        if (couldBe && !this.#isUnknown(field, isReadable)) couldBe = this.#isBetween(lists[field]!, words, at);
        at += 2 * words;
      }
      if (!couldBe) continue;
      if (hasUnknown) return ANSWER.unknown;
      return negated ? ANSWER.no : ANSWER.yes;
    }
    if (!negated) return ANSWER.no;
    return hasUnknown ? ANSWER.unknown : ANSWER.yes;
  }

  /** @param field where the tuples' list describes it */
  #isUnknown(field: number, isReadable: boolean): boolean {
    if (!isReadable && this.#lists[field + 2] === 1) return true;
    return this.#lists[field] === WORD.sctpChunk && this.key[WORD.sctpChunk] === CHUNK.notCaptured;
  }

  #answerOfSet(offset: number, negated: boolean): Answer {
    const lists = this.#lists;
    const words = offset + 2;
    const count = lists[offset + 1]!;
    for (let i = 0; i < count; i++) {
      const word = lists[words + i]!;
      const value = this.key[word]!;
      if (word === WORD.sctpChunk && value < 0) return answerOfNoChunk(value);
      this.#setKey[i] = value;
    }
    const isIn = this.#sets[lists[offset]!]!.has(this.#setKey, this.#live.now);
    return isIn !== negated ? ANSWER.yes : ANSWER.no;
  }

  #isInList(word: number, offset: number, count: number): boolean {
    const lists = this.#lists;
    const words = lists[offset]!;
    const mask = offset + 1;
    if (words === 1) return this.#isInIntervals((this.key[word]! & lists[mask]!) ^ TOP_BIT, mask + 1, count);
    for (let i = 0; i < words; i++) this.#value[i] = (this.key[word + i]! & lists[mask + i]!) ^ TOP_BIT;
    return this.#isInWideIntervals(words, mask + words, count);
  }

  /** Binary search for the last interval that does not begin above the value. @param value with the top bit flipped */
  #isInIntervals(value: number, intervals: number, count: number): boolean {
    const lists = this.#lists;
    let from = 0;
    let to = count;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (lists[intervals + middle * 2]! <= value) from = middle + 1;
      else to = middle;
    }
    return from > 0 && value <= lists[intervals + from * 2 - 1]!;
  }

  /** The same for a value of any number of words. */
  #isInWideIntervals(words: number, intervals: number, count: number): boolean {
    let from = 0;
    let to = count;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#compare(words, intervals + middle * 2 * words) >= 0) from = middle + 1;
      else to = middle;
    }
    return from > 0 && this.#compare(words, intervals + (from * 2 - 1) * words) <= 0;
  }

  /** Does a value of the frame lie between the bounds at `low`, the second of which follows the first? */
  #isBetween(word: number, words: number, low: number): boolean {
    for (let i = 0; i < words; i++) this.#value[i] = this.key[word + i]! ^ TOP_BIT;
    return this.#compare(words, low) >= 0 && this.#compare(words, low + words) <= 0;
  }

  /** Compares the value with a bound, most significant word first. */
  #compare(words: number, bound: number): number {
    for (let i = 0; i < words; i++) {
      const value = this.#value[i]!;
      const other = this.#lists[bound + i]!;
      if (value !== other) return value < other ? -1 : 1;
    }
    return 0;
  }
}

/** @param chunk one of CHUNK */
function answerOfNoChunk(chunk: number): Answer {
  return chunk === CHUNK.missing ? ANSWER.no : ANSWER.unknown;
}

/** @throws if there is no such set, which parsed rules exclude */
export function dynamicSet(live: LiveState, name: string): DynamicSet {
  const set = live.set(name);
  if (set === undefined) throw new Error(`no dynamic set '${name}'`);
  return set;
}

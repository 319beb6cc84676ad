import type { Rule } from '../rules/rule.ts';
import type { Box } from './box.ts';
import { carries, FIELD_WORDS, isLayer2, WORD } from './field.ts';
import { ETHERTYPE, MIN_ETHERTYPE, PROTO } from './headers.ts';
import { USES_APPS } from './key.ts';
import type { LiveState } from './live-state.ts';
import { CompiledMatcher, type CompiledRules, EMPTY_LEAF, KINDS, kindOf, NONE } from './matcher.ts';
import { L3, type L3Kind, L4, type L4Kind } from './parsed.ts';
import { type EncodedRule, ProgramWriter } from './program.ts';
import { TreeBuilder } from './tree.ts';

/** What the rules say about one kind of frame. */
interface KindRules {
  /** The boxes of each rule that some frame of the kind can meet, in order. */
  readonly candidates: readonly (readonly Box[])[];
  /** The first rule that every frame of the kind meets, or NONE. No later one is ever asked. */
  readonly fallback: number;
  /** Bit n: some candidate compares word n; USES_APPS: some candidate names an app. */
  readonly used: number;
}

/**
 * Makes the fast matcher of some rules: it answers every frame as `LinearMatcher` does.
 * @param live must have the dynamic sets that the rules name
 */
export function compileMatcher(source: readonly Rule[], live: LiveState): CompiledMatcher {
  return new CompiledMatcher(compileRules(source), live);
}

/** @returns the rules as that matcher reads them */
export function compileRules(source: readonly Rule[]): CompiledRules {
  const program = new ProgramWriter();
  const rules = source.flatMap((rule, index) => program.add(rule, index));
  const trees = new TreeBuilder();
  const roots = new Int32Array(KINDS).fill(EMPTY_LEAF);
  const fallbacks = new Int32Array(KINDS).fill(NONE);
  const used = new Int32Array(KINDS);
  const built: { readonly candidates: KindRules['candidates']; readonly root: number }[] = [];
  for (const l3 of Object.values(L3)) {
    for (const l4 of Object.values(L4)) {
      for (const isTagged of [false, true]) {
        const { candidates, ...kindRules } = rulesOfKind(rules, l3, l4, isTagged);
        // Many kinds have the same rules: `ip saddr` alone does not care for the transport.
        let tree = built.find((other) => isSame(other.candidates, candidates));
        if (tree === undefined) {
          tree = { candidates, root: trees.build(candidates.flat()) };
          built.push(tree);
        }
        const kind = kindOf(l3, l4, isTagged ? 1 : 0);
        roots[kind] = tree.root;
        fallbacks[kind] = kindRules.fallback;
        used[kind] = kindRules.used;
      }
    }
  }
  return {
    code: Int32Array.from(program.code),
    lists: Int32Array.from(program.lists),
    nodes: Int32Array.from(trees.nodes),
    children: Int32Array.from(trees.children),
    leaves: Int32Array.from(trees.leaves),
    roots,
    fallbacks,
    used,
    sets: program.sets,
    classes: program.classes,
  };
}

function rulesOfKind(rules: readonly EncodedRule[], l3: L3Kind, l4: L4Kind, isTagged: boolean): KindRules {
  const isReadable = l3 !== L3.unknown;
  const candidates: (readonly Box[])[] = [];
  let used = 0;
  for (const encoded of rules) {
    // Of a frame with an unknown EtherType only layer 2 is asked; the rest of the rule is unknown.
    const asked = isReadable ? encoded.fields : encoded.fields.filter(isLayer2);
    if (!asked.every((field) => carries(field, l3, l4, isTagged))) continue;
    if (isReadable ? encoded.isDefault : !encoded.hasLayer2) return { candidates, fallback: encoded.rule, used };
    if (isReadable && !encoded.boxes.some((box) => isPossible(box, l3, l4))) continue;
    if (isReadable && encoded.usesApps) used |= USES_APPS;
    for (const field of asked) for (const word of FIELD_WORDS[field]) used |= 1 << word;
    candidates.push(isReadable ? encoded.boxes : encoded.layer2Boxes);
  }
  return { candidates, fallback: NONE, used };
}

/** The protocol number that each transport stands for; of the frames without one it can be any other. */
const PROTO_OF: Readonly<Partial<Record<L4Kind, number>>> = {
  [L4.tcp]: PROTO.tcp,
  [L4.udp]: PROTO.udp,
  [L4.udplite]: PROTO.udplite,
  [L4.sctp]: PROTO.sctp,
  [L4.dccp]: PROTO.dccp,
  [L4.icmp]: PROTO.icmp,
  [L4.icmpv6]: PROTO.icmpv6,
  [L4.igmp]: PROTO.igmp,
};
/** Network headers lie behind their own EtherType or that of a header that the parser looks through. */
const ETHERTYPES_OF: Readonly<Record<L3Kind, readonly number[]>> = {
  // Of these frames no box is looked at.
  [L3.unknown]: [],
  [L3.ip4]: [ETHERTYPE.ip4, ETHERTYPE.mpls, ETHERTYPE.mplsUpstream, ETHERTYPE.pppoe],
  [L3.ip6]: [ETHERTYPE.ip6, ETHERTYPE.mpls, ETHERTYPE.mplsUpstream, ETHERTYPE.pppoe],
  [L3.arp]: [ETHERTYPE.arp],
};

/** False if the EtherTypes or the protocol number of a kind already lie outside the box. */
function isPossible({ ranges }: Box, l3: L3Kind, l4: L4Kind): boolean {
  const proto = PROTO_OF[l4];
  return ranges.every(({ word, low, high }) => {
    if (word === WORD.proto && proto !== undefined) return low <= proto && proto <= high;
    // Below the least EtherType stands an 802.3 length: the EtherType follows in a SNAP header.
    if (word === WORD.etherType && low >= MIN_ETHERTYPE)
      return ETHERTYPES_OF[l3].some((type) => low <= type && type <= high);
    return true;
  });
}

/** Every rule has its own array of boxes, so these are the same rules if they are the same arrays. */
function isSame(a: KindRules['candidates'], b: KindRules['candidates']): boolean {
  return a.length === b.length && a.every((boxes, i) => boxes === b[i]);
}

import { KEY, L3_VALUE } from './coordinates.ts';
import { isSubset, mergeIntervals } from './intervals.ts';
import { LATER_FRAGMENTS, Region } from './region.ts';
import type { FieldName, Interval, Match, Rule } from './rule.ts';

interface Family {
  readonly match: string;
  readonly l3: readonly Interval[];
}

function family(match: string, low: bigint, high = low): Family {
  return { match, l3: [{ low, high }] };
}

/** What frames a table of a family sees; those of bridge and netdev see all. */
const FAMILIES: Readonly<Record<string, Family>> = {
  ip: family('ether type ip', L3_VALUE.ip4),
  ip6: family('ether type ip6', L3_VALUE.ip6),
  inet: family('ether type { ip, ip6 }', L3_VALUE.ip4, L3_VALUE.ip6),
  arp: family('ether type arp', L3_VALUE.arp),
};

/**
 * @param rule null: one that matches any frame
 * @returns the match that a rule needs besides to see the frames that a table of this family sees; null if it needs none:
 *   `tcp dport 22` in a table ip is not about IPv6
 */
export function familyMatch(family: string, rule: Rule | null): string | null {
  const known = FAMILIES[family];
  if (known === undefined) return null;
  const l3 = rule === null ? undefined : new Region(rule).box.get(KEY.l3);
  return l3 !== undefined && isSubset(l3.set, known.l3) ? null : known.match;
}

const WITH_PORTS = mergeIntervals([6n, 17n, 33n, 132n, 136n].map((number) => ({ low: number, high: number })));

/** Whether the rule's `th sport` or `th dport` may be the first bits of a transport header that has no ports, which are none here. */
export function portsDiffer(rule: Rule): boolean {
  const others = rule.matches.filter((match) => !fieldsOf(match).some((field) => field.startsWith('th.')));
  if (others.length === rule.matches.length) return false;
  const protocol = new Region({ ...rule, matches: others }).box.get('meta.l4proto');
  return protocol === undefined || !isSubset(protocol.set, WITH_PORTS);
}

function fieldsOf(match: Match): readonly FieldName[] {
  if (match.kind === 'field') return [match.field];
  return match.kind === 'concat' || match.kind === 'set' ? match.fields : [];
}

const TAG_TYPES: readonly bigint[] = [0x8100n, 0x88a8n];

/** @returns why a match that both languages spell alike means something else here, so that it cannot be taken */
export function otherMeaning(match: Match): string | null {
  if (match.kind !== 'field' || match.field !== 'ether.type') return null;
  const tells = TAG_TYPES.some((type) => match.intervals.some(({ low, high }) => low <= type && type <= high));
  return tells ? "'ether type' is what stands behind the tags here: 'vlan id' tells whether there is one" : null;
}

/** Where our words, which are taken, see other frames than nft's. */
export function differencesOf(rule: Rule): string[] {
  const found: string[] = [];
  if (portsDiffer(rule)) found.push('only of transports that have ports');
  if (new Region(rule).contradiction === LATER_FRAGMENTS) found.push(`never matches: ${LATER_FRAGMENTS}`);
  const isTagged = rule.matches.some((match) => fieldsOf(match).some((field) => field.startsWith('vlan.')));
  if (isTagged) found.push('the outermost of any number of tags');
  return found;
}

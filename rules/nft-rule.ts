import type { Token } from './lex.ts';
import { addsRule, isMark, isWord, type NftStatement, type NftTable, sourceOf, unreadable } from './nft-read.ts';

/** How nft ends: the frame goes on, or it does not. A rejected one is a dropped one whose sender is told. */
export type NftVerdict = 'accept' | 'drop';

/** What becomes of a frame that a rule selects. */
export type NftOutcome =
  | { readonly kind: NftVerdict | 'return' | 'none' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string };

/** A branch of a verdict map, or the whole of a rule without one. */
export interface NftBranch {
  readonly matches: string;
  readonly outcome: NftOutcome;
}

/** An nft rule, apart from what only counts and writes logs. */
export interface NftRule {
  readonly branches: readonly NftBranch[];
  readonly comment: string | null;
}

/** Why a rule has no equal here, in words. */
export class NotOurs {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

export const ONLY_TABLES = 'only tables are read, as nft lists them';

/** Words that end a rule, and the frame's way through the chain, without saying where to here. */
const ENDING: readonly string[] = ['masquerade', 'snat', 'dnat', 'redirect', 'tproxy', 'queue', 'fwd', 'synproxy'];
const LOG_OPTIONS: readonly string[] = ['prefix', 'level', 'group', 'snaplen', 'queue-threshold', 'flags'];
const COUNTER_OPTIONS: readonly string[] = ['packets', 'bytes', 'name'];
const OUTCOMES: readonly string[] = ['accept', 'drop', 'reject', 'return', 'continue', 'jump', 'goto'];
/** Words that change the frame itself when `set` stands behind them. */
const HEADERS: readonly string[] = [
  'ether',
  'vlan',
  'ip',
  'ip6',
  'tcp',
  'udp',
  'udplite',
  'sctp',
  'dccp',
  'icmp',
  'icmpv6',
  'th',
  'arp',
  'option',
  '@',
];

/** Takes a rule apart. */
export function readRule({ tokens }: NftStatement, table: NftTable): NftRule | NotOurs {
  const problem = unreadable(tokens);
  if (problem !== null) return new NotOurs(problem);
  if (addsRule(tokens)) return new NotOurs(ONLY_TABLES);
  if (table.family !== 'inet' && tokens.some((token) => isWord(token, 'nfproto'))) {
    return new NotOurs(`'meta nfproto' says nothing in a table of family ${table.family}`);
  }
  const matches: Token[] = [];
  let comment: string | null = null;
  let outcome: NftOutcome = { kind: 'none' };
  let depth = 0;
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]!;
    const next = tokens[at + 1];
    if (depth === 0 && isWord(token, 'comment') && next?.kind === 'string') {
      comment = next.text;
      at++;
    } else if (depth === 0 && isWord(token, 'counter')) {
      at = skipOptions(tokens, at, COUNTER_OPTIONS);
    } else if (depth === 0 && isWord(token, 'log')) {
      at = skipOptions(tokens, at, LOG_OPTIONS);
    } else if (depth === 0 && isWord(token, 'vmap')) {
      const end = tokens.findIndex((one) => isWord(one, 'comment'));
      const branches = readMap(matches, tokens.slice(at + 1, end < 0 ? tokens.length : end), table);
      if (branches instanceof NotOurs) return branches;
      return { branches, comment: end < 0 ? null : (tokens[end + 1]?.text ?? null) };
    } else if (depth === 0 && isWord(token, ...OUTCOMES)) {
      if (outcome.kind !== 'none') return behindVerdict(token);
      const found = readOutcome(tokens, at);
      if (found === null) return new NotOurs(`'${token.text}' without a chain's name has no equal here`);
      outcome = found.outcome;
      at = found.last;
    } else {
      if (outcome.kind !== 'none') return behindVerdict(token);
      if (isMark(token, '{')) depth++;
      if (isMark(token, '}')) depth--;
      matches.push(token);
    }
  }
  return { branches: [{ matches: translated(matches), outcome }], comment };
}

function behindVerdict({ text }: Token): NotOurs {
  return new NotOurs(`'${text}' stands behind the verdict`);
}

/** @returns the last token that belongs to the statement at `at` */
function skipOptions(tokens: readonly Token[], at: number, options: readonly string[]): number {
  let last = at;
  while (isWord(tokens[last + 1], ...options)) {
    last += 2;
    // 'flags tcp sequence,options'
    if (isWord(tokens[last], 'tcp', 'ip')) last++;
    while (isMark(tokens[last + 1], ',')) last += 2;
  }
  return last;
}

function readOutcome(tokens: readonly Token[], at: number): { outcome: NftOutcome; last: number } | null {
  const { text } = tokens[at]!;
  switch (text) {
    case 'accept':
    case 'drop':
    case 'return':
      return { outcome: { kind: text }, last: at };
    case 'continue':
      return { outcome: { kind: 'none' }, last: at };
    case 'reject': {
      // 'with icmp type port-unreachable': how the sender is told.
      const end = tokens.findIndex((token, index) => index > at && isWord(token, 'comment'));
      return { outcome: { kind: 'drop' }, last: (end < 0 ? tokens.length : end) - 1 };
    }
    case 'jump':
    case 'goto': {
      const chain = tokens[at + 1];
      if (chain?.kind !== 'word' && chain?.kind !== 'string') return null;
      return { outcome: { kind: text, chain: chain.text }, last: at + 1 };
    }
    default:
      return null;
  }
}

/** Keys of a map differ, so its branches can be asked one after another. */
function readMap(fields: readonly Token[], rest: readonly Token[], table: NftTable): NftBranch[] | NotOurs {
  const elements = mapElements(rest, table);
  if (elements instanceof NotOurs) return elements;
  const branches: NftBranch[] = [];
  for (const element of elements) {
    const colon = element.findIndex((token) => isWord(token, ':'));
    const found = colon < 1 ? null : isWord(element[colon + 1], ...OUTCOMES) ? readOutcome(element, colon + 1) : null;
    if (found === null || found.last !== element.length - 1) {
      return new NotOurs(`'${sourceOf(element)}' is not a value and a verdict`);
    }
    if (isMark(element[0], '*')) return new NotOurs("'*' has no equal here");
    // A map's fields stand before it; matches before them are part of every branch.
    const matches = `${translated(fields)} ${sourceOf(element.slice(0, colon))}`;
    branches.push({ matches, outcome: found.outcome });
  }
  return branches;
}

function mapElements(rest: readonly Token[], table: NftTable): (readonly Token[])[] | NotOurs {
  if (isMark(rest[0], '{') && isMark(rest.at(-1), '}')) return elementsOf(rest.slice(1, -1));
  const name = rest[1]?.text ?? '';
  const map = isMark(rest[0], '@') ? table.maps.get(name) : undefined;
  if (map === undefined) return new NotOurs('its map is not there');
  const problem = unreadable(map.tokens);
  if (problem !== null) return new NotOurs(`map '${name}': ${problem}`);
  const body = map.tokens.slice(map.tokens.findIndex((token) => isMark(token, '{')) + 1, -1);
  if (body.some((token) => isWord(token, 'dynamic', 'timeout'))) return new NotOurs(`map '${name}' changes by itself`);
  const start = body.findIndex((token) => isWord(token, 'elements'));
  if (start < 0) return [];
  const end = body.findIndex((token, at) => at > start && isMark(token, '}'));
  return elementsOf(body.slice(start + 3, end));
}

function elementsOf(tokens: readonly Token[]): (readonly Token[])[] {
  const elements: Token[][] = [[]];
  for (const token of tokens) {
    if (isMark(token, ',')) elements.push([]);
    else elements.at(-1)!.push(token);
  }
  return elements.filter((element) => element.length > 0);
}

/** In our words: `meta nfproto ipv4` is `ether type ip`, and so is `meta protocol ip`. */
function translated(tokens: readonly Token[]): string {
  const changed = [...tokens];
  for (const [at, token] of tokens.entries()) {
    const next = tokens[at + 1];
    if (!isWord(token, 'meta') || !isWord(next, 'protocol', 'nfproto')) continue;
    changed[at] = { ...token, text: 'ether' };
    changed[at + 1] = { ...next!, text: 'type' };
    if (next!.text === 'protocol') continue;
    // Up to the value, or to the end of the set.
    for (let value = at + 2, isSet = false; value < tokens.length; value++) {
      const one = tokens[value]!;
      isSet ||= isMark(one, '{');
      if (one.kind === 'word') changed[value] = { ...one, text: ETHER_TYPES[one.text] ?? one.text };
      if (isMark(one, '}') || (!isSet && one.kind === 'word')) break;
    }
  }
  return sourceOf(changed);
}

const ETHER_TYPES: Readonly<Record<string, string>> = { ipv4: 'ip', ipv6: 'ip6' };

/** How frames may end in a rule, for one that is not taken; at any depth of maps and chains. */
export function possibleVerdicts(
  tokens: readonly Token[],
  table: NftTable,
  seen: Set<string> = new Set(),
): Set<NftVerdict> {
  const verdicts = new Set<NftVerdict>();
  const both = () => verdicts.add('accept').add('drop');
  tokens.forEach((token, at) => {
    if (isWord(token, 'accept')) verdicts.add('accept');
    else if (isWord(token, 'drop', 'reject')) verdicts.add('drop');
    else if (isWord(token, ...ENDING) || token.kind === 'bad') both();
    else if (changesFrame(tokens, at)) both();
    else if (isWord(token, 'goto')) both();
    else if (isWord(token, 'jump')) {
      const chain = table.chains.get(tokens[at + 1]?.text ?? '');
      if (chain === undefined) both();
      if (chain === undefined || seen.has(chain.name)) return;
      seen.add(chain.name);
      for (const rule of chain.rules) for (const one of possibleVerdicts(rule.tokens, table, seen)) verdicts.add(one);
    } else if (isWord(token, 'vmap') && isMark(tokens[at + 1], '@')) {
      const map = table.maps.get(tokens[at + 2]?.text ?? '');
      if (map === undefined) both();
      else for (const one of possibleVerdicts(map.tokens, table, seen)) verdicts.add(one);
    }
  });
  return verdicts;
}

/** `ip dscp set cs1`: rules below it see another frame. */
function changesFrame(tokens: readonly Token[], at: number): boolean {
  if (!isWord(tokens[at], 'set')) return false;
  const before = tokens.slice(Math.max(0, at - 3), at).map(({ text }) => text);
  return HEADERS.some((word) => before.includes(word)) || !before.some((word) => word === 'meta' || word === 'ct');
}
